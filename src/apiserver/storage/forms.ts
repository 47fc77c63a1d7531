import { apiVersionOf, type KubeObject, type Resource } from "../../kube/index.ts";
import type { Entry } from "./entry.ts";

/** An object and its bytes; either is made when asked for. */
export interface Body {
  /** Shared: must not be changed. */
  readonly object: object;
  bytes(): Iterable<Uint8Array>;
  /** Media type of the bytes. Absent: JSON. */
  readonly type?: string;
}

export interface ListMeta {
  readonly resourceVersion: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

/** How objects of one kind are shown: as they are stored, as a table, as metadata only. */
export interface Form {
  /** Names the form among those of its kind. */
  readonly id: string;
  /** Must settle before the form is made of these entries; undefined: it can be made at once. Rejects with StatusError. */
  prepare?(entries: readonly Entry[]): Promise<void> | undefined;
  one(entry: Entry): Body;
  list(entries: readonly Entry[], meta: ListMeta): Body;
  /** What a BOOKMARK carries. */
  bookmark(revision: number, initial: boolean): object;
  /** How a watch is written where that is not JSON, an event a line. */
  readonly stream?: {
    /** Media type of the whole. */
    readonly type: string;
    /** The frame of an event. `body` may be of this form or any object. */
    event(type: string, body: Body): Uint8Array;
  };
}

/** A body made from an object, serialised at most once. */
export function bodyOf(object: object): Body {
  let bytes: Uint8Array | undefined;
  return {
    object,
    bytes() {
      bytes ??= Buffer.from(JSON.stringify(object));
      return [bytes];
    },
  };
}

/** A list of what is made of each entry while it is sent. */
function listOf(head: object, entries: readonly Entry[], show: (entry: Entry) => object): Body {
  function* items(): Generator<Uint8Array> {
    for (const entry of entries) yield Buffer.from(JSON.stringify(show(entry)));
  }
  return {
    get object() {
      return { ...head, items: entries.map(show) };
    },
    bytes: () => joined(head, "items", items()),
  };
}

/** The objects as they are stored: bytes are passed on, lists are joins of bytes. */
export function storedForm(resource: Resource): Form {
  const apiVersion = apiVersionOf(resource);
  const kind = resource.kind;
  return {
    id: "stored",
    one: (entry) => ({
      get object() {
        return entry.object;
      },
      bytes: () => [entry.bytes],
    }),
    list: (entries, meta) => ({
      get object() {
        return { apiVersion, kind: `${kind}List`, metadata: meta, items: entries.map((entry) => entry.object) };
      },
      bytes: () => joined({ apiVersion, kind: `${kind}List`, metadata: meta }, "items", bytesOf(entries)),
    }),
    bookmark: (revision, initial) => bookmarkOf(apiVersion, kind, revision, initial),
  };
}

/** Objects turned into another version of themselves before they are shown (events.k8s.io/v1 over core Events). */
export function convertedForm(resource: Resource, convert: (object: KubeObject) => KubeObject): Form {
  const apiVersion = apiVersionOf(resource);
  return {
    id: `converted ${apiVersion}`,
    one: (entry) => bodyOf(convert(entry.object)),
    list: (entries, metadata) =>
      listOf({ apiVersion, kind: `${resource.kind}List`, metadata }, entries, (entry) => convert(entry.object)),
    bookmark: (revision, initial) => bookmarkOf(apiVersion, resource.kind, revision, initial),
  };
}

/** What entries are shown as, where that is not always what is stored. */
export interface Loader {
  /** The stored bytes are what is shown. */
  isPlain(entry: Entry): boolean;
  /** What an entry that was prepared is shown as. Shared: must not be changed. */
  shown(entry: Entry): KubeObject;
  prepare(entries: readonly Entry[]): Promise<void> | undefined;
}

/** Objects of a kind whose stored form may be another version: bytes are passed on where they are what is shown. */
export function loadedForm(resource: Resource, loader: Loader): Form {
  const apiVersion = apiVersionOf(resource);
  const { kind } = resource;
  function* items(entries: readonly Entry[]): Generator<Uint8Array> {
    for (const entry of entries)
      yield loader.isPlain(entry) ? entry.bytes : Buffer.from(JSON.stringify(loader.shown(entry)));
  }
  return {
    id: `loaded ${apiVersion}`,
    prepare: (entries) => loader.prepare(entries),
    one: (entry) => ({
      get object() {
        return loader.shown(entry);
      },
      bytes: () => [...items([entry])],
    }),
    list: (entries, metadata) => {
      const head = { apiVersion, kind: `${kind}List`, metadata };
      return {
        get object() {
          return { ...head, items: entries.map((entry) => loader.shown(entry)) };
        },
        bytes: () => joined(head, "items", items(entries)),
      };
    },
    bookmark: (revision, initial) => bookmarkOf(apiVersion, kind, revision, initial),
  };
}

/** `PartialObjectMetadata` and its list (metadata.k8s.io): what metadata-only caches ask for. */
export function metadataForm(): Form {
  const apiVersion = "meta.k8s.io/v1";
  const kind = "PartialObjectMetadata";
  const partial = (entry: Entry): object => ({ apiVersion, kind, metadata: entry.read().metadata });
  return {
    id: "metadata",
    one: (entry) => bodyOf(partial(entry)),
    list: (entries, metadata) => listOf({ apiVersion, kind: `${kind}List`, metadata }, entries, partial),
    bookmark: (revision, initial) => bookmarkOf(apiVersion, kind, revision, initial),
  };
}

export function bookmarkOf(apiVersion: string, kind: string, revision: number, initial: boolean): object {
  return {
    apiVersion,
    kind,
    metadata: {
      resourceVersion: String(revision),
      creationTimestamp: null,
      ...(initial ? { annotations: { "k8s.io/initial-events-end": "true" } } : {}),
    },
  };
}

/** Bytes handed on at once: few enough to stay responsive, many enough to keep system calls rare. */
const chunk = 64 << 10;

/** JSON of `head` with `items` joined into its list `field`, in chunks: made while it is sent, so that no list holds the thread. */
export function* joined(head: object, field: string, items: Iterable<Uint8Array>): Generator<Uint8Array> {
  const start = `${JSON.stringify(head).slice(0, -1)},${JSON.stringify(field)}:[`;
  let parts: Uint8Array[] = [Buffer.from(start)];
  let size = start.length;
  let first = true;
  for (const item of items) {
    if (!first) parts.push(comma);
    first = false;
    parts.push(item);
    size += item.length + 1;
    if (size < chunk) continue;
    yield Buffer.concat(parts);
    parts = [];
    size = 0;
  }
  parts.push(end);
  yield Buffer.concat(parts);
}

function* bytesOf(entries: readonly Entry[]): Generator<Uint8Array> {
  for (const entry of entries) yield entry.bytes;
}

const comma = Buffer.from(",");
const end = Buffer.from("]}\n");
