import { apiVersionOf, type KubeObject, type Resource } from "../../kube/index.ts";

/** Key under which an object is stored: `/registry/<group>/<plural>/[<namespace>/]<name>`; the core group is `core`. */
export function keyFor(resource: Resource, where: { namespace?: string | undefined; name: string }): string {
  return prefixFor(resource, resource.namespaced ? where.namespace : undefined) + where.name;
}

/** Prefix of the keys of all objects of a kind, or of those in one namespace. */
export function prefixFor(resource: Resource, namespace?: string): string {
  return `${root}${resource.group || "core"}/${resource.plural}/${namespace ? `${namespace}/` : ""}`;
}

export const root = "/registry/";

/** What every stored object of a kind begins with: the place where the resource version goes in. */
function headOf(resource: Resource): string {
  return `{"apiVersion":${JSON.stringify(apiVersionOf(resource))},"kind":${JSON.stringify(resource.kind)},"metadata":{`;
}

/**
 * The bytes that are stored: JSON that begins with `headOf`, without resource version (that is the store's own revision of the
 * write, not known before it). Serialised once: what is served differs only by the resource version spliced in.
 */
export function storedBytes(resource: Resource, object: KubeObject): Uint8Array {
  const { apiVersion: _version, kind: _kind, metadata, ...rest } = object;
  const { resourceVersion: _revision, ...kept } = metadata;
  return Buffer.from(
    JSON.stringify({ apiVersion: apiVersionOf(resource), kind: resource.kind, metadata: kept, ...rest }),
  );
}

/** One revision of one object: the bytes as served, and the object they mean, parsed when first asked for. */
export class Entry {
  readonly key: string;
  /** Revision of the write that made it: the object's resource version. */
  readonly revision: number;
  /** The object as JSON with its resource version. Shared: never changed. */
  readonly bytes: Uint8Array;
  /** The object in another encoding, once that was asked for. */
  encoded: Uint8Array | undefined;
  #object: KubeObject | undefined;

  constructor(key: string, revision: number, bytes: Uint8Array) {
    this.key = key;
    this.revision = revision;
    this.bytes = bytes;
  }

  /** Shared: must not be changed. */
  get object(): KubeObject {
    this.#object ??= this.#parse();
    return this.#object;
  }

  /** The object for once: who needs it no more afterwards does not make the entry hold it. Shared: must not be changed. */
  read(): KubeObject {
    return this.#object ?? this.#parse();
  }

  #parse(): KubeObject {
    const place = this.revision % recent.length;
    const known = recent[place];
    if (known?.entry === this) return known.object;
    const { buffer, byteOffset, length } = this.bytes;
    const object = JSON.parse(Buffer.from(buffer, byteOffset, length).toString()) as KubeObject;
    if (length <= recentLimit) recent[place] = { entry: this, object };
    return object;
  }
}

/**
 * What was parsed of the newest revisions: those who see a change one after the other, some of them only its metadata, share it. Few and small
 * ones, since this holds them.
 */
const recent: ({ readonly entry: Entry; readonly object: KubeObject } | undefined)[] = Array.from({ length: 64 });
const recentLimit = 16 << 10;

/** Objects of one kind may be stored in several versions: then the head is another one. */
function headLength(stored: Uint8Array): number {
  const mark = '"metadata":{';
  return Buffer.from(stored.buffer, stored.byteOffset, stored.length).indexOf(mark) + mark.length;
}

/** Makes entries of one kind from stored bytes. */
export function entryMaker(resource: Resource): (key: string, revision: number, stored: Uint8Array) => Entry {
  const usual = Buffer.from(headOf(resource));
  return (key, revision, stored) => {
    const head =
      usual.compare(stored, 0, Math.min(usual.length, stored.length)) === 0
        ? usual
        : stored.subarray(0, headLength(stored));
    const version = Buffer.from(`"resourceVersion":"${revision}",`);
    // Not from Buffer's pool: a small object that lives long would hold a whole slab.
    const bytes = Buffer.allocUnsafeSlow(stored.length + version.length);
    bytes.set(stored.subarray(0, head.length), 0);
    bytes.set(version, head.length);
    bytes.set(stored.subarray(head.length), head.length + version.length);
    return new Entry(key, revision, bytes);
  };
}
