import { createHash } from "node:crypto";

/** Rows of one map: key to value. */
export type Entries = ReadonlyMap<string, string>;

/** Longer values are cut: a runtime command must fit into one of HAProxy's buffers. */
const longest = 4_000;

/** Puts a row under its key; where it is long in parts, which may go elsewhere. */
export function putRow(entries: Map<string, string>, key: string, text: string, pieces = entries): void {
  if (text.length <= longest) return void entries.set(key, text);
  // Its parts go by what they hold, so that a change of them is one change of one key.
  const id = `x${createHash("sha256").update(text).digest("hex").slice(0, 20)}`;
  const parts = Math.ceil(text.length / longest);
  for (let part = 0; part < parts; part++)
    // A blank at the end of a value would be lost.
    pieces.set(`${id}|${part}`, `:${text.slice(part * longest, (part + 1) * longest)}:`);
  entries.set(key, `: ${id} ${parts}`);
}
