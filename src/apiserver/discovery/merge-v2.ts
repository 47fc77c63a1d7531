import { isDeepStrictEqual } from "node:util";
import { isObject } from "../../kube/index.ts";

/** What counts of an OpenAPI v2 document: paths, and definitions by name. */
export interface DocumentV2 {
  readonly paths: Readonly<Record<string, object>>;
  readonly definitions: Readonly<Record<string, object>>;
}

/** The document of another server, and which group and version it is asked for. */
export interface RemoteDocument {
  readonly group: string;
  readonly version: string;
  readonly document: DocumentV2;
}

/** References that lead on from each other: more are no types but a trap. */
const deepest = 64;
const prefix = "#/definitions/";

/** Reads what another server calls its OpenAPI v2 document. Throws Error for what is none. */
export function documentFrom(value: unknown): DocumentV2 {
  if (!isObject(value) || value["swagger"] !== "2.0") throw new Error("the answer is no OpenAPI v2 document");
  const objects = (of: unknown): Record<string, object> =>
    Object.fromEntries(Object.entries(isObject(of) ? of : {}).filter(([, one]) => isObject(one))) as Record<
      string,
      object
    >;
  return { paths: objects(value["paths"]), definitions: objects(value["definitions"]) };
}

/**
 * Puts the documents of other servers, in the order of their priority, behind that of this one, as kube-aggregator does: of each the paths below its
 * own group and version, and the types that these refer to. A path that is there already stays as it is. A type that is there already and is the same is
 * shared; another one of the same name gets a name of its own (`NAME_v2`).
 */
export function mergeV2(own: DocumentV2, others: readonly RemoteDocument[]): DocumentV2 {
  if (others.length === 0) return own;
  const paths = new Map(Object.entries(own.paths));
  const definitions = new Map(Object.entries(own.definitions));
  for (const { group, version, document } of others) {
    const root = group ? `/apis/${group}/${version}` : `/api/${version}`;
    const given = new Map(Object.entries(document.definitions));
    const taken = Object.entries(document.paths).filter(
      ([path]) => (path === root || path.startsWith(`${root}/`)) && !paths.has(path),
    );
    const used = new Set<string>();
    for (const [, item] of taken) collect(item, given, used);
    const names = new Map<string, string>();
    for (const name of used) {
      const free = nameFor(name, given.get(name), definitions);
      if (free !== name) names.set(name, free);
    }
    for (const name of used) {
      const definition = renamed(given.get(name), names) as object;
      const as = names.get(name) ?? name;
      if (!definitions.has(as)) definitions.set(as, definition);
    }
    for (const [path, item] of taken) paths.set(path, renamed(item, names) as object);
  }
  return { paths: Object.fromEntries(paths), definitions: Object.fromEntries(definitions) };
}

/** A name under which nothing else is known. */
function nameFor(name: string, definition: object | undefined, known: ReadonlyMap<string, object>): string {
  for (let i = 1; ; i++) {
    const candidate = i === 1 ? name : `${name}_v${i}`;
    const there = known.get(candidate);
    if (there === undefined || isDeepStrictEqual(there, definition)) return candidate;
  }
}

/** The names of all types that `value` refers to, and those that these refer to. */
function collect(value: unknown, given: ReadonlyMap<string, object>, found: Set<string>): void {
  const waiting: unknown[] = [value];
  while (waiting.length > 0) {
    for (const name of referencesIn(waiting.pop())) {
      const definition = given.get(name);
      if (definition === undefined || found.has(name)) continue;
      found.add(name);
      waiting.push(definition);
    }
  }
}

function* referencesIn(value: unknown, depth = 0): Generator<string> {
  if (depth > deepest) throw new Error("the document is nested too deep");
  if (Array.isArray(value)) {
    for (const one of value as unknown[]) yield* referencesIn(one, depth + 1);
    return;
  }
  if (!isObject(value)) return;
  for (const [key, one] of Object.entries(value)) {
    if (key === "$ref" && typeof one === "string" && one.startsWith(prefix)) yield one.slice(prefix.length);
    else yield* referencesIn(one, depth + 1);
  }
}

function renamed(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (names.size === 0 || value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((one: unknown) => renamed(one, names));
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => {
      const to = key === "$ref" && typeof one === "string" ? names.get(one.slice(prefix.length)) : undefined;
      return [key, to === undefined ? renamed(one, names) : `${prefix}${to}`];
    }),
  );
}
