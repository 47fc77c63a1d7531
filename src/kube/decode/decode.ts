import { apiVersionOf } from "../resource.ts";
import { invalid } from "../field-error.ts";
import type { KubeObject } from "../object.ts";
import { definitionOf, type GroupVersionKind } from "../schema.ts";
import { statusError, type StatusError } from "../status.ts";
import { fault } from "../validation/fault.ts";
import { isObject } from "../values/equal.ts";
import { JsonSyntaxError, parseJson, type ParsedJson } from "./json.ts";
import { structure, StructureError, type Structured } from "./structure.ts";

/** What to do about fields that are unknown or given twice: nothing, a warning, or refusing the request. */
export type FieldValidation = "Ignore" | "Warn" | "Strict";

export interface DecodeOptions {
  /** Default "Ignore". */
  readonly fieldValidation?: FieldValidation;
  /** What is to be said of fields given twice, where `body` is a value that was parsed elsewhere. */
  readonly duplicates?: readonly string[];
}

export interface Decoded<T> {
  readonly object: T;
  /** For the client, as `Warning` headers. */
  readonly warnings: readonly string[];
}

/** What is read: a kind, and how its values are read where that is not by the definition of a built-in kind. */
export interface Readable extends GroupVersionKind {
  readonly reads?: (value: Readonly<Record<string, unknown>>) => Structured;
}

const scheme = "pkg/api/legacyscheme/scheme.go:30";

/**
 * Reads an object of `expected` from a request body: JSON bytes, or a value already parsed. The result is new plain data in the
 * structure of its kind; unknown fields and nulls are dropped. An absent apiVersion or kind is filled in.
 * Throws 400 BadRequest in the words of the Kubernetes API server.
 */
export function decode<T = KubeObject>(
  expected: Readable,
  body: Uint8Array | object,
  options: DecodeOptions = {},
): Decoded<T> {
  const { value, duplicates } =
    body instanceof Uint8Array ? parseBytes(expected, body) : { value: body, duplicates: [] };
  const header = readHeader(expected, value, body);
  return read<T>(expected, header.value, duplicates, options, (text) => cannotHandle(expected, header, text));
}

/**
 * Reads what a patch has made of an object of `expected`, like `decode`. What is wrong is then the fault of the patch:
 * throws 422 Invalid with `patch` as the field. The message shows the patch, and nothing of the object that it was for.
 */
export function decodePatched<T = KubeObject>(
  expected: Readable,
  patched: unknown,
  patch: unknown,
  options: DecodeOptions = {},
): Decoded<T> {
  const problem = (text: string) =>
    invalid({ group: "", kind: "" }, "", [fault.invalid("patch", JSON.stringify(patch), text)]);
  if (!isObject(patched))
    throw problem(`json: cannot unmarshal ${nameOf(patched)} into Go value of type ${goName(expected)}`);
  readHeader(expected, patched, patched);
  return read<T>(expected, patched, [], options, problem);
}

const goName = ({ version, kind }: GroupVersionKind) => `${version}.${kind}`;

function read<T>(
  expected: Readable,
  value: Readonly<Record<string, unknown>>,
  duplicates: readonly string[],
  { fieldValidation, duplicates: before = [] }: DecodeOptions,
  problem: (text: string) => StatusError,
): Decoded<T> {
  let structured;
  try {
    structured = expected.reads ? expected.reads(value) : structureOf(expected, value);
  } catch (error) {
    throw error instanceof StructureError ? problem(error.message) : error;
  }
  const strict = [
    ...before,
    ...structured.unknown.map((path) => `unknown field ${JSON.stringify(path)}`),
    ...duplicates,
  ];
  if (strict.length > 0 && fieldValidation === "Strict") throw problem(`strict decoding error: ${strict.join(", ")}`);
  const { metadata = {}, ...fields } = structured.value;
  const header = { apiVersion: apiVersionOf(expected), kind: expected.kind };
  keepReset(metadata, value);
  // In this order, as Kubernetes writes objects.
  const object = { ...header, metadata, ...fields, ...header };
  return { object: object as T, warnings: fieldValidation === "Warn" ? strict : [] };
}

function structureOf(expected: GroupVersionKind, value: unknown): Structured {
  const definition = definitionOf(expected);
  if (!definition) throw new Error(`no definition for ${expected.kind}`);
  return structure(definition, value);
}

/** An empty list of managed fields, which else is as good as none, means that nobody manages the object any more. */
function keepReset(metadata: unknown, value: unknown): void {
  const given = isObject(value) && isObject(value["metadata"]) ? value["metadata"]["managedFields"] : undefined;
  if (isObject(metadata) && Array.isArray(given) && given.length === 0) metadata["managedFields"] = [];
}

/** What the value says it is. Throws 400 BadRequest unless that is `expected`. */
function readHeader(
  expected: Readable,
  given: unknown,
  body: Uint8Array | object,
): Header & { readonly value: Readonly<Record<string, unknown>> } {
  // To Go null is as good as an object with nothing in it.
  const value = given === null ? {} : given;
  if (!isObject(value)) throw unrecognized(expected, body, headerError(value));
  const text = (field: "apiVersion" | "kind"): string => {
    const own = value[field] ?? "";
    if (typeof own !== "string") throw unrecognized(expected, body, headerError(own, field));
    return own;
  };
  const header = { apiVersion: text("apiVersion"), kind: text("kind") };
  checkKind(expected, header);
  return { ...header, value };
}

/** What an object says it is; "" where it says nothing. */
interface Header {
  readonly apiVersion: string;
  readonly kind: string;
}

function parseBytes(expected: GroupVersionKind, body: Uint8Array): ParsedJson {
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    const text = error instanceof JsonSyntaxError ? error.message : "invalid UTF-8 in JSON input";
    throw unrecognized(expected, body, `couldn't get version/kind; json parse error: ${text}`);
  }
}

/** 400 for an object whose apiVersion and kind are not those that the URL means. */
function checkKind(expected: Readable, header: Header): void {
  const version = apiVersionOf(expected);
  const { apiVersion = version, kind = expected.kind } = withoutEmpty(header);
  if (kind === expected.kind && apiVersion === version) return;
  if (expected.reads) {
    if (apiVersion === version) throw invalid(expected, "", [fault.invalid("kind", kind, `must be ${expected.kind}`)]);
    const text = `the API version in the data (${apiVersion}) does not match the expected API version (${version})`;
    throw statusError("BadRequest", text);
  }
  const own = parseGroupVersionKind(apiVersion, kind);
  if (!definitionOf(own)) {
    const [shownKind, shownVersion] = [JSON.stringify(kind), JSON.stringify(apiVersion)];
    const text = `no kind ${shownKind} is registered for version ${shownVersion} in scheme "${scheme}"`;
    throw cannotHandle(expected, header, text);
  }
  if (kind === expected.kind) {
    const text = `the API version in the data (${apiVersion}) does not match the expected API version (${version})`;
    throw statusError("BadRequest", text);
  }
  const names = [`${own.version}.${own.kind}`, `${internalPackage(expected)}.${expected.kind}`];
  throw cannotHandle(expected, header, `converting (${names[0]}) to (${names[1]}): unknown conversion`);
}

const withoutEmpty = ({ apiVersion, kind }: Header): Partial<Header> => ({
  ...(apiVersion ? { apiVersion } : {}),
  ...(kind ? { kind } : {}),
});

const internalPackage = ({ group }: GroupVersionKind) => (group === "" ? "core" : (group.split(".")[0] ?? group));

/** Splits `apps/v1` and `Deployment`. */
export function parseGroupVersionKind(apiVersion: string, kind: string): GroupVersionKind {
  const slash = apiVersion.indexOf("/");
  return slash < 0
    ? { group: "", version: apiVersion, kind }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1), kind };
}

function cannotHandle(expected: GroupVersionKind, header: Header, text: string): StatusError {
  const { apiVersion = apiVersionOf(expected), kind = expected.kind } = withoutEmpty(header);
  const { version } = parseGroupVersionKind(apiVersion, kind);
  return statusError(
    "BadRequest",
    `${kind} in version ${JSON.stringify(version)} cannot be handled as a ${expected.kind}: ${text}`,
  );
}

/** What Go calls the type of a JSON value. */
const nameOf = (value: unknown): string =>
  Array.isArray(value) ? "array" : value === null ? "null" : typeof value === "boolean" ? "bool" : typeof value;

function headerError(value: unknown, field?: "apiVersion" | "kind"): string {
  const target =
    field === undefined
      ? 'Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
      : `Go struct field .${field} of type string`;
  return `couldn't get version/kind; json parse error: json: cannot unmarshal ${nameOf(value)} into ${target}`;
}

function unrecognized(expected: GroupVersionKind, body: Uint8Array | object, text: string): StatusError {
  const bytes = body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body) ?? "");
  return statusError(
    "BadRequest",
    `the object provided is unrecognized (must be of type ${expected.kind}): ${text} (${summarize(bytes)})`,
  );
}

/** The beginning of a body, as text when it looks like JSON, else as hexadecimal digits. */
function summarize(bytes: Uint8Array): string {
  if (bytes.length === 0) return "<empty>";
  const start = Buffer.from(bytes.subarray(0, 30));
  return `${bytes[0] === 0x7b ? start.toString() : start.toString("hex")}${bytes.length > 30 ? " ..." : ""}`;
}
