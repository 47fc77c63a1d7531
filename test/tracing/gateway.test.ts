// `fairlead ingress` sends the spans of what comes by Gateways, on every data plane.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { gateway, openReplicas, replica, type ReplicasLab, why } from "../gateway/replicas-lab.ts";
import { eventually } from "../support/cluster.ts";
import { repository, type Running } from "../support/lab.ts";
import { spansIn, type Taken } from "./receiver.ts";

const planes = { embedded: "198.51.100.21", haproxy: "198.51.100.22", nginx: "198.51.100.23" } as const;
const endpoint = "198.51.100.7";
const receiverPort = 4318;
const trace = "0af7651916cd43dd8448eb211c80319c";
const client = "b7ad6b7169203331";

/** Answers with what it was told of the trace. */
const echo = `require("node:http").createServer((q, a) => a.end(q.headers.traceparent)).listen(8082, "${endpoint}")`;
const objects = [
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "echo", namespace: "default" },
    spec: { clusterIP: "None", ports: [{ port: 80 }] },
  },
  {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "echo-1", namespace: "default", labels: { "kubernetes.io/service-name": "echo" } },
    addressType: "IPv4",
    endpoints: [{ addresses: [endpoint], conditions: { ready: true } }],
    ports: [{ name: "", port: 8082 }],
  },
  gateway("traced"),
  {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "echo", namespace: "default" },
    spec: {
      parentRefs: [{ name: "traced" }],
      rules: [{ matches: [{ path: { type: "PathPrefix", value: "/by" } }], backendRefs: [{ name: "echo", port: 80 }] }],
    },
  },
];

describe.skipIf(why)(`spans of Gateways${why ? ` (${why})` : ""}`, () => {
  let replicas: ReplicasLab;
  let receiver: Running;
  let port: string;

  beforeAll(async () => {
    const addresses = Object.values(planes);
    replicas = await openReplicas(addresses);
    replicas.start(process.execPath, ["-e", echo]);
    receiver = replicas.start(process.execPath, [
      join(repository, "test/tracing/print-receiver.mjs"),
      String(receiverPort),
    ]);
    for (const object of objects) await replicas.apply(object);
    await replicas.replicasAre(...addresses.map((address) => replica(address)));
    const traced = ["--tracing-endpoint", `http://127.0.0.1:${receiverPort}`];
    for (const [plane, address] of Object.entries(planes))
      await replicas.serve(address, "--dataplane", plane, ...traced);
    const made = ["-l", "gateway.networking.k8s.io/gateway-name=traced", "-o", "jsonpath={.items[0].ports[0].port}"];
    port = await eventually(
      "the Gateway has a port",
      async () => (await replicas.kubectl(["get", "endpointslices", ...made])) || undefined,
    );
  }, 120_000);
  afterAll(() => replicas?.close());

  const spans = (): Taken[] =>
    receiver
      .output()
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .flatMap((line) => spansIn(JSON.parse(line) as Parameters<typeof spansIn>[0]));
  const spanWith = (what: string, is: (span: Taken) => boolean): Promise<Taken> =>
    eventually(`the span of ${what}`, async () => spans().find(is));

  test.each(Object.entries(planes))(
    "%s: a request's span is told to its receiver, and to the endpoint",
    async (plane, address) => {
      const path = `/by/${plane}`;
      const url = `http://${address}:${port}${path}`;
      const told = await eventually("it is served", async () => {
        const header = ["--header", `traceparent: 00-${trace}-${client}-01`];
        const { stdout } = await replicas.lab.run("curl", ["--silent", "--max-time", "10", ...header, url]);
        return new RegExp(`^00-${trace}-([0-9a-f]{16})-01$`).exec(stdout) ?? undefined;
      });
      // It may have been asked for before its route was there.
      const span = await spanWith(path, ({ spanId }) => spanId === told[1]);
      expect(span).toMatchObject({ traceId: trace, parentSpanId: client, name: "GET /by" });
      expect(span.attributes).toMatchObject({
        "http.route": "/by",
        "url.path": path,
        "http.response.status_code": "200",
      });
      // What nobody's route takes is told as well.
      const none = `/none/${plane}`;
      await replicas.curl(`http://${address}:${port}${none}`);
      const lost = await spanWith(none, ({ attributes }) => attributes["url.path"] === none);
      expect(lost.attributes).toMatchObject({ "http.response.status_code": "404" });
    },
  );
});
