import { ProviderFailure } from "./contract.ts";

/**
 * Something that the other side has answered, or a configuration, with the place where it stands. Reading it says what is wrong with it by that
 * place: `loadbalancers[2].vip_address: a text is needed`.
 */
export interface Shape {
  readonly value: unknown;
  readonly path: string;
  /** A field of a map. */
  at(name: string): Shape;
  isAbsent(): boolean;
  text(): string;
  number(): number;
  flag(): boolean;
  list(): readonly Shape[];
  /** Names and shapes of a map. */
  entries(): readonly (readonly [string, Shape])[];
}

/** What is wrong becomes this error: a ProviderFailure for answers, something else for configurations. */
export type Complaint = (message: string) => Error;

const broken: Complaint = (message) => new ProviderFailure("Broken", message);
const mostItems = 100_000;

/** Null counts as absent. Reading throws what `complain` makes, ProviderFailure Broken without it. */
export function shape(value: unknown, path = "", complain: Complaint = broken): Shape {
  const wrong = (what: string) => complain(`${path || "the answer"}: ${what} is needed, not ${kindOf(value)}`);
  const one: Shape = {
    value,
    path,
    at(name) {
      if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong("a map");
      const field = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
      return shape(field, path ? `${path}.${name}` : name, complain);
    },
    isAbsent: () => value === undefined || value === null,
    text() {
      if (typeof value !== "string") throw wrong("a text");
      return value;
    },
    number() {
      if (typeof value !== "number" || !Number.isFinite(value)) throw wrong("a number");
      return value;
    },
    flag() {
      if (typeof value !== "boolean") throw wrong("true or false");
      return value;
    },
    list() {
      if (!Array.isArray(value)) throw wrong("a list");
      if (value.length > mostItems) throw complain(`${path}: ${value.length} entries are more than ${mostItems}`);
      return value.map((item, index) => shape(item, `${path}[${index}]`, complain));
    },
    entries() {
      if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong("a map");
      return Object.keys(value).map((name) => [name, one.at(name)] as const);
    },
  };
  return one;
}

/** A text, or undefined where there is none. */
export const textIn = (one: Shape): string | undefined => (one.isAbsent() ? undefined : one.text());
export const numberIn = (one: Shape): number | undefined => (one.isAbsent() ? undefined : one.number());

function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return (
    { string: "a text", number: "a number", boolean: "true or false", object: "a map" }[typeof value as string] ??
    "that"
  );
}
