import { randomFillSync } from "node:crypto";

/** Flags of a trace (W3C Trace Context level 2, section 3.2.2.5); no others are passed on. */
export const traceFlags = {
  /** Its spans are recorded. */
  sampled: 1,
  /** The last seven bytes of its id were drawn at random. */
  random: 2,
} as const;

/** The place of a request in a trace. Ids are hexadecimal, in lower case, and never zero alone. */
export interface TraceContext {
  /** 32 digits. */
  readonly traceId: string;
  /** 16 digits: the span that this proxy makes, which endpoints get as their parent. */
  readonly spanId: string;
  /** 16 digits: the client's span. Absent: the trace begins here. */
  readonly parentId?: string;
  /** Of `traceFlags`. */
  readonly flags: number;
}

/** What a `traceparent` says. */
export interface Traceparent {
  readonly traceId: string;
  readonly spanId: string;
  readonly flags: number;
}

const shape = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const nothing = /^0+$/;

/**
 * Reads a `traceparent` to the letter of W3C Trace Context level 2: of a version after 00 that is read which 00 has; what is wrong in any
 * part, or there twice (values are joined by commas then), says nothing at all.
 */
export function readTraceparent(value: string): Traceparent | undefined {
  const [, version, traceId = "", spanId = "", flags = "", more] = shape.exec(value) ?? [];
  if (version === undefined || version === "ff" || (version === "00" && more !== undefined)) return undefined;
  if (nothing.test(traceId) || nothing.test(spanId)) return undefined;
  return { traceId, spanId, flags: Number.parseInt(flags, 16) & (traceFlags.sampled | traceFlags.random) };
}

/** The `traceparent` that an endpoint gets. */
export function writeTraceparent({ traceId, spanId, flags }: TraceContext): string {
  return `00-${traceId}-${spanId}-0${flags}`;
}

export const isSampled = ({ flags }: Pick<TraceContext, "flags">): boolean => (flags & traceFlags.sampled) !== 0;

const members = 32;
const member =
  /^(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** True for a `tracestate` that may be told of (W3C Trace Context, section 3.3.1). Endpoints get it whether it is or not: it is theirs to judge. */
export function isTracestate(value: string): boolean {
  const list = value.split(",").map((each) => each.replace(/^[ \t]+|[ \t]+$/g, ""));
  const named = list.filter((each) => each !== "");
  const keys = new Set(named.map((each) => each.slice(0, each.indexOf("="))));
  return (
    named.length > 0 &&
    named.length <= members &&
    keys.size === named.length &&
    named.every((each) => member.test(each))
  );
}

/** Says of each request where it is in which trace. */
export interface Tracer {
  /** `traceparent`: the client's, if it has sent one. */
  begin(traceparent: string | undefined): TraceContext;
}

export interface TracerOptions {
  /** Share of the traces that begin here of which spans are recorded: 0 to 1. Others are recorded when their parent is. */
  readonly sample: number;
  /** From 0 up to 1. */
  readonly random?: () => number;
}

export function createTracer({ sample, random = Math.random }: TracerOptions): Tracer {
  return {
    begin(traceparent) {
      const parent = traceparent === undefined ? undefined : readTraceparent(traceparent);
      const spanId = randomId(8);
      if (parent) return { traceId: parent.traceId, spanId, parentId: parent.spanId, flags: parent.flags };
      const sampled = random() < sample ? traceFlags.sampled : 0;
      return { traceId: randomId(16), spanId, flags: traceFlags.random | sampled };
    },
  };
}

/** Random bytes are drawn for many ids at once: a call for each would cost more than all else here. */
const pool = Buffer.alloc(4_096);
let taken = pool.length;

function randomId(bytes: number): string {
  for (;;) {
    if (taken + bytes > pool.length) {
      randomFillSync(pool);
      taken = 0;
    }
    const id = pool.toString("hex", taken, (taken += bytes));
    if (!nothing.test(id)) return id;
  }
}
