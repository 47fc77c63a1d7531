import { createHash } from "node:crypto";
import { type RememberedAnswers, renderTemplate, type RequestFacts } from "../../routing/index.ts";
import type { Clock } from "../../system/index.ts";

/** What an authorization service said: its status, and fields of its answer by name in lower case. */
export interface Said {
  readonly status: number;
  readonly fields: ReadonlyMap<string, string>;
}

/** Answers of authorization services that hold for more than one request. */
export interface AnswerMemory {
  find(key: string): Said | undefined;
  keep(key: string, said: Said, seconds: number): void;
}

/** Answers that are kept, beyond which the oldest is forgotten; and characters of the fields of one. */
const [mostAnswers, mostText] = [4096, 4096];

export function createAnswerMemory(clock: Clock): AnswerMemory {
  const kept = new Map<string, { readonly said: Said; readonly until: number }>();
  return {
    find(key) {
      const found = kept.get(key);
      if (!found) return undefined;
      if (found.until > clock.now()) return found.said;
      kept.delete(key);
      return undefined;
    },
    keep(key, said, seconds) {
      let text = 0;
      for (const [name, value] of said.fields) text += name.length + value.length;
      if (text > mostText) return;
      kept.delete(key);
      const [oldest] = kept.size >= mostAnswers ? kept.keys() : [];
      if (oldest !== undefined) kept.delete(oldest);
      kept.set(key, { said, until: clock.now() + seconds * 1000 });
    },
  };
}

/** Requests with the same key have the same answer. */
export function answerKey({ scope, key }: RememberedAnswers, facts: RequestFacts): string {
  return createHash("sha256")
    .update(`${scope}\0${renderTemplate(key, facts)}`)
    .digest("base64");
}

/** For how many seconds an answer holds; 0 for one that may not be kept. `field` is that of the answer. */
export function secondsOf(
  { seconds }: RememberedAnswers,
  status: number,
  field: (name: string) => string | undefined,
): number {
  // What went wrong may be right the next time.
  if (status >= 500) return 0;
  if (field("set-cookie") !== undefined || field("vary") !== undefined) return 0;
  if (/no-cache|no-store|private|max-age=0/i.test(field("cache-control") ?? "")) return 0;
  return seconds[String(status)] ?? seconds["any"] ?? 0;
}
