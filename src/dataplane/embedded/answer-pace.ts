import type { Filter } from "../../routing/index.ts";

export type AnswerRate = Extract<Filter, { type: "AnswerRate" }>;

/** Bytes that may be sent now: those that are free, and a second's worth at once, as nginx counts. `sent` before, `ms` since the first. */
export function bytesNow({ bytes, after }: AnswerRate, sent: number, ms: number): number {
  return Math.max(0, Math.floor(after + bytes * (1 + ms / 1000)) - sent);
}

/** Milliseconds until there is something worth sending of `left` bytes, of which none may be sent now: a twentieth of a second's worth. */
export function waitFor({ bytes }: AnswerRate, left: number): number {
  return Math.max(10, Math.min(50, (left / bytes) * 1000));
}
