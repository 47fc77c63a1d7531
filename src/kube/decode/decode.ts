import { apiVersionOf } from "../resource.ts";
import type { KubeObject } from "../object.ts";
import { definitionOf, type GroupVersionKind } from "../schema.ts";
import { statusError, type StatusError } from "../status.ts";
import { isObject } from "../values/equal.ts";
import { JsonSyntaxError, parseJson, type ParsedJson } from "./json.ts";
import { structure, StructureError } from "./structure.ts";

/** What to do about fields that are unknown or given twice: nothing, a warning, or refusing the request. */
export type FieldValidation = "Ignore" | "Warn" | "Strict";

export interface DecodeOptions {
  /** Default "Ignore". */
  readonly fieldValidation?: FieldValidation;
  /** Fields known to have been given twice, where `body` is a value that was parsed elsewhere. */
  readonly duplicates?: readonly string[];
}

export interface Decoded<T> {
  readonly object: T;
  /** For the client, as `Warning` headers. */
  readonly warnings: readonly string[];
}

const scheme = "pkg/api/legacyscheme/scheme.go:30";

/**
 * Reads an object of `expected` from a request body: JSON bytes, or a value already parsed. The result is new plain data in the
 * structure of its kind; unknown fields and nulls are dropped. An absent apiVersion or kind is filled in.
 * Throws 400 BadRequest in the words of the Kubernetes API server.
 */
export function decode<T = KubeObject>(
  expected: GroupVersionKind,
  body: Uint8Array | object,
  options: DecodeOptions = {},
): Decoded<T> {
  const parsed =
    body instanceof Uint8Array ? parseBytes(expected, body) : { value: body, duplicates: options.duplicates ?? [] };
  const { value, duplicates } = parsed;
  if (!isObject(value)) throw unrecognized(expected, body, headerError(value));
  const header = { apiVersion: readHeader("apiVersion"), kind: readHeader("kind") };
  const problem = (text: string) => cannotHandle(expected, header, text);
  checkKind(expected, header);

  const definition = definitionOf(expected);
  if (!definition) throw new Error(`no definition for ${expected.kind}`);
  try {
    const { value: object, unknown } = structure(definition, value);
    const strict = [
      ...unknown.map((path) => `unknown field ${JSON.stringify(path)}`),
      ...duplicates.map((path) => `duplicate field ${JSON.stringify(path)}`),
    ];
    if (strict.length > 0 && options.fieldValidation === "Strict") throw problem(strictError(strict));
    const warnings = options.fieldValidation === "Warn" ? strict : [];
    const { metadata = {}, apiVersion: _, kind: __, ...rest } = object;
    return { object: { apiVersion: apiVersionOf(expected), kind: expected.kind, metadata, ...rest } as T, warnings };
  } catch (error) {
    if (error instanceof StructureError) throw problem(error.message);
    throw error;
  }

  function readHeader(field: "apiVersion" | "kind"): string {
    const given = isObject(value) ? (value[field] ?? "") : "";
    if (typeof given !== "string") throw unrecognized(expected, body, headerError(given, field));
    return given;
  }
}

/** What an object says it is; "" where it says nothing. */
interface Header {
  readonly apiVersion: string;
  readonly kind: string;
}

/** The text of an error that lists fields given twice or unknown. */
export const strictError = (faults: readonly string[]): string => `strict decoding error: ${faults.join(", ")}`;

function parseBytes(expected: GroupVersionKind, body: Uint8Array): ParsedJson {
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    const text = error instanceof JsonSyntaxError ? error.message : "invalid UTF-8 in JSON input";
    throw unrecognized(expected, body, `couldn't get version/kind; json parse error: ${text}`);
  }
}

/** 400 for an object whose apiVersion and kind are not those that the URL means. */
function checkKind(expected: GroupVersionKind, header: Header): void {
  const version = apiVersionOf(expected);
  const { apiVersion = version, kind = expected.kind } = withoutEmpty(header);
  if (kind === expected.kind && apiVersion === version) return;
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

function headerError(value: unknown, field?: "apiVersion" | "kind"): string {
  const type = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  const target =
    field === undefined
      ? 'Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
      : `Go struct field .${field} of type string`;
  return `couldn't get version/kind; json parse error: json: cannot unmarshal ${type} into ${target}`;
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
