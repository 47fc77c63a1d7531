// Every place of an object that holds a string, and what can be put there.

export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };
export type JsonObject = { readonly [name: string]: Json };

/** A string of an object: a value, or the name of a member of a map. */
export interface Place {
  readonly path: readonly (string | number)[];
  readonly text: string;
  /** It is the last name of `path` that is meant, and not what stands there. */
  readonly isName: boolean;
}

/** Maps whose names are a user's: those of other objects are fields. */
const maps = /^(?:annotations|labels|data|stringData|matchLabels|options|infrastructureLabels)$/;

/** All places of a value, in its own order. */
export function placesOf(value: Json, path: readonly (string | number)[] = [], names = false): Place[] {
  if (typeof value === "string") return [{ path, text: value, isName: false }];
  if (Array.isArray(value)) return value.flatMap((each: Json, index) => placesOf(each, [...path, index]));
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([name, each]) => [
    ...(names ? [{ path: [...path, name], text: name, isName: true }] : []),
    ...placesOf(each, [...path, name], maps.test(name)),
  ]);
}

/** The value with `text` at a place. */
export function withText(value: Json, { path, isName }: Pick<Place, "path" | "isName">, text: string): Json {
  const [step, ...rest] = path;
  if (step === undefined) return text;
  if (Array.isArray(value))
    return value.map((each: Json, index) => (index === step ? withText(each, { path: rest, isName }, text) : each));
  // Members are defined and not assigned: `__proto__` is a name like any other.
  return Object.fromEntries(
    Object.entries(value as JsonObject).map(([name, each]) => {
      if (name !== step) return [name, each];
      return isName && rest.length === 0 ? [text, each] : [name, withText(each, { path: rest, isName }, text)];
    }),
  );
}

/** The value with `text` wherever `from` is a whole string, or the name of a member of a map: what names a thing and what refers to it. */
export function replaced(value: Json, from: string, text: string, names = false): Json {
  if (typeof value === "string") return value === from ? text : value;
  if (Array.isArray(value)) return value.map((each: Json) => replaced(each, from, text));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [
      names && name === from ? text : name,
      replaced(each, from, text, maps.test(name)),
    ]),
  );
}
