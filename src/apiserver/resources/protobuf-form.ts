import { apiVersionOf, isObject, type KubeObject } from "../../kube/index.ts";
import type { ApiResponse } from "../handler.ts";
import type { ProtobufEncoder } from "../protobuf/index.ts";
import { protobufType } from "../request/negotiate.ts";
import { bookmarkOf, createBreather, type Entry, type Form, type ListMeta } from "../storage/index.ts";
import type { Served } from "./served.ts";

/** Objects in Kubernetes' protobuf encoding. The encoder and its tables are loaded when the first client wants them. */
export interface ProtobufForms {
  /** The objects of a built-in kind. What they are encoded as is kept with the stored object. */
  own(served: Served): Form;
  /** Their metadata alone. */
  metadata(): Form;
  /** An answer that was made as an object; as it is when there is no message for it. */
  answer(response: WholeAnswer): Promise<ApiResponse>;
}

type WholeAnswer = Extract<ApiResponse, { type: "object" }>;

/** Entries from which on a list is encoded bit by bit. */
const few = 64;

export function createProtobufForms(): ProtobufForms {
  let encoder: ProtobufEncoder | undefined;
  const load = async (): Promise<ProtobufEncoder> => {
    const { createProtobufEncoder } = await import("../protobuf/index.ts");
    encoder ??= createProtobufEncoder();
    return encoder;
  };
  const loaded = (): ProtobufEncoder => {
    if (!encoder) throw new Error("a protobuf form was used before it was prepared");
    return encoder;
  };
  const forms = new Map<string, Form>();

  const formOf = (apiVersion: string, kind: string, show: ((stored: KubeObject) => object) | undefined): Form => {
    const shown = (entry: Entry): object => (show ? show(entry.object) : entry.object);
    /** Only what is stored is kept with the stored. */
    const made = new WeakMap<Entry, Uint8Array>();
    const messageOf = (entry: Entry): Uint8Array => {
      const known = show ? made.get(entry) : entry.encoded;
      if (known) return known;
      const object = entry.read();
      const message = loaded().message(apiVersion, kind, show ? show(object) : object);
      if (show) made.set(entry, message);
      else entry.encoded = message;
      return message;
    };
    const encodeAll = async (entries: readonly Entry[]): Promise<void> => {
      await load();
      const breathe = createBreather();
      for (const entry of entries) {
        messageOf(entry);
        await breathe();
      }
    };
    const enveloped = (entry: Entry): Uint8Array[] => {
      const message = messageOf(entry);
      const { head, end } = loaded().envelope(apiVersion, kind, message.length);
      return [head, message, end];
    };
    return {
      id: `protobuf ${apiVersion} ${kind}`,
      prepare: (entries) => (!encoder || entries.length > few ? encodeAll(entries) : undefined),
      one: (entry) => ({
        type: protobufType,
        get object() {
          return shown(entry);
        },
        bytes: () => enveloped(entry),
      }),
      list: (entries, meta: ListMeta) => ({
        type: protobufType,
        get object() {
          return { apiVersion, kind: `${kind}List`, metadata: meta, items: entries.map(shown) };
        },
        bytes: () => loaded().list(apiVersion, `${kind}List`, meta, entries.map(messageOf)),
      }),
      bookmark: (revision, initial) => bookmarkOf(apiVersion, kind, revision, initial),
      stream: {
        type: `${protobufType};stream=watch`,
        event: (type, body) =>
          loaded().event(type, body.type === protobufType ? [...body.bytes()] : [encodeObject(loaded(), body.object)]),
      },
    };
  };

  return {
    own({ resource, view }) {
      const apiVersion = apiVersionOf(resource);
      const id = `${apiVersion} ${resource.kind}`;
      let form = forms.get(id);
      if (!form) {
        form = formOf(apiVersion, resource.kind, view?.show);
        forms.set(id, form);
      }
      return form;
    },
    metadata: () => formOf("meta.k8s.io/v1", "PartialObjectMetadata", ({ metadata }) => ({ metadata })),
    async answer(response) {
      const { object } = response;
      if (response.headers["content-type"] !== "application/json" || !isObject(object)) return response;
      const { apiVersion, kind } = object;
      const known = encoder ?? (await load());
      if (typeof apiVersion !== "string" || typeof kind !== "string" || !known.knows(apiVersion, kind)) return response;
      const bytes = encodeObject(known, object);
      return { ...response, headers: { ...response.headers, "content-type": protobufType }, bytes: () => [bytes] };
    },
  };
}

/** Throws TypeError for an object whose kind has no message. */
function encodeObject(encoder: ProtobufEncoder, object: object): Uint8Array {
  const { apiVersion, kind } = object as KubeObject;
  return encoder.body(apiVersion, kind, object);
}
