// `fairlead up` and `fairlead ingress` send the spans of what they serve, also those that wait when they end.
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../src/system/index.ts";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository, type Running } from "../support/lab.ts";
import { spansIn, type Taken } from "./receiver.ts";

let lab: Lab;
let cluster: TestCluster;
let receiver: Running;
let endpoint: string;

beforeAll(async () => {
  lab = await openLab(noKernel ? "unprivileged" : "root");
  const port = await freePort();
  endpoint = `http://127.0.0.1:${port}`;
  receiver = lab.start(process.execPath, [join(repository, "test/tracing/print-receiver.mjs"), String(port)]);
  await eventually("the receiver listens", async () => /^ready$/m.exec(receiver.output()) ?? undefined);
  const ports = ["--api-port", "0", "--http-port", "0", "--https-port", "0"];
  cluster = await upCluster(lab, ["--rootless", ...ports, "--tracing-endpoint", endpoint]);
});

afterAll(async () => {
  await receiver?.stop();
  await tearDown(lab, cluster);
});

const spans = (): Taken[] =>
  receiver
    .output()
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .flatMap((line) => spansIn(JSON.parse(line) as Parameters<typeof spansIn>[0]));

/** Asks for a path from inside the lab. */
const ask = async (url: string): Promise<string> =>
  printed(await lab.run(process.execPath, ["-e", `fetch(${JSON.stringify(url)}).then((r) => console.log(r.status))`]));

const spanOf = (path: string): Promise<Taken> =>
  eventually(`the span of ${path}`, () => Promise.resolve(spans().find(({ attributes: a }) => a["url.path"] === path)));

test("a span comes while they serve, and the last one when they end", { timeout: 180_000 }, async () => {
  const [, own = ""] = /Ingress +(http:\/\/\S+:\d+)/.exec(cluster.said) ?? [];
  expect((await ask(`${own}/up`)).trim()).toBe("404");
  expect((await spanOf("/up")).attributes).toMatchObject({ "http.response.status_code": "404" });
  expect(receiver.output()).toContain('{"key":"service.name","value":{"stringValue":"fairlead"}}');

  const [http, https, status] = [await freePort(), await freePort(), await freePort()].map(String);
  const serves = ["--kubeconfig", cluster.kubeconfig, "--address", "127.0.0.1", "--no-gateway-api"];
  const ports = ["--http-port", http ?? "", "--https-port", https ?? "", "--status-address", `127.0.0.1:${status}`];
  const program = [join(repository, "fairlead"), "ingress", "--control-socket", "", "--tracing-sample", "1"];
  const environment = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SERVICE_NAME: "edge" };
  const ingress = lab.start(process.execPath, [...program, ...serves, ...ports], environment);
  await eventually("it serves", async () => /every route is served/.exec(ingress.output()) ?? undefined, 60).catch(
    (error: unknown) => {
      throw new Error(`${String(error)}\n${ingress.output()}`);
    },
  );
  expect((await ask(`http://127.0.0.1:${http}/last`)).trim()).toBe("404");
  // Sooner than the second for which a span waits for others.
  await ingress.stop();
  await spanOf("/last");
  expect(receiver.output()).toContain('{"key":"service.name","value":{"stringValue":"edge"}}');
});
