import type { StatusCause } from "./generated/types.ts";
import { statusError, type StatusError } from "./status.ts";

/** Kinds of fault, as apimachinery's `field.ErrorType`. */
export type FieldErrorType =
  | "Required"
  | "Invalid"
  | "NotSupported"
  | "Forbidden"
  | "Duplicate"
  | "NotFound"
  | "TooLong"
  | "TooMany"
  | "TypeInvalid"
  | "InternalError";

export interface FieldError {
  readonly type: FieldErrorType;
  /** Path from the root of the object, for example `spec.ports[0].nodePort`. */
  readonly field: string;
  /** The offending value; absent for Required and Forbidden. */
  readonly value?: unknown;
  /** The value says nothing: it is not shown. */
  readonly withoutValue?: true;
  readonly detail: string;
}

const words: Record<FieldErrorType, { reason: string; text: string; withValue: boolean }> = {
  Required: { reason: "FieldValueRequired", text: "Required value", withValue: false },
  Invalid: { reason: "FieldValueInvalid", text: "Invalid value", withValue: true },
  NotSupported: { reason: "FieldValueNotSupported", text: "Unsupported value", withValue: true },
  Forbidden: { reason: "FieldValueForbidden", text: "Forbidden", withValue: false },
  Duplicate: { reason: "FieldValueDuplicate", text: "Duplicate value", withValue: true },
  NotFound: { reason: "FieldValueNotFound", text: "Not found", withValue: true },
  TooLong: { reason: "FieldValueTooLong", text: "Too long", withValue: false },
  TooMany: { reason: "FieldValueTooMany", text: "Too many", withValue: true },
  TypeInvalid: { reason: "FieldValueTypeInvalid", text: "Invalid value", withValue: true },
  InternalError: { reason: "InternalError", text: "Internal error", withValue: false },
};

function messageOf(error: FieldError): string {
  const { text, withValue } = words[error.type];
  const value = withValue && !error.withoutValue ? `: ${shown(error)}` : "";
  return `${text}${value}${error.detail ? `: ${error.detail}` : ""}`;
}

const mapNames = /(?:^|\.)(?:labels|annotations|matchLabels)(?:\[[^[]*\])?$/;

/** The value as Go prints it as JSON: the keys of maps, of which labels are shown most, in order. */
function shown({ field, value }: FieldError): string {
  const sorted = (of: unknown): unknown =>
    typeof of === "object" && of !== null && !Array.isArray(of)
      ? Object.fromEntries(Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1)))
      : of;
  const text = JSON.stringify(mapNames.test(field) ? sorted(value) : (value ?? null), (key, of: unknown) =>
    mapNames.test(key) ? sorted(of) : of,
  );
  return text ?? "null";
}

/** One fault as text: the field, what is wrong and why. */
export function describeFault(error: FieldError): string {
  return `${error.field}: ${messageOf(error)}`;
}

/** The cause that a Status carries for this fault. */
export function causeOf(error: FieldError): StatusCause {
  return { reason: words[error.type].reason, message: messageOf(error), field: error.field };
}

/** 422 Invalid with one cause per fault, in the words of apimachinery's `NewInvalid`. */
export function invalid(
  resource: { group: string; kind: string },
  name: string | undefined,
  errors: readonly FieldError[],
): StatusError {
  const all = [...new Set(errors.map(describeFault))];
  const text = all.length === 1 ? all[0] : `[${all.join(", ")}]`;
  const qualified = resource.group ? `${resource.kind}.${resource.group}` : resource.kind;
  return statusError("Invalid", `${qualified} ${JSON.stringify(name ?? "")} is invalid: ${text}`, {
    ...(name ? { name } : {}),
    ...(resource.group ? { group: resource.group } : {}),
    ...(resource.kind ? { kind: resource.kind } : {}),
    causes: errors.map(causeOf),
  });
}
