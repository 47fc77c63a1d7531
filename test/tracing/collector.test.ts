// Spans as the OpenTelemetry Collector's own receiver reads them.
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createPost, createSpanExporter, textAttribute } from "../../src/dataplane/index.ts";
import { spanOf } from "../../src/dataplane/tracing/span.ts";
import { createTracer } from "../../src/dataplane/tracing/trace-context.ts";
import { createMetrics, runOrThrow, silentLogger, systemClock, systemCommands } from "../../src/system/index.ts";
import { missing } from "../clients/toolchains.ts";
import { eventually } from "../dataplane/cluster.ts";
import { repository } from "../support/lab.ts";
import { spansIn, type Taken } from "./receiver.ts";

const why = await missing("go", ["version"], "apt-get install golang-go, or see go.dev");

test.skipIf(why)(
  `the Collector's receiver takes every span as it is meant${why ? ` (skipped: ${why})` : ""}`,
  { timeout: 1_600_000 },
  async () => {
    const folder = join(repository, ".cache", "tracing");
    await mkdir(folder, { recursive: true });
    const program = join(folder, "receiver");
    const build = ["build", "-C", join(repository, "test/tracing/go"), "-o", program, "."];
    await runOrThrow(systemCommands, "go", build, { timeout: 1_500_000 });
    const child = spawn(program, [], { stdio: ["pipe", "pipe", "inherit"] });
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => (said += String(chunk)));
    try {
      await eventually("it listens", () => said.includes("\n"));
      const [url = ""] = said.split("\n");
      const taken = (): Taken[] =>
        said
          .split("\n")
          .slice(1, -1)
          .flatMap((line) => spansIn(JSON.parse(line) as Parameters<typeof spansIn>[0]));
      const metrics = createMetrics({ process: false });
      const tracer = createTracer({ sample: 1 });
      const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
      const sent = [undefined, parent].flatMap((traceparent, index) => {
        const span = spanOf({
          id: "r-1",
          method: "GET",
          host: "shop.test",
          target: "/a\u0000é\ud800?b",
          protocol: "HTTP/1.1",
          client: "192.0.2.1",
          header: (name) => ({ tracestate: "a=1", "user-agent": 'odd"\\\u00ff' })[name],
          code: index === 0 ? 200 : 502,
          bytes: 0,
          milliseconds: 1.5,
          trace: { ...tracer.begin(traceparent), scheme: "https", ended: 1_700_000_000_000 },
        });
        return span ? [span] : [];
      });
      expect(sent).toHaveLength(2);
      for (const compress of [false, true]) {
        const exporter = createSpanExporter({
          post: createPost({ url: `${url}/v1/traces`, headers: {}, timeout: 10_000, compress }),
          resource: [textAttribute("service.name", "edge")],
          version: "1.2.3",
          metrics,
          clock: systemClock,
          log: silentLogger,
        });
        exporter.add(sent);
        await exporter.close();
      }
      await eventually("all are taken", () => taken().length === 4);
      const [first, second, ...packed] = taken();
      expect(packed).toEqual([first, second]);
      expect(await metrics.text()).toContain('fairlead_tracing_spans_total{outcome="exported"} 4');
      const meant = sent.map(({ attributes, ...span }) => ({
        ...span,
        attributes: Object.fromEntries(
          attributes.map(({ key, value }) => [key, "intValue" in value ? value.intValue : value.stringValue]),
        ),
      }));
      // What no text of Unicode can have has become a mark.
      const marked = JSON.parse(JSON.stringify(meant).replaceAll("\\ud800", "\ufffd")) as typeof meant;
      expect([first, second]).toEqual(marked.map((span) => expect.objectContaining(span) as unknown));
    } finally {
      child.stdin.end();
      child.kill();
    }
  },
);
