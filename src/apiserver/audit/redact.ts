import type { RequestInfo } from "../request/request-info.ts";

/** What stands in an event in place of a secret value. */
export const redacted = "REDACTED";

/** kubectl's own copy of what it applied: of a Secret, all of its values once more. */
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";

/** Of Secrets, lists, tables and their rows. */
const fields = new Set([
  "apiVersion",
  "kind",
  "metadata",
  "type",
  "immutable",
  "data",
  "stringData",
  "items",
  "rows",
  "columnDefinitions",
  "cells",
  "object",
]);

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * The body of a request or an answer as an event may hold it, whatever level the policy asks for: values of Secrets, also in lists, tables and
 * patches, and tokens that were made or shown to be looked at are left out; their keys are not.
 */
export function withoutSecrets(info: RequestInfo, body: unknown): unknown {
  if (info.type !== "resource") return body;
  const { group, resource, subresource, verb } = info;
  // What comes with a delete is its options.
  if (group === "" && resource === "secrets") return verb.startsWith("delete") ? body : withoutValues(body);
  if (group === "" && resource === "serviceaccounts" && subresource === "token") return withoutToken(body, "status");
  if (group === "authentication.k8s.io" && resource === "tokenreviews") return withoutToken(body, "spec");
  return body;
}

/** Reasons whose words are of names and rights, never of what was sent. */
const plain: ReadonlySet<unknown> = new Set([
  "NotFound",
  "AlreadyExists",
  "Conflict",
  "Forbidden",
  "Unauthorized",
  "Expired",
]);

/** A Status as an event may hold it: why a Secret is not right is said, to who sent it, with the whole of it. */
export function statusWithoutSecrets<T extends { readonly reason?: string; readonly details?: object }>(
  info: RequestInfo,
  status: T,
): T {
  const isSecret = info.type === "resource" && info.group === "" && info.resource === "secrets";
  if (!isSecret || plain.has(status.reason) || !("message" in status)) return status;
  const { causes: _causes, ...details } = { causes: undefined, ...status.details };
  return { ...status, message: redacted, ...(status.details ? { details } : {}) };
}

function withoutValues(body: unknown): unknown {
  // JSON patch: what is set may be a value, or all of them.
  if (Array.isArray(body))
    return body.map((step) => (isFields(step) && "value" in step ? { ...step, value: redacted } : step));
  if (!isFields(body)) return body;
  const { data, stringData, metadata, items, rows } = body;
  // A field that no Secret has may be a slip of the pen.
  const strange = Object.keys(body).filter((key) => !fields.has(key));
  return {
    ...body,
    ...Object.fromEntries(strange.map((key) => [key, redacted])),
    ...(data === undefined ? {} : { data: withoutFields(data) }),
    ...(stringData === undefined ? {} : { stringData: withoutFields(stringData) }),
    ...(isFields(metadata) ? { metadata: withoutCopy(metadata) } : {}),
    ...(Array.isArray(items) ? { items: items.map(withoutValues) } : {}),
    ...(Array.isArray(rows)
      ? { rows: rows.map((row: unknown) => (isFields(row) ? { ...row, object: withoutValues(row["object"]) } : row)) }
      : {}),
  };
}

/** A null stays: it removes a key. What is no map at all may be a value in the wrong place. */
function withoutFields(values: unknown): unknown {
  if (!isFields(values)) return values === null ? null : redacted;
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value === null ? null : redacted]));
}

function withoutCopy(metadata: Fields): Fields {
  const { annotations } = metadata;
  if (!isFields(annotations) || annotations[lastApplied] === undefined) return metadata;
  return { ...metadata, annotations: { ...annotations, [lastApplied]: redacted } };
}

function withoutToken(body: unknown, part: "spec" | "status"): unknown {
  if (!isFields(body)) return body;
  const holder = body[part];
  return isFields(holder) && "token" in holder ? { ...body, [part]: { ...holder, token: redacted } } : body;
}
