import type { FieldError } from "../field-error.ts";

/** What a validator yields: every fault it finds, in the order of the fields. */
export type Faults = Iterable<FieldError>;

const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** Makers of faults, in the words of apimachinery's `field` package. `field` is a path from the root of the object. */
export const fault = {
  required: (field: string, detail = ""): FieldError => ({ type: "Required", field, detail }),
  invalid: (field: string, value: unknown, detail: string): FieldError => ({ type: "Invalid", field, value, detail }),
  /** Invalid for what is said of it, whatever it holds. */
  without: (field: string, detail: string): FieldError => ({ type: "Invalid", field, withoutValue: true, detail }),
  notSupported: (field: string, value: unknown, supported: readonly string[]): FieldError => ({
    type: "NotSupported",
    field,
    value,
    detail: `supported values: ${supported.map((item) => JSON.stringify(item)).join(", ")}`,
  }),
  forbidden: (field: string, detail: string): FieldError => ({ type: "Forbidden", field, detail }),
  duplicate: (field: string, value: unknown): FieldError => ({ type: "Duplicate", field, value, detail: "" }),
  notFound: (field: string, value: unknown): FieldError => ({ type: "NotFound", field, value, detail: "" }),
  /** `max` in bytes. */
  tooLong: (field: string, max: number): FieldError => ({
    type: "TooLong",
    field,
    detail: `may not be more than ${plural(max, "byte")}`,
  }),
  tooMany: (field: string, actual: number, max: number): FieldError => ({
    type: "TooMany",
    field,
    value: actual,
    detail: `must have at most ${plural(max, "item")}`,
  }),
};

/** One Invalid fault for each message that a name check gave. */
export function invalids(field: string, value: unknown, messages: readonly string[]): Faults {
  return messages.length === 0 ? none : messages.map((message) => fault.invalid(field, value, message));
}

/** No generator for each name that is good. */
const none: Faults = [];
