import type { Field, HeaderChanges } from "../../routing/index.ts";
import { type RenderedRewrite, rewrittenAnswer } from "./answer-rewrite.ts";

// They say how long a message is and what becomes of the connection: no route may.
const untouchable = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Fields, as name, value, name, value, after changes: remove, then set, then add (HTTPHeaderFilter). */
export function changedFields(headers: readonly string[], changes: HeaderChanges): string[] {
  const removed = new Set(changes.remove.map((name) => name.toLowerCase()));
  const set = fieldsByName(changes.set);
  const add = fieldsByName(changes.add);
  for (const name of untouchable) {
    removed.delete(name);
    set.delete(name);
    add.delete(name);
  }
  const out: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const lower = name.toLowerCase();
    // A request is never without Host.
    if (removed.has(lower) && lower !== "host") continue;
    const replaced = set.get(lower);
    if (replaced) continue;
    const added = add.get(lower);
    if (added) {
      // As one list: to many servers only the first of two fields counts.
      out.push(name, `${headers[i + 1] as string},${added.value}`);
      add.delete(lower);
    } else out.push(name, headers[i + 1] as string);
  }
  for (const { name, value } of [...set.values(), ...add.values()]) out.push(name, value);
  return out;
}

/** An answer's fields after all that a route does to them. */
export function changedAnswer(
  fields: string[],
  {
    rewrites,
    responseFields,
    responseChanges,
  }: {
    readonly rewrites: readonly RenderedRewrite[];
    readonly responseFields: readonly Field[];
    readonly responseChanges: readonly HeaderChanges[];
  },
): string[] {
  let headers = rewrites.length > 0 ? rewrittenAnswer(fields, rewrites) : fields;
  if (responseFields.length > 0) headers = changedFields(headers, { set: responseFields, add: [], remove: [] });
  for (const changes of responseChanges) headers = changedFields(headers, changes);
  return headers;
}

function fieldsByName(fields: readonly Field[]): Map<string, Field> {
  return new Map(fields.map((field) => [field.name.toLowerCase(), field]));
}

/** Fields of a request that is sent on without its body: `changedFields` leaves alone what says how long a message is. */
export function withoutBody(headers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    if (/^(?:content-length|transfer-encoding|te|trailer)$/i.test(name)) continue;
    kept.push(name, headers[i + 1] as string);
  }
  return kept;
}
