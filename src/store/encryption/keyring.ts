import type { EncryptionConfiguration } from "./configuration.ts";
import { createTransform, type Transform } from "./transform.ts";

/** How each key of the store is kept; it may change while it is used. */
export interface Keyring {
  /** Undefined: as it is. */
  transformOf(key: string): Transform | undefined;
  /** From now on this holds. */
  use(configuration: EncryptionConfiguration): void;
  /** True when the resource `group/plural` (`core/secrets`) is kept in any other way than as it is. */
  covers(resource: string): boolean;
}

/** Where the objects lie, as `GROUP/PLURAL/...`. */
const root = "/registry/";

export function createKeyring(first: EncryptionConfiguration): Keyring {
  let entries = compiled(first);
  const known = new Map<string, Transform | undefined>();

  const transformFor = (resource: string): Transform | undefined => {
    if (known.has(resource)) return known.get(resource);
    const found = entries.find(({ matches }) => matches(resource))?.transform;
    known.set(resource, found);
    return found;
  };
  return {
    transformOf(key) {
      if (!key.startsWith(root)) return undefined;
      const slash = key.indexOf("/", root.length);
      const end = key.indexOf("/", slash + 1);
      return slash < 0 || end < 0 ? undefined : transformFor(key.slice(root.length, end));
    },
    use(configuration) {
      entries = compiled(configuration);
      known.clear();
    },
    covers: (resource) => transformFor(resource) !== undefined,
  };
}

function compiled({ resources }: EncryptionConfiguration) {
  return resources.map(({ resources: names, providers }) => {
    const matchers = names.map(matcherOf);
    return {
      matches: (resource: string) => matchers.some((matches) => matches(resource)),
      transform: createTransform(providers),
    };
  });
}

/** `secrets`, `deployments.apps`, `*.apps`, `*.` (the core group) and `*.*`, as upstream. */
function matcherOf(name: string): (resource: string) => boolean {
  const dot = name.indexOf(".");
  const plural = dot < 0 ? name : name.slice(0, dot);
  const group = (dot < 0 ? "" : name.slice(dot + 1)) || "core";
  return (resource) => {
    const slash = resource.indexOf("/");
    return (
      (group === "*" || group === resource.slice(0, slash)) && (plural === "*" || plural === resource.slice(slash + 1))
    );
  };
}
