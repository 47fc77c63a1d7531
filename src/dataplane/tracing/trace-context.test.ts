import { describe, expect, test } from "vitest";
import { createTracer, isTracestate, readTraceparent, writeTraceparent } from "./trace-context.ts";

const trace = "0af7651916cd43dd8448eb211c80319c";
const span = "b7ad6b7169203331";

describe("a traceparent", () => {
  test.each([
    [`00-${trace}-${span}-01`, 1],
    [`00-${trace}-${span}-00`, 0],
    // Flags that nobody knows are not passed on.
    [`00-${trace}-${span}-ff`, 3],
    [`00-${trace}-${span}-f2`, 2],
    // Of a later version what this one has is read.
    [`01-${trace}-${span}-01`, 1],
    [`cc-${trace}-${span}-01-what-the-future-will-be`, 1],
    [`cc-${trace}-${span}-01-`, 1],
  ])("%s", (text, flags) => {
    expect(readTraceparent(text)).toEqual({ traceId: trace, spanId: span, flags });
  });

  test.each([
    "",
    trace,
    `ff-${trace}-${span}-01`,
    `00-${trace}-${span}-01-`,
    `00-${trace}-${span}-01-more`,
    `01-${trace}-${span}-01more`,
    `00-${trace}-${span}-01.`,
    `00-${trace}-${span}`,
    `0-${trace}-${span}-01`,
    `00-${trace.toUpperCase()}-${span}-01`,
    `00-${trace}-${span.toUpperCase()}-01`,
    `0A-${trace}-${span}-01`,
    `00-${trace}-${span}-0A`,
    `00-${"0".repeat(32)}-${span}-01`,
    `00-${trace}-${"0".repeat(16)}-01`,
    `00-${trace.slice(1)}-${span}-01`,
    `00-${trace}-${span}0-01`,
    `00_${trace}_${span}_01`,
    // Twice: joined.
    `00-${trace}-${span}-01, 00-${trace}-${span}-01`,
    `cc-${trace}-${span}-01, cc-${trace}-${span}-01`,
  ])("%j says nothing", (text) => {
    expect(readTraceparent(text)).toBeUndefined();
  });
});

describe("a tracestate", () => {
  test.each(["a=1", "a=1,b=2", "a=1 , b= 2\t, c@d=e", "rojo=00f067aa0ba902b7,,congo=t61rcWkgMzE", "4ten@x=1"])(
    "%j may be told of",
    (text) => expect(isTracestate(text)).toBe(true),
  );
  test.each([
    "",
    ",",
    "a",
    "=1",
    "A=1",
    "a=1=2",
    "a=1,a=2",
    "a=\u0001",
    "a=é",
    `${"a".repeat(257)}=1`,
    `a=${"1".repeat(257)}`,
    Array.from({ length: 33 }, (_, i) => `k${i}=1`).join(),
  ])("%j may not", (text) => expect(isTracestate(text)).toBe(false));
});

describe("a request's place", () => {
  const parent = `00-${trace}-${span}-`;

  test("behind the client's span, as that one says", () => {
    const tracer = createTracer({ sample: 0 });
    const sampled = tracer.begin(`${parent}01`);
    expect(sampled).toMatchObject({ traceId: trace, parentId: span, flags: 1 });
    expect(sampled.spanId).toMatch(/^[0-9a-f]{16}$/);
    expect(sampled.spanId).not.toBe(span);
    expect(createTracer({ sample: 1 }).begin(`${parent}02`)).toMatchObject({ traceId: trace, flags: 2 });
  });

  test("in a trace of its own, whose id is random and says so, when the client says nothing, or nothing good", () => {
    for (const said of [undefined, `${parent}1`]) {
      const begun = createTracer({ sample: 1 }).begin(said);
      expect(begun.traceId).toMatch(/^[0-9a-f]{32}$/);
      expect(begun.traceId).not.toBe(trace);
      expect(begun).toMatchObject({ flags: 3 });
      expect(begun).not.toHaveProperty("parentId");
    }
  });

  test("recorded or not by its share", () => {
    const draws = [0, 0.2499, 0.25, 0.999];
    const tracer = createTracer({ sample: 0.25, random: () => draws.shift() ?? 0 });
    expect([0, 1, 2, 3].map(() => tracer.begin(undefined).flags)).toEqual([3, 3, 2, 2]);
    expect(createTracer({ sample: 0, random: () => 0 }).begin(undefined).flags).toBe(2);
    expect(createTracer({ sample: 1, random: () => 0.999_999 }).begin(undefined).flags).toBe(3);
  });

  test("has ids that nobody else has", () => {
    const tracer = createTracer({ sample: 1 });
    const all = Array.from({ length: 2_000 }, () => tracer.begin(undefined));
    expect(new Set(all.map(({ traceId }) => traceId)).size).toBe(2_000);
    expect(new Set(all.map(({ spanId }) => spanId)).size).toBe(2_000);
  });

  test("as an endpoint is told of it", () => {
    expect(writeTraceparent({ traceId: trace, spanId: span, flags: 3 })).toBe(`00-${trace}-${span}-03`);
  });
});
