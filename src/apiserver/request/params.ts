import { invalid, statusError, type FieldError } from "../../kube/index.ts";
import { decodeContinue, type ListQuery, type WatchQuery } from "../storage/index.ts";
import { isTrue } from "./request-info.ts";

/** A whole number from a query. Throws StatusError BadRequest in the words of apimachinery's conversion. */
function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  const why = !/^[+-]?\d+$/.test(text)
    ? "invalid syntax"
    : BigInt(text.replace("+", "")) === BigInt.asIntN(64, BigInt(text.replace("+", "")))
      ? undefined
      : "value out of range";
  if (why !== undefined) throw statusError("BadRequest", `strconv.ParseInt: parsing ${JSON.stringify(text)}: ${why}`);
  return Math.min(Number(text), Number.MAX_SAFE_INTEGER);
}

const mostVersion = 2n ** 64n - 1n;

/** `resourceVersion`: "" or a whole number of 64 bits. Throws StatusError BadRequest for anything else. */
export function versionParam(query: URLSearchParams): string {
  const text = query.get("resourceVersion") ?? "";
  // Almost all.
  if (text === "" || /^\d{1,15}$/.test(text)) return text;
  const why = /^\d+$/.test(text) ? (BigInt(text) > mostVersion ? "value out of range" : undefined) : "invalid syntax";
  if (why === undefined) return text;
  const given = JSON.stringify(text);
  throw statusError(
    "BadRequest",
    `invalid resource version: resourceVersion: Invalid value: ${given}: strconv.ParseUint: parsing ${given}: ${why}`,
  );
}

/** Query of a list. Throws StatusError for combinations that ValidateListOptions forbids. */
export function listQuery(query: URLSearchParams): ListQuery {
  const match = query.get("resourceVersionMatch") ?? "";
  const token = query.get("continue") ?? "";
  const resourceVersion = query.get("resourceVersion") ?? "";
  const errors: FieldError[] = [];
  if (match) {
    const forbid = (detail: string): void => {
      errors.push({ type: "Forbidden", field: "resourceVersionMatch", detail });
    };
    if (!resourceVersion) forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (token) forbid("resourceVersionMatch is forbidden when continue is provided");
    if (match !== "Exact" && match !== "NotOlderThan") errors.push(notSupported(match, ["Exact", "NotOlderThan", ""]));
    if (match === "Exact" && resourceVersion === "0")
      forbid('resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
  }
  if (query.has("sendInitialEvents"))
    errors.push({ type: "Forbidden", field: "sendInitialEvents", detail: "sendInitialEvents is forbidden for list" });
  refuse(errors);
  const limit = integer(query, "limit");
  // A list has no use for it, but says when it is none.
  integer(query, "timeoutSeconds");
  if (token) {
    if (resourceVersion && resourceVersion !== "0")
      throw statusError("BadRequest", "specifying resource version is not allowed when using continue");
    decodeContinue(token);
  }
  return {
    resourceVersion: versionParam(query),
    match: match as ListQuery["match"],
    limit: Math.max(0, limit ?? 0),
    continue: token,
  };
}

/** Query of a watch. A watch without a time limit gets one between 30 and 60 minutes, as in Kubernetes. */
export function watchQuery(query: URLSearchParams): WatchQuery {
  const match = query.get("resourceVersionMatch") ?? "";
  const initial = query.get("sendInitialEvents");
  const errors: FieldError[] = [];
  const forbid = (detail: string): void => {
    errors.push({ type: "Forbidden", field: "resourceVersionMatch", detail });
  };
  if (initial !== null && match !== "NotOlderThan")
    forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
  if (match) {
    if (initial === null) forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    if (match !== "NotOlderThan") errors.push(notSupported(match, ["NotOlderThan"]));
    if (query.get("continue")) forbid("resourceVersionMatch is forbidden when continue is provided");
  }
  refuse(errors);
  integer(query, "limit");
  const seconds = integer(query, "timeoutSeconds") ?? 0;
  const resourceVersion = versionParam(query);
  // Without a version a watch has always begun with the state; since KEP-3157 it says where that ends.
  const legacy = resourceVersion === "" || resourceVersion === "0";
  return {
    resourceVersion,
    sendInitialEvents: initial === null ? (legacy ? true : undefined) : isTrue(initial),
    bookmarks: isTrue(query.get("allowWatchBookmarks")),
    timeout: seconds > 0 ? seconds * 1000 : 1_800_000 * (1 + Math.random()),
  };
}

function notSupported(value: string, allowed: readonly string[]): FieldError {
  const detail = `supported values: ${allowed.map((v) => JSON.stringify(v)).join(", ")}`;
  return { type: "NotSupported", field: "resourceVersionMatch", value, detail };
}

function refuse(errors: readonly FieldError[]): void {
  if (errors.length > 0) throw invalid({ group: "meta.k8s.io", kind: "ListOptions" }, "", errors);
}

export type FieldValidation = "Ignore" | "Warn" | "Strict";

/** What all writes may say in their query. */
export interface WriteQuery {
  readonly dryRun: boolean;
  readonly fieldValidation: FieldValidation;
  /** An apply takes fields from those who manage them. */
  readonly force: boolean;
}

/** Throws StatusError Invalid for values that are none. The server's default for unknown fields is to warn. */
export function writeQuery(query: URLSearchParams, options: string, applies = false): WriteQuery {
  const errors: FieldError[] = [];
  const force = query.get("force");
  if (applies && !query.get("fieldManager"))
    errors.push({ type: "Required", field: "fieldManager", detail: "is required for apply patch" });
  if (options === "PatchOptions" && !applies && force !== null && force !== "")
    errors.push({ type: "Forbidden", field: "force", detail: "may not be specified for non-apply patch" });
  const dryRun = query.getAll("dryRun").filter((value) => value !== "");
  for (const value of dryRun) {
    if (value === "All") continue;
    errors.push({ type: "NotSupported", field: "dryRun", value: dryRun, detail: 'supported values: "All"' });
    break;
  }
  const validation = query.get("fieldValidation") || "Warn";
  if (validation !== "Ignore" && validation !== "Warn" && validation !== "Strict") {
    const detail = 'supported values: "", "Ignore", "Strict", "Warn"';
    errors.push({ type: "NotSupported", field: "fieldValidation", value: validation, detail });
  }
  const manager = query.get("fieldManager") ?? "";
  if (Buffer.byteLength(manager) > 128)
    errors.push({ type: "TooLong", field: "fieldManager", detail: "may not be more than 128 bytes" });
  for (const { 0: char, index } of manager.matchAll(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu)) {
    const code = (char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
    const at = Buffer.byteLength(manager.slice(0, index));
    const detail = `invalid character U+${code} (at position ${at})`;
    errors.push({ type: "Invalid", field: "fieldManager", value: manager, detail });
  }
  if (errors.length > 0) throw invalid({ group: "meta.k8s.io", kind: options }, "", errors);
  return {
    dryRun: dryRun.length > 0,
    fieldValidation: validation as FieldValidation,
    force: applies && isTrue(force),
  };
}
