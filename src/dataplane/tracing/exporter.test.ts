import { expect, test } from "vitest";
import { createMetrics, FakeClock, silentLogger } from "../../system/index.ts";
import { bounds, createSpanExporter, type Received } from "./exporter.ts";
import { type Span, textAttribute } from "./span.ts";

const span = (spanId: string): Span => ({
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId,
  flags: 0x101,
  name: "GET /",
  kind: 2,
  startTimeUnixNano: "1",
  endTimeUnixNano: "2",
  attributes: [],
});

interface Message {
  readonly resourceSpans: readonly {
    readonly resource: unknown;
    readonly scopeSpans: readonly { readonly scope: unknown; readonly spans: readonly Span[] }[];
  }[];
}

/** An exporter, and a receiver that answers as `answers` say in turn; beyond them it takes everything. */
function begin(answers: (Received | Error | "silence")[] = []) {
  const clock = new FakeClock();
  const metrics = createMetrics({ process: false });
  const messages: Message[] = [];
  const exporter = createSpanExporter({
    post: async (body, signal) => {
      messages.push(JSON.parse(body) as Message);
      const answer = answers.shift() ?? { status: 200, text: "{}" };
      if (answer instanceof Error) throw answer;
      if (answer !== "silence") return answer;
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
    },
    resource: [textAttribute("service.name", "edge")],
    version: "1.2.3",
    metrics,
    clock,
    log: silentLogger,
    random: () => 1,
  });
  const ids = (): string[][] =>
    messages.map(({ resourceSpans }) =>
      resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans.map(({ spanId }) => spanId))),
    );
  const counted = async (): Promise<Record<string, number>> =>
    Object.fromEntries(
      [...(await metrics.text()).matchAll(/^fairlead_tracing_spans_total\{outcome="(\w+)"\} (\d+)$/gm)].map(
        ([, outcome = "", count]) => [outcome, Number(count)],
      ),
    );
  return { clock, exporter, messages, ids, counted };
}

test("what comes within a second is one message, with its origin", async () => {
  const { clock, exporter, messages, ids, counted } = begin();
  exporter.add([span("a")]);
  await clock.advance(500);
  exporter.add([span("b"), span("c")]);
  await clock.advance(499);
  expect(ids()).toEqual([]);
  await clock.advance(1);
  expect(ids()).toEqual([["a", "b", "c"]]);
  expect(messages[0]?.resourceSpans[0]).toMatchObject({
    resource: { attributes: [{ key: "service.name", value: { stringValue: "edge" } }] },
    scopeSpans: [{ scope: { name: "fairlead", version: "1.2.3" } }],
  });
  exporter.add([span("d")]);
  await clock.advance(1_000);
  expect(ids().at(-1)).toEqual(["d"]);
  expect(await counted()).toEqual({ exported: 4, dropped: 0, rejected: 0 });
});

test("a full message waits for nobody; the rest waits again", async () => {
  const { clock, exporter, ids } = begin();
  exporter.add(Array.from({ length: bounds.batch + 1 }, (_, i) => span(String(i))));
  await clock.advance(0);
  expect(ids().map((each) => each.length)).toEqual([bounds.batch]);
  await clock.advance(1_000);
  expect(ids().map((each) => each.length)).toEqual([bounds.batch, 1]);
});

test.each([429, 502, 503, 504])("after %d the same message is sent again, later each time", async (status) => {
  const { clock, exporter, ids, counted } = begin([
    { status, text: "" },
    { status, text: "" },
    new Error("connection refused"),
  ]);
  exporter.add([span("a")]);
  await clock.advance(1_000);
  expect(ids()).toHaveLength(1);
  await clock.advance(999);
  expect(ids()).toHaveLength(1);
  await clock.advance(1);
  expect(ids()).toHaveLength(2);
  await clock.advance(2_000);
  expect(ids()).toHaveLength(3);
  await clock.advance(4_000);
  expect(ids()).toEqual([["a"], ["a"], ["a"], ["a"]]);
  expect(await counted()).toEqual({ exported: 1, dropped: 0, rejected: 0 });
});

test("Retry-After says when, in seconds or as a date", async () => {
  const { clock, exporter, ids } = begin([
    { status: 429, text: "", retryAfter: "20" },
    { status: 503, text: "", retryAfter: new Date(new FakeClock().now() + 60_000).toUTCString() },
  ]);
  exporter.add([span("a")]);
  await clock.advance(20_999);
  expect(ids()).toHaveLength(1);
  await clock.advance(1);
  expect(ids()).toHaveLength(2);
  await clock.advance(38_999);
  expect(ids()).toHaveLength(2);
  await clock.advance(1);
  expect(ids()).toHaveLength(3);
});

test.each([400, 401, 404, 413, 500, 301])("%d is for good", async (status) => {
  const { clock, exporter, ids, counted } = begin([{ status, text: "no" }]);
  exporter.add([span("a"), span("b")]);
  await clock.advance(60_000);
  expect(ids()).toHaveLength(1);
  expect(await counted()).toEqual({ exported: 0, dropped: 0, rejected: 2 });
});

test("a receiver that takes some says how many it did not", async () => {
  const text = JSON.stringify({ partialSuccess: { rejectedSpans: "2", errorMessage: "too old" } });
  const { clock, exporter, counted } = begin([{ status: 200, text }]);
  exporter.add(["a", "b", "c"].map(span));
  await clock.advance(1_000);
  expect(await counted()).toEqual({ exported: 1, dropped: 0, rejected: 2 });
});

test("one that takes nothing for five minutes loses a message, and the next is tried", async () => {
  const down = Array.from({ length: 100 }, () => new Error("down"));
  const { clock, exporter, ids, counted } = begin(down);
  exporter.add([span("a")]);
  await clock.advance(302_000);
  expect(ids().length).toBeGreaterThan(10);
  expect(ids().length).toBeLessThan(20);
  expect(await counted()).toEqual({ exported: 0, dropped: 1, rejected: 0 });
  down.length = 0;
  exporter.add([span("b")]);
  await clock.advance(1_000);
  expect(ids().at(-1)).toEqual(["b"]);
});

test("so many wait, and no more", async () => {
  const { clock, exporter, ids, counted } = begin([{ status: 503, text: "", retryAfter: "100" }]);
  exporter.add([span("first")]);
  await clock.advance(1_000);
  for (let i = 0; i < bounds.waiting; i += 64) exporter.add(Array.from({ length: 64 }, () => span("later")));
  exporter.add(["x", "y"].map(span));
  exporter.lost(5);
  expect(await counted()).toMatchObject({ dropped: 7 });
  await clock.advance(100_000);
  expect(ids().flat()).toHaveLength(2 + bounds.waiting);
});

test("the end sends what waits, and waits for nobody long", async () => {
  const { clock, exporter, ids, counted } = begin();
  exporter.add([span("a")]);
  await exporter.close();
  expect(ids()).toEqual([["a"]]);
  exporter.add([span("b")]);
  expect(await counted()).toEqual({ exported: 1, dropped: 1, rejected: 0 });

  const stuck = begin(["silence"]);
  stuck.exporter.add([span("a")]);
  const closed = stuck.exporter.close();
  await stuck.clock.advance(5_000);
  await closed;
  await clock.advance(0);
  expect(await stuck.counted()).toEqual({ exported: 0, dropped: 1, rejected: 0 });
});
