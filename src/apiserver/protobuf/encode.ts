import { isObject } from "../../kube/index.ts";
import { magic, messageNames as names, type Field } from "./fields.ts";
import { kinds, messages } from "./generated/messages.ts";
import { createOutput, type Output } from "./output.ts";
import { timestampOf } from "./timestamp.ts";

/** Writes objects in Kubernetes' protobuf encoding, byte for byte as Go's marshallers do. */
export interface ProtobufEncoder {
  /** There is a message for this kind. */
  knows(apiVersion: string, kind: string): boolean;
  /** The message of an object, without envelope. Throws TypeError for a kind that is not known or a value that does not fit its field. */
  message(apiVersion: string, kind: string, object: object): Uint8Array<ArrayBuffer>;
  /** A body around a message: what comes before it, and after it. */
  envelope(apiVersion: string, kind: string, length: number): { head: Uint8Array; end: Uint8Array };
  /** A whole body. Throws as `message` does. */
  body(apiVersion: string, kind: string, object: object): Uint8Array;
  /** The bodies of these messages as one list. */
  list(apiVersion: string, kind: string, meta: object, items: readonly Uint8Array[]): Iterable<Uint8Array>;
  /** An event of a watch: its length in four bytes, the type, the object with its envelope. */
  event(type: string, body: readonly Uint8Array[]): Uint8Array;
}

type Write = (out: Output, value: unknown) => void;

export function createProtobufEncoder(): ProtobufEncoder {
  const plans = new Map<string, Write>();
  const out = createOutput();

  /** Writes the fields of a message, the last first. Made when the first such message comes. */
  const planOf = (message: string): Write => {
    let plan = plans.get(message);
    if (!plan) {
      plan = compile(message);
      plans.set(message, plan);
    }
    return plan;
  };

  const compile = (message: string): Write => {
    const own = special[message];
    if (own) return own(planOf);
    let fields: readonly ((out: Output, object: Record<string, unknown>) => void)[] | undefined;
    return (to, value) => {
      fields ??= [...(messages[message] ?? [])].sort((a, b) => b[0] - a[0]).map((field) => fieldWriter(field, planOf));
      const object = value === undefined || value === null ? nothing : value;
      if (!isObject(object)) throw new TypeError(`${message} is no object`);
      for (const field of fields) field(to, object);
    };
  };

  const write = (message: string, object: object): Uint8Array<ArrayBuffer> => {
    try {
      planOf(message)(out, object);
    } catch (error) {
      out.take();
      throw error;
    }
    return out.take();
  };

  const message: ProtobufEncoder["message"] = (apiVersion, kind, object) => {
    const name = kinds[`${apiVersion} ${kind}`];
    if (name === undefined) throw new TypeError(`there is no message for ${apiVersion} ${kind}`);
    return write(name, object);
  };

  const envelope: ProtobufEncoder["envelope"] = (apiVersion, kind, length) => {
    out.varint(length);
    out.byte(textTag(2));
    const end = out.length;
    writeText(out, kind);
    out.byte(textTag(2));
    writeText(out, apiVersion);
    out.byte(textTag(1));
    out.varint(out.length - end);
    out.byte(textTag(1));
    out.bytes(magic);
    return { head: out.take(), end: envelopeEnd };
  };

  const tagged = (id: number, length: number): Uint8Array => {
    out.varint(length);
    out.byte(textTag(id));
    return out.take();
  };

  return {
    knows: (apiVersion, kind) => kinds[`${apiVersion} ${kind}`] !== undefined,
    message,
    envelope,
    body(apiVersion, kind, object) {
      const bytes = message(apiVersion, kind, object);
      const { head, end } = envelope(apiVersion, kind, bytes.length);
      return Buffer.concat([head, bytes, end]);
    },
    *list(apiVersion, kind, meta, items) {
      const metadata = write(names.listMeta, meta);
      const metadataTag = tagged(1, metadata.length);
      let length = metadataTag.length + metadata.length;
      for (const item of items) length += 1 + varintLength(item.length) + item.length;
      const { head, end } = envelope(apiVersion, kind, length);
      let parts: Uint8Array[] = [head, metadataTag, metadata];
      let size = 0;
      for (const item of items) {
        parts.push(tagged(2, item.length), item);
        size += item.length;
        if (size < chunk) continue;
        yield Buffer.concat(parts);
        parts = [];
        size = 0;
      }
      parts.push(end);
      yield Buffer.concat(parts);
    },
    event(type, body) {
      const end = out.length;
      for (let i = body.length - 1; i >= 0; i--) out.bytes(body[i] ?? none);
      out.varint(out.length - end);
      out.byte(textTag(1));
      out.varint(out.length - end);
      out.byte(textTag(2));
      writeText(out, type);
      out.byte(textTag(1));
      const length = out.length - end;
      for (const shift of [0, 8, 16, 24]) out.byte((length >>> shift) & 0xff);
      return out.take();
    },
  };
}

const none = new Uint8Array();
/** Bytes of a list that are handed on at once. */
const chunk = 64 << 10;

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
  return length;
}

const nothing: Record<string, unknown> = {};

type PlanOf = (message: string) => Write;

/** Writes one field of an object: value, length, tag. */
function fieldWriter(
  [id, name, type, rule]: Field,
  planOf: PlanOf,
): (out: Output, object: Record<string, unknown>) => void {
  const tag = id * 8 + wireOf(type);
  const write = valueWriter(type, planOf);
  switch (rule) {
    case "inline":
      return (out, object) => {
        write(out, object);
        out.varint(tag);
      };
    case "list":
      return (out, object) => {
        const list = object[name];
        if (list === undefined || list === null) return;
        if (!Array.isArray(list)) throw new TypeError(`${name} is no list`);
        for (let i = list.length - 1; i >= 0; i--) {
          write(out, list[i]);
          out.varint(tag);
        }
      };
    case "map":
      return mapWriter(name, tag, wireOf(type), write);
    case "pointer":
      return (out, object) => {
        const value = object[name];
        if (value === undefined || value === null) return;
        write(out, value);
        out.varint(tag);
      };
    default:
      // A slice of bytes is nil where it is not set.
      return (out, object) => {
        const value = object[name];
        if (type === "bytes" && (value === undefined || value === null)) return;
        write(out, value);
        out.varint(tag);
      };
  }
}

/** Entries in order of their keys. */
function mapWriter(
  name: string,
  tag: number,
  wire: number,
  write: Write,
): (out: Output, object: Record<string, unknown>) => void {
  return (out, object) => {
    const map = object[name];
    if (map === undefined || map === null) return;
    if (!isObject(map)) throw new TypeError(`${name} is no object`);
    const keys = Object.keys(map).sort();
    for (let i = keys.length - 1; i >= 0; i--) {
      const key = keys[i] as string;
      const end = out.length;
      write(out, map[key]);
      out.varint(2 * 8 + wire);
      writeText(out, key);
      out.byte(1 * 8 + 2);
      out.varint(out.length - end);
      out.varint(tag);
    }
  };
}

function wireOf(type: string): number {
  return type === "bool" || type.startsWith("int") ? 0 : type === "double" ? 1 : 2;
}

/** Writes a value with its length, where the type needs one. What is not there is written as Go's zero value. */
function valueWriter(type: string, planOf: PlanOf): Write {
  switch (type) {
    case "string":
      return (out, value) => writeText(out, typeof value === "string" ? value : zero(value, "a string", ""));
    case "bytes":
      return (out, value) =>
        writeBytes(out, Buffer.from(typeof value === "string" ? value : zero(value, "base64", ""), "base64"));
    case "bool":
      return (out, value) => out.byte((typeof value === "boolean" ? value : zero(value, "a boolean", false)) ? 1 : 0);
    case "int32":
    case "int64":
      return (out, value) => out.signed(typeof value === "number" ? Math.trunc(value) : zero(value, "a number", 0));
    case "double":
      return (out, value) => out.double(typeof value === "number" ? value : zero(value, "a number", 0));
    default: {
      let plan: Write | undefined;
      return (out, value) => {
        plan ??= planOf(type);
        const end = out.length;
        plan(out, value);
        out.varint(out.length - end);
      };
    }
  }
}

function zero<T>(value: unknown, wanted: string, none: T): T {
  if (value === undefined || value === null) return none;
  throw new TypeError(`${JSON.stringify(value)} is not ${wanted}`);
}

function writeText(out: Output, text: string): void {
  const end = out.length;
  out.text(text);
  out.varint(out.length - end);
}

function writeBytes(out: Output, bytes: Uint8Array): void {
  out.bytes(bytes);
  out.varint(bytes.length);
}

const textTag = (id: number): number => id * 8 + 2;

/** JSON inside protobuf, in field 1. */
const rawWriter: Write = (out, value) => {
  if (value === undefined || value === null) return;
  writeText(out, JSON.stringify(value));
  out.byte(textTag(1));
};

const time =
  (withFraction: boolean): Write =>
  (out, value) => {
    if (value === undefined || value === null) return;
    const { seconds, nanos } = timestampOf(value);
    out.signed(withFraction ? nanos : 0);
    out.byte(2 * 8);
    out.signed(seconds);
    out.byte(1 * 8);
  };

/** Lists that are messages of their own. */
const itemsWriter: Write = (out, value) => {
  if (value === undefined || value === null) return;
  if (!Array.isArray(value)) throw new TypeError("a list is none");
  for (let i = value.length - 1; i >= 0; i--) {
    writeText(out, String(value[i]));
    out.byte(textTag(1));
  }
};

const schema = names.schemaOrBool.replace(/OrBool$/, "");

/** One schema, or what else stands in its place. */
const schemaOr =
  (schemaId: number, writeOther: (out: Output, value: unknown, plan: Write) => void) =>
  (planOf: PlanOf): Write => {
    let plan: Write | undefined;
    return (out, value) => {
      plan ??= planOf(schema);
      if (!isObject(value)) return writeOther(out, value, plan);
      const end = out.length;
      plan(out, value);
      out.varint(out.length - end);
      out.byte(textTag(schemaId));
      if (schemaId === 2) writeBool(out, true);
    };
  };

/** Whether more properties are allowed: with a schema they are. */
function writeBool(out: Output, value: boolean): void {
  out.byte(value ? 1 : 0);
  out.byte(1 * 8);
}

/** Messages that are made of something else than an object with their fields. */
const special: Readonly<Record<string, (planOf: PlanOf) => Write>> = {
  [names.time]: () => time(false),
  [names.microTime]: () => time(true),
  [names.fieldsV1]: () => rawWriter,
  [names.rawExtension]: () => rawWriter,
  [names.json]: () => rawWriter,
  [names.verbs]: () => itemsWriter,
  ...Object.fromEntries(names.extraValues.map((name) => [name, () => itemsWriter])),
  [names.quantity]: () => (out, value) => {
    writeText(
      out,
      typeof value === "number" ? String(value) : typeof value === "string" ? value : zero(value, "a quantity", "0"),
    );
    out.byte(textTag(1));
  },
  [names.intOrString]: () => (out, value) => {
    writeText(out, typeof value === "string" ? value : "");
    out.byte(textTag(3));
    out.signed(typeof value === "number" ? value : 0);
    out.byte(2 * 8);
    out.byte(typeof value === "string" ? 1 : 0);
    out.byte(1 * 8);
  },
  [names.schemaOrArray]: schemaOr(1, (out, value, plan) => {
    if (!Array.isArray(value)) return;
    for (let i = value.length - 1; i >= 0; i--) {
      const end = out.length;
      plan(out, value[i]);
      out.varint(out.length - end);
      out.byte(textTag(2));
    }
  }),
  [names.schemaOrBool]: schemaOr(2, (out, value) => writeBool(out, value === true)),
  [names.schemaOrStrings]: schemaOr(1, (out, value) => {
    if (!Array.isArray(value)) return;
    for (let i = value.length - 1; i >= 0; i--) {
      writeText(out, String(value[i]));
      out.byte(textTag(2));
    }
  }),
};

/** The end of a body: no content encoding, no content type. */
const envelopeEnd = Uint8Array.of(textTag(3), 0, textTag(4), 0);
