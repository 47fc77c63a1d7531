import { builtInKinds, type Served } from "./served.ts";

/** What the API serves at this moment. The one source of routing, discovery and the OpenAPI documents. */
export interface Catalog {
  find(group: string, version: string, plural: string): Served | undefined;
  /** Built-in kinds first, then those of each owner in the order in which the owners came. */
  all(): readonly Served[];
  /** What `owner` serves from now on, in place of what it served before; an empty list: nothing. What others serve already is left to them. */
  replace(owner: string, served: readonly Served[]): void;
  /** Calls `listener` after each change, until the function that is given back is called. */
  onChange(listener: () => void): () => void;
  /** Another text after each change. */
  readonly version: string;
}

/** A catalog that holds the built-in kinds. */
export function createCatalog(builtIn: readonly Served[] = builtInKinds()): Catalog {
  const owners = new Map<string, readonly Served[]>([["", builtIn]]);
  const listeners = new Set<() => void>();
  let all: readonly Served[] = [];
  let byPath = new Map<string, Served>();
  let changes = 0;

  const index = (): void => {
    byPath = new Map();
    for (const served of [...owners.values()].flat()) {
      const path = pathKey(served.resource.group, served.resource.version, served.resource.plural);
      if (!byPath.has(path)) byPath.set(path, served);
    }
    all = [...byPath.values()];
  };
  index();

  return {
    find: (group, version, plural) => byPath.get(pathKey(group, version, plural)),
    all: () => all,
    replace(owner, served) {
      if (served.length > 0) owners.set(owner, [...served]);
      else if (!owners.delete(owner)) return;
      index();
      changes += 1;
      for (const listener of listeners) listener();
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    get version() {
      return String(changes);
    },
  };
}

function pathKey(group: string, version: string, plural: string): string {
  return `${group}/${version}/${plural}`;
}
