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
  const problem = (text: string) => cannotHandle(expected, value, text);
  if (!isObject(value)) throw unrecognized(expected, body, headerError(value));
  for (const field of ["apiVersion", "kind"]) {
    const given = value[field];
    if (given !== undefined && given !== null && typeof given !== "string") {
      throw unrecognized(expected, body, headerError(given, field === "kind" ? "Kind" : "APIVersion", field));
    }
  }
  checkKind(expected, value);

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
function checkKind(expected: GroupVersionKind, value: Record<string, unknown>): void {
  const kind = value["kind"] || expected.kind;
  const apiVersion = value["apiVersion"] || apiVersionOf(expected);
  if (kind === expected.kind && apiVersion === apiVersionOf(expected)) return;
  const known = definitionOf(parseGroupVersionKind(String(apiVersion), String(kind)));
  if (!known) {
    throw cannotHandle(
      expected,
      value,
      `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "${scheme}"`,
    );
  }
  if (kind === expected.kind) {
    throw statusError(
      "BadRequest",
      `the API version in the data (${String(apiVersion)}) does not match the expected API version (${apiVersionOf(expected)})`,
    );
  }
  const own = parseGroupVersionKind(String(apiVersion), String(kind));
  throw cannotHandle(
    expected,
    value,
    `converting (${own.version}.${own.kind}) to (${internalPackage(expected)}.${expected.kind}): unknown conversion`,
  );
}

const internalPackage = ({ group }: GroupVersionKind) => (group === "" ? "core" : (group.split(".")[0] ?? group));

/** Splits `apps/v1` and `Deployment`. */
export function parseGroupVersionKind(apiVersion: string, kind: string): GroupVersionKind {
  const slash = apiVersion.indexOf("/");
  return slash < 0
    ? { group: "", version: apiVersion, kind }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1), kind };
}

function cannotHandle(expected: GroupVersionKind, value: unknown, text: string): StatusError {
  const given = isObject(value) ? value : {};
  const kind = typeof given["kind"] === "string" && given["kind"] !== "" ? given["kind"] : expected.kind;
  const apiVersion = typeof given["apiVersion"] === "string" ? given["apiVersion"] : "";
  const version = apiVersion === "" ? expected.version : parseGroupVersionKind(apiVersion, kind).version;
  return statusError(
    "BadRequest",
    `${kind} in version ${JSON.stringify(version)} cannot be handled as a ${expected.kind}: ${text}`,
  );
}

function headerError(value: unknown, goField?: string, field?: string): string {
  const type = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  const target =
    goField === undefined
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
