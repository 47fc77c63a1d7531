import type { Clock, Logger, Metrics } from "../../system/index.ts";
import type { Attribute, Span } from "./span.ts";
import type { Tracing } from "./tracing.ts";

/** What a receiver has answered. */
export interface Received {
  readonly status: number;
  /** Field `Retry-After`. */
  readonly retryAfter?: string;
  readonly text: string;
}

/** Sends one message, JSON. Rejects when nobody has answered. */
export type PostSpans = (body: string, signal: AbortSignal) => Promise<Received>;

export interface SpanExporterOptions {
  readonly post: PostSpans;
  /** Whose spans they are. */
  readonly resource: readonly Attribute[];
  /** Version of this program. */
  readonly version: string;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
  /** Milliseconds that a span waits for others. Default: a second. */
  readonly wait?: number;
  /** From 0 up to 1. */
  readonly random?: () => number;
}

/** Sends spans to a receiver of OTLP over HTTP. Never blocks: what finds no room is left out, and counted. */
export interface SpanExporter extends Pick<Tracing, "add" | "lost"> {
  /** Sends what waits, for five seconds at most, and takes nothing more. */
  readonly close: () => Promise<void>;
}

/** Spans that wait at most, and those of one message. */
export const bounds = { waiting: 8_192, batch: 512 } as const;

/** Milliseconds that a message is tried for, and that the end may take. */
const patience = { message: 300_000, end: 5_000 } as const;
/** Milliseconds before the second try; each further one waits twice as long, up to the second. */
const backOff = { first: 1_000, most: 30_000 } as const;

/** Answers that say: later, perhaps (OTLP specification, "OTLP/HTTP Throttling" and "Failures"). All others are for good. */
const retryable = new Set([429, 502, 503, 504]);

/** The message that a batch is sent in: `ExportTraceServiceRequest`. */
export function messageOf(spans: readonly Span[], resource: readonly Attribute[], version: string): string {
  const scope = { name: "fairlead", version };
  return JSON.stringify({ resourceSpans: [{ resource: { attributes: resource }, scopeSpans: [{ scope, spans }] }] });
}

export function createSpanExporter(options: SpanExporterOptions): SpanExporter {
  const { post, resource, version, metrics, clock, log, random = Math.random, wait: gather = 1_000 } = options;
  const spansTotal = metrics.counter(
    "fairlead_tracing_spans_total",
    "Spans by what became of them: exported, dropped as the receiver took them too slowly or not at all, or rejected by it.",
    ["outcome"],
  );
  const exported = spansTotal("exported");
  const dropped = spansTotal("dropped");
  const rejected = spansTotal("rejected");
  let waiting: Span[] = [];
  let running: Promise<void> | undefined;
  let isClosed = false;
  /** What has been warned of, until it is over. */
  let trouble = "";
  /** No further pause. */
  const hurrying = new AbortController();
  const over = new AbortController();
  let filled = (): void => {};

  function complain(why: string, details: Readonly<Record<string, unknown>> = {}): void {
    if (trouble !== why) log.warn(details, why);
    trouble = why;
  }

  /** Returns whether the message has come to an end, or in how many milliseconds to try it again: undefined for whenever that suits. */
  async function attempt(body: string, count: number): Promise<"done" | { readonly again?: number }> {
    let answer: Received;
    try {
      answer = await post(body, over.signal);
    } catch (error) {
      complain("the receiver of spans does not answer", { error: String(error) });
      return {};
    }
    const { status, text } = answer;
    if (status >= 200 && status < 300) {
      const { spans, why } = partialSuccess(text);
      const refused = Math.min(count, spans);
      exported.inc(count - refused);
      if (refused > 0) {
        rejected.inc(refused);
        complain("the receiver of spans rejects some", { spans: refused, why });
      } else if (trouble !== "") {
        log.info({}, "the receiver takes spans again");
        trouble = "";
      }
      return "done";
    }
    if (retryable.has(status)) {
      complain("the receiver of spans cannot take them now", { status });
      const again = retryAfter(answer.retryAfter, clock.now());
      return again === undefined ? {} : { again };
    }
    rejected.inc(count);
    complain("the receiver of spans rejects them", { status, why: text.slice(0, 400) });
    return "done";
  }

  async function deliver(batch: readonly Span[]): Promise<void> {
    const body = messageOf(batch, resource, version);
    const until = clock.now() + patience.message;
    for (let wait: number = backOff.first; !over.signal.aborted; wait = Math.min(wait * 2, backOff.most)) {
      const outcome = await attempt(body, batch.length);
      if (outcome === "done") return;
      // Not all who were refused at once come back at once.
      const pause = outcome.again ?? wait * (0.5 + random() / 2);
      if (hurrying.signal.aborted || clock.now() + pause > until) break;
      await clock.sleep(pause, hurrying.signal).catch(() => {});
    }
    dropped.inc(batch.length);
  }

  async function run(): Promise<void> {
    // A message goes out when it is full, or when its first span has waited long enough.
    const full = new AbortController();
    filled = () => full.abort();
    if (waiting.length < bounds.batch)
      await clock.sleep(gather, AbortSignal.any([full.signal, hurrying.signal])).catch(() => {});
    while (waiting.length > 0) {
      const batch = waiting.slice(0, bounds.batch);
      waiting = waiting.slice(bounds.batch);
      await deliver(batch);
      // A last one that is not full waits for others again.
      if (waiting.length < bounds.batch && !hurrying.signal.aborted) break;
    }
    running = undefined;
    if (waiting.length > 0) begin();
  }

  function begin(): void {
    running ??= run();
  }

  return {
    add(spans) {
      const room = isClosed ? 0 : bounds.waiting - waiting.length;
      if (spans.length > room) dropped.inc(spans.length - Math.max(0, room));
      if (room <= 0) return;
      waiting.push(...(spans.length > room ? spans.slice(0, room) : spans));
      if (waiting.length >= bounds.batch) filled();
      begin();
    },
    lost: (spans) => dropped.inc(spans),
    async close() {
      isClosed = true;
      hurrying.abort();
      const late = clock.sleep(patience.end, over.signal).then(
        () => over.abort(),
        () => {},
      );
      while (running && !over.signal.aborted) await Promise.race([running, late]);
      over.abort();
      dropped.inc(waiting.length);
      waiting = [];
    },
  };
}

/** What an answer of success says of spans that were not taken all the same. */
function partialSuccess(text: string): { readonly spans: number; readonly why: string } {
  try {
    const { partialSuccess: said } = JSON.parse(text) as {
      readonly partialSuccess?: { readonly rejectedSpans?: unknown; readonly errorMessage?: unknown };
    };
    const spans = Number(said?.rejectedSpans ?? 0);
    const why = typeof said?.errorMessage === "string" ? said.errorMessage.slice(0, 400) : "";
    return { spans: Number.isFinite(spans) && spans > 0 ? spans : 0, why };
  } catch {
    // Protocol buffers, or nothing: it has said that it took them.
    return { spans: 0, why: "" };
  }
}

/** Milliseconds; the field has seconds or a date (RFC 9110 section 10.2.3). */
function retryAfter(field: string | undefined, now: number): number | undefined {
  if (field === undefined) return undefined;
  if (/^\d{1,9}$/.test(field.trim())) return Number(field) * 1_000;
  const at = Date.parse(field);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
