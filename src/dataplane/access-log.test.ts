import { describe, expect, test } from "vitest";
import { accessLine, createLineSink, tellLines } from "./access-log.ts";
import type { Finished } from "./finished.ts";
import { samplePool as pool, sampleRoute } from "./sample.ts";

const route = sampleRoute({ field: "spec.rules[0].http.paths[1]" });
const finished: Finished = {
  id: "r-1",
  method: "GET",
  host: "shop.test",
  target: "/a?b=c",
  protocol: "HTTP/1.1",
  client: "192.0.2.1",
  header: () => undefined,
  code: 404,
  bytes: 12,
  milliseconds: 1.23456,
};

test("a rule that wants no lines has none", () => {
  const lines: string[] = [];
  const tell = tellLines({ write: (line) => void lines.push(line), flush: () => Promise.resolve() }, () => 0);
  tell({ ...finished, id: "kept", route });
  tell({ ...finished, id: "left out", route: { ...route, rule: { ...route.rule, unlogged: true } } });
  tell({ ...finished, id: "of no route" });
  expect(lines.map((line) => (JSON.parse(line) as { request: string }).request)).toEqual(["kept", "of no route"]);
});

describe("a line", () => {
  test("says what became of a request, and which object led it", () => {
    const headers: Record<string, string> = {
      "user-agent": "curl/8",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    };
    const header = (name: string): string | undefined => headers[name];
    const line = accessLine({ ...finished, header, route, pool, endpoint: "10.0.0.1:80", code: 200 }, 0);
    expect(JSON.parse(line)).toEqual({
      time: "1970-01-01T00:00:00.000Z",
      request: "r-1",
      client: "192.0.2.1",
      method: "GET",
      host: "shop.test",
      target: "/a?b=c",
      protocol: "HTTP/1.1",
      status: 200,
      bytes: 12,
      milliseconds: 1.235,
      route: { kind: "Ingress", namespace: "shop", name: "web", rule: "spec.rules[0].http.paths[1]" },
      backend: "shop/web:80",
      endpoint: "10.0.0.1:80",
      userAgent: "curl/8",
      trace: "0af7651916cd43dd8448eb211c80319c",
    });
  });

  test("of a request without a route has none", () => {
    expect(Object.keys(JSON.parse(accessLine(finished, 0)) as object)).not.toContain("route");
  });

  test.each(['"}\n{"status":200', "\u2028\u0000\r\n", "\u001b[2J", "\ud800"])(
    "stays one line whatever a client says: %j",
    (text) => {
      const line = accessLine({ ...finished, target: text, host: text, method: text, header: () => text }, 0);
      expect(
        line
          .slice(0, -1)
          .split("")
          .every((character) => character >= " "),
      ).toBe(true);
      expect(JSON.parse(line)).toMatchObject({ status: 404, target: text, userAgent: text });
    },
  );

  test("is short whatever a client says", () => {
    const text = "\u0001".repeat(100_000);
    const line = accessLine({ ...finished, target: text, host: text, method: text, header: () => text }, 0);
    expect(line.length).toBeLessThan(40_000);
  });

  test("has no trace of a field that is none", () => {
    const line = accessLine({ ...finished, header: () => "00-nonsense" }, 0);
    expect(Object.keys(JSON.parse(line) as object)).not.toContain("trace");
  });
});

describe("the sink", () => {
  const made = (append: (text: string) => Promise<void>, most = 100) => {
    let lost = 0;
    const sink = createLineSink(append, { wait: 60_000, most, lost: (lines) => (lost += lines) });
    return { sink, lost: () => lost };
  };

  test("writes lines together and in their order, one write at a time", async () => {
    const written: string[] = [];
    let release: () => void = () => {};
    const { sink } = made(async (text) => {
      written.push(text);
      await new Promise<void>((resolve) => (release = resolve));
    });
    sink.write("a\n");
    sink.write("b\n");
    const first = sink.flush();
    sink.write("c\n");
    const second = sink.flush();
    expect(written).toEqual(["a\nb\n"]);
    release();
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toEqual(["a\nb\n", "c\n"]);
    release();
    await Promise.all([first, second]);
  });

  test("leaves out what does not fit, and says how much", () => {
    const { sink, lost } = made(async () => {}, 3);
    for (const line of ["a\n", "b\n", "c\n"]) sink.write(line);
    expect(lost()).toBe(2);
  });

  test("goes on after a failure", async () => {
    const written: string[] = [];
    const { sink, lost } = made(async (text) => {
      if (text === "a\n") throw new Error("the disk is full");
      written.push(text);
    });
    sink.write("a\n");
    await sink.flush();
    sink.write("b\n");
    await sink.flush();
    expect(lost()).toBe(1);
    expect(written).toEqual(["b\n"]);
  });
});
