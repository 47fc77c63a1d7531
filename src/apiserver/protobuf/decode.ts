import { statusError } from "../../kube/index.ts";
import { magic, messageNames as names, type Field } from "./fields.ts";
import { kinds, messages } from "./generated/messages.ts";
import { createReader, type Reader } from "./reader.ts";

/** Messages inside messages at most. */
const maxDepth = 100;

/**
 * Reads an object from Kubernetes' protobuf encoding (apimachinery's `runtime.Unknown` envelope), as the same object in JSON.
 * Throws StatusError BadRequest for bytes that are none, or a kind that is not known. `expected`: the kind for that message.
 */
export function decodeProtobuf(body: Uint8Array, expected = ""): Record<string, unknown> {
  if (body.length < magic.length || Buffer.compare(body.subarray(0, magic.length), magic) !== 0)
    throw notProtobuf(body, expected);
  const { typeMeta, raw } = envelope(createReader(body.subarray(magic.length)));
  const { apiVersion = "", kind = "" } = typeMeta;
  const message = kinds[`${kind === "DeleteOptions" ? "v1" : apiVersion} ${kind}`];
  if (!message)
    throw malformed(`no kind ${JSON.stringify(kind)} of version ${JSON.stringify(apiVersion)} is known in protobuf`);
  return { apiVersion, kind, ...readMessage(createReader(raw), message, 0) };
}

/** In upstream's words, with the beginning of the body. */
function notProtobuf(body: Uint8Array, expected: string): Error {
  const start = `${Buffer.from(body.subarray(0, 30)).toString("hex")}${body.length > 30 ? " ..." : ""}`;
  const text = `provided data does not appear to be a protobuf message, expected prefix [${[...magic].join(" ")}]`;
  return statusError(
    "BadRequest",
    `the object provided is unrecognized (must be of type ${expected}): ${text} (${start})`,
  );
}

function malformed(why: string): Error {
  return statusError("BadRequest", `the object provided is unrecognized: ${why}`);
}

function envelope(reader: Reader): { typeMeta: Record<string, string>; raw: Uint8Array } {
  let typeMeta: Record<string, string> = {};
  let raw: Uint8Array = new Uint8Array();
  for (let tag = reader.tag(); tag; tag = reader.tag()) {
    if (tag.field === 1 && tag.wire === 2) typeMeta = readTypeMeta(createReader(reader.bytes()));
    else if (tag.field === 2 && tag.wire === 2) raw = reader.bytes();
    else reader.skip(tag.wire);
  }
  return { typeMeta, raw };
}

function readTypeMeta(reader: Reader): Record<string, string> {
  const meta: Record<string, string> = {};
  for (let tag = reader.tag(); tag; tag = reader.tag()) {
    if (tag.wire !== 2) reader.skip(tag.wire);
    else if (tag.field === 1) meta["apiVersion"] = reader.string();
    else if (tag.field === 2) meta["kind"] = reader.string();
    else reader.skip(tag.wire);
  }
  return meta;
}

const items = ({ items: given = [] }: Record<string, unknown>): unknown => given;

/** Types that JSON writes in a way of their own. */
const special: Readonly<Record<string, (fields: Record<string, unknown>) => unknown>> = {
  [names.time]: ({ seconds }) => time(seconds, "Z"),
  [names.microTime]: ({ seconds, nanos = 0 }) =>
    time(seconds, `.${String(Math.floor(Number(nanos) / 1000)).padStart(6, "0")}Z`),
  [names.intOrString]: ({ type = 0, intVal = 0, strVal = "" }) => (type === 0 ? intVal : strVal),
  [names.quantity]: ({ string = "" }) => string,
  [names.fieldsV1]: ({ Raw = "" }) => parseRaw(Raw),
  [names.rawExtension]: ({ raw = "" }) => parseRaw(raw),
  [names.verbs]: items,
  ...Object.fromEntries(names.extraValues.map((name) => [name, items])),
  [names.json]: ({ raw = "" }) => parseRaw(raw),
  [names.schemaOrArray]: ({ schema, jSONSchemas = [] }) => schema ?? jSONSchemas,
  [names.schemaOrBool]: ({ schema, allows = false }) => schema ?? allows,
  [names.schemaOrStrings]: ({ schema, property = [] }) => schema ?? property,
};

/** Without seconds, a time is not set. */
function time(seconds: unknown, end: string): string | null {
  if (typeof seconds !== "number") return null;
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) throw malformed("a time is out of range");
  return date.toISOString().slice(0, 19) + end;
}

/** JSON inside protobuf, held as base64 by then. */
function parseRaw(base64: unknown): unknown {
  const text = Buffer.from(String(base64), "base64").toString();
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    throw malformed("a part that should be JSON is none");
  }
}

const fieldsById = new Map<string, Map<number, Field>>();

function fieldsOf(message: string): Map<number, Field> {
  let fields = fieldsById.get(message);
  if (!fields) {
    fields = new Map((messages[message] ?? []).map((field) => [field[0], field]));
    fieldsById.set(message, fields);
  }
  return fields;
}

function readMessage(reader: Reader, message: string, depth: number): Record<string, unknown> {
  if (depth > maxDepth) throw malformed("too deep");
  const fields = fieldsOf(message);
  const result: Record<string, unknown> = {};
  for (let tag = reader.tag(); tag; tag = reader.tag()) {
    const field = fields.get(tag.field);
    if (!field) {
      reader.skip(tag.wire);
      continue;
    }
    const [, name, type, rule] = field;
    if (rule === "map") {
      const [key, value] = readPair(createReader(reader.bytes()), type, depth);
      const map = (result[name] ??= {}) as Record<string, unknown>;
      Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
      continue;
    }
    const value = readValue(reader, type, tag.wire, depth);
    if (rule === "list") ((result[name] ??= []) as unknown[]).push(value);
    else if (rule === "inline") Object.assign(result, value);
    else if (rule === "kept" || rule === "pointer" || (value !== 0 && value !== false && value !== ""))
      result[name] = value;
  }
  return result;
}

function readPair(reader: Reader, type: string, depth: number): [string, unknown] {
  let key = "";
  let value: unknown = type === "string" || type === "bytes" ? "" : undefined;
  for (let tag = reader.tag(); tag; tag = reader.tag()) {
    if (tag.field === 1 && tag.wire === 2) key = reader.string();
    else if (tag.field === 2) value = readValue(reader, type, tag.wire, depth);
    else reader.skip(tag.wire);
  }
  return [key, value];
}

function readValue(reader: Reader, type: string, wire: number, depth: number): unknown {
  const expected = type === "bool" || type.startsWith("int") ? 0 : type === "double" ? 1 : 2;
  if (wire !== expected) throw malformed("a field has the wrong type");
  switch (type) {
    case "string":
      return reader.string();
    case "bytes":
      return Buffer.from(reader.bytes()).toString("base64");
    case "bool":
      return reader.integer() !== 0;
    case "int32":
    case "int64":
      return reader.integer();
    case "double":
      return reader.double();
    default: {
      const fields = readMessage(createReader(reader.bytes()), type, depth + 1);
      const convert = special[type];
      return convert ? convert(fields) : fields;
    }
  }
}
