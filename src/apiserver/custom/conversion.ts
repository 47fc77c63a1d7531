import {
  apiVersionOf,
  applyDefaults,
  cloneJson,
  dropNulls,
  jsonEqual,
  prune,
  type JsonSchema,
  type KubeObject,
  type Resource,
} from "../../kube/index.ts";
import type { Entry, Loader } from "../storage/index.ts";
import type { Conversion } from "../registry/index.ts";

/** Turns objects of other versions into `version`, all at once. Rejects with StatusError. */
export type Convert = (objects: readonly KubeObject[], apiVersion: string) => Promise<KubeObject[]>;

export interface VersionOptions {
  /** The version that is shown, and the one in which new objects are stored. */
  readonly resource: Resource;
  readonly stored: Resource;
  /** Schemas by version: what is stored is first made what its own version says. */
  readonly schemas: ReadonlyMap<string, JsonSchema>;
  /** Absent: versions differ in their name only. */
  readonly convert?: Convert;
  /** Objects written after this revision in this version are stored as they are shown. */
  readonly since: number;
}

/** How the stored objects of a kind become objects of one of its versions, and back. */
export function createConversion(options: VersionOptions): Conversion & Loader {
  const { resource, stored, schemas, convert, since } = options;
  const apiVersion = apiVersionOf(resource);
  const storedVersion = apiVersionOf(stored);
  const head = Buffer.from(`{"apiVersion":${JSON.stringify(apiVersion)},"kind":`);
  const schema = schemas.get(resource.version);
  /** What was made of entries that are not shown as they are stored. */
  const made = new WeakMap<Entry, KubeObject>();
  /** Entries older than the schema that turned out to be as it wants them. */
  const plain = new WeakSet<Entry>();

  const isPlain = (entry: Entry): boolean => {
    if (plain.has(entry)) return true;
    if (entry.revision <= since || made.has(entry)) return false;
    return head.compare(entry.bytes, 0, Math.min(head.length, entry.bytes.length)) === 0;
  };

  /** Objects are stored for years: what their version does not name any more goes, what it has come to have by default comes. */
  const clean = (object: KubeObject, version: string): KubeObject => {
    const own = schemas.get(version);
    if (!own) return object;
    const copy = object as KubeObject & Record<string, unknown>;
    prune(copy, own);
    dropNulls(copy, own);
    return copy;
  };
  const finish = (entry: Entry, object: KubeObject): KubeObject => {
    applyDefaults(object, schema);
    if (jsonEqual(object, entry.object)) {
      plain.add(entry);
      return entry.object;
    }
    made.set(entry, object);
    return object;
  };
  const versionOf = ({ object }: Entry): string => object.apiVersion.slice(object.apiVersion.indexOf("/") + 1);
  const cleaned = (entry: Entry): KubeObject => clean(cloneJson(entry.object), versionOf(entry));
  const mustAsk = (entry: Entry): boolean => convert !== undefined && entry.object.apiVersion !== apiVersion;

  const shown = (entry: Entry): KubeObject => {
    if (isPlain(entry)) return entry.object;
    return made.get(entry) ?? finish(entry, { ...cleaned(entry), apiVersion });
  };
  const askFor = async (entries: readonly Entry[]): Promise<void> => {
    if (!convert) return;
    const converted = await convert(entries.map(cleaned), apiVersion);
    for (const [i, entry] of entries.entries()) {
      const object = converted[i];
      if (object) finish(entry, object);
    }
  };
  return {
    stored,
    isPlain,
    shown,
    prepare(entries) {
      if (!convert) return undefined;
      const open = entries.filter((entry) => !isPlain(entry) && !made.has(entry) && mustAsk(entry));
      return open.length > 0 ? askFor(open) : undefined;
    },
    load(entry) {
      if (isPlain(entry) || made.has(entry) || !mustAsk(entry)) return shown(entry);
      return askFor([entry]).then(() => shown(entry));
    },
    save(object) {
      if (apiVersion === storedVersion) return object;
      if (!convert) return { ...object, apiVersion: storedVersion };
      return convert([object], storedVersion).then(([converted]) => converted ?? object);
    },
  };
}
