import type { TraceSettings } from "../tracing/tracing.ts";

/** A `traceparent` of a version that can be read; and what makes one worthless all the same (W3C Trace Context, section 3.2). */
const readable = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-|$)";
const worthless = "^(ff|00.{54}|..-0{32}|..-.{32}-0{16})";

/** Of a million: what the Lua program draws from, too. */
const million = 1_000_000;

export const shareOf = ({ sample }: Pick<TraceSettings, "sample">): number => Math.ceil(sample * million);

/** Members of a line of a request, of which there is nothing to be let out of a string. */
export const traceFormat = `,"traceparent-sent":"%[var(txn.traceparent)]","parent":"%[var(txn.parent),bytes(36,16)]","at":"%[var(txn.at)]"`;

/**
 * Rules by which a request gets its place in a trace, as `createTracer` does, each as its words: it is in `txn.traceparent`, and `txn.sampled` is
 * there when its span is recorded. The client's word is in `txn.parent`, when it is good.
 */
export function traceRules({ sample, only }: TraceSettings): readonly (readonly string[])[] {
  const rule = (text: string, ...more: string[]): string[] => [...text.split(" "), ...more];
  const parent = ["{", "var(txn.parent)", "-m", "found", "}"];
  const flag = (digits: string): string[] => [
    "{",
    "var(txn.parent),bytes(54,1)",
    "-m",
    "str",
    ...digits.split(""),
    "}",
  ];
  const share = shareOf({ sample });
  const isThere = (name: string): string[] => ["{", `req.fhdr(${name})`, "-m", "found", "}"];
  const drawn = share >= million ? [] : ["{", `rand(${million})`, "lt", String(share), "}"];
  return [
    rule("http-request set-var(txn.at) date(0,us)"),
    rule(
      "http-request set-var(txn.parent) req.fhdr(traceparent) if { req.fhdr_cnt(traceparent) eq 1 } { req.fhdr(traceparent) -m reg",
      readable,
      ..."} !{ req.fhdr(traceparent) -m reg".split(" "),
      worthless,
      "}",
    ),
    // What is changed below, for routes that are not traced.
    rule("http-request set-var(txn.said) req.fhdr(traceparent) if !{", ...parent.slice(1), ...isThere("traceparent")),
    rule("http-request set-var(txn.state) req.fhdr(tracestate) if !{", ...parent.slice(1), ...isThere("tracestate")),
    rule("http-request set-var(txn.flags) int(0)"),
    // Random in the sense of the specification are the ids that are made here.
    rule("http-request set-var(txn.flags) int(2) if", ...flag("2367abef"), "or", "!{", ...parent.slice(1)),
    rule("http-request set-var(txn.sampled) int(1) if", ...parent, ...flag("13579bdf")),
    ...(share > 0 ? [rule("http-request set-var(txn.sampled) int(1) if", "!{", ...parent.slice(1), ...drawn)] : []),
    rule("http-request set-var(txn.flags) var(txn.flags),add(1) if { var(txn.sampled) -m found }"),
    rule("http-request set-var(txn.trace) var(txn.parent),bytes(3,32) if", ...parent),
    rule("http-request set-var(txn.trace) uuid(),regsub(-,,g) unless", ...parent),
    // The half of it that is never zero.
    rule("http-request set-var(txn.span) uuid(),regsub(-,,g),bytes(16,16)"),
    rule("http-request set-var-fmt(txn.traceparent)", "00-%[var(txn.trace)]-%[var(txn.span)]-0%[var(txn.flags)]"),
    ...(only ? [rule("http-request set-log-level silent unless { var(txn.sampled) -m found }")] : []),
  ];
}

/** What an endpoint gets of it. What vendors say of a trace is meant for that trace only. */
export const traceFields: readonly (readonly string[])[] = [
  ["http-request", "set-header", "traceparent", "%[var(txn.traceparent)]"],
  ["http-request", "del-header", "tracestate", "unless", "{", "var(txn.parent)", "-m", "found", "}"],
];
