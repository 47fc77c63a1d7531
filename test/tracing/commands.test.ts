// `fairlead up` and `fairlead ingress` send the spans of what they serve, also those that wait when they end.
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../src/system/index.ts";
import { gateway } from "../gateway/replicas-lab.ts";
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
  printed(
    await lab.run(process.execPath, [
      "-e",
      `fetch(${JSON.stringify(url)}, { redirect: "manual" }).then((r) => console.log(r.status))`,
    ]),
  );

const spanOf = (path: string, status = "404"): Promise<Taken> =>
  eventually(`the span of ${path}`, async () =>
    spans().find(({ attributes: a }) => a["url.path"] === path && a["http.response.status_code"] === status),
  );

const redirect = {
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  metadata: { name: "elsewhere", namespace: "default" },
  spec: {
    parentRefs: [{ name: "traced" }],
    rules: [
      {
        matches: [{ path: { type: "PathPrefix", value: "/gateway" } }],
        filters: [{ type: "RequestRedirect", requestRedirect: { hostname: "other.test" } }],
      },
    ],
  },
};

test("a span comes while they serve, and the last one when they end", { timeout: 180_000 }, async () => {
  const [, own = ""] = /Ingress +(http:\/\/\S+:\d+)/.exec(cluster.said) ?? [];
  expect((await ask(`${own}/up`)).trim()).toBe("404");
  await spanOf("/up");
  expect(receiver.output()).toContain('{"key":"service.name","value":{"stringValue":"fairlead"}}');

  // What comes by a Gateway is told as well.
  for (const object of [gateway("traced"), redirect])
    printed(await cluster.kubectl(["apply", "-f", "-"], { input: JSON.stringify(object) }));
  const made = ["-l", "gateway.networking.k8s.io/gateway-name=traced", "-o", "jsonpath={.items[0].ports[0].port}"];
  const port = await eventually(
    "the Gateway has a port",
    async () => (await cluster.kubectl(["get", "endpointslices", ...made])).stdout || undefined,
  );
  await eventually("the Gateway serves", async () =>
    (await ask(`http://127.0.0.1:${port}/gateway`)).trim() === "302" ? true : undefined,
  );
  expect((await spanOf("/gateway", "302")).attributes).toMatchObject({ "http.route": "/gateway" });

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
