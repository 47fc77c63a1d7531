import { type AnswerRewrite, renderTemplate, type RequestFacts } from "../../routing/index.ts";

/** An `AnswerRewrite` for one request. */
export interface RenderedRewrite {
  readonly what: AnswerRewrite["what"];
  readonly from: string;
  readonly to: string;
}

export function renderRewrite({ what, from, to }: AnswerRewrite, facts: RequestFacts): RenderedRewrite {
  return { what, from: renderTemplate(from, facts), to: renderTemplate(to, facts) };
}

/** Fields of an endpoint's answer, as name, value, name, value, with what is to stand in the place of something else. */
export function rewrittenAnswer(fields: readonly string[], rewrites: readonly RenderedRewrite[]): string[] {
  return fields.map((text, index) => {
    const name = index % 2 === 0 ? "" : (fields[index - 1] as string).toLowerCase();
    return rewrites.reduce((value, rewrite) => rewritten(name, value, rewrite), text);
  });
}

function rewritten(name: string, value: string, { what, from, to }: RenderedRewrite): string {
  const begins = (text: string): string => (text.startsWith(from) ? to + text.slice(from.length) : text);
  if (what === "location") {
    if (name === "location") return begins(value);
    return name === "refresh"
      ? value.replace(/(url=)(.*)$/i, (_, before: string, url: string) => before + begins(url))
      : value;
  }
  if (name !== "set-cookie") return value;
  const attribute = what.slice("cookie-".length);
  return value.replaceAll(/(;\s*)([^=;]+)=([^;]*)/g, (all, before: string, key: string, text: string) => {
    if (key.trim().toLowerCase() !== attribute) return all;
    const now = attribute === "path" ? begins(text) : bare(text) === bare(from) ? to : text;
    return `${before}${key}=${now}`;
  });
}

const bare = (domain: string): string => domain.toLowerCase().replace(/^\./, "");
