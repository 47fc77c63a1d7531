import { request as httpRequest, type IncomingHttpHeaders, type RequestOptions } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Backend, eventually, startBackend, startCluster, type TestCluster } from "./cluster.ts";

interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  trailers: NodeJS.Dict<string>;
  body: string;
}

let cluster: TestCluster;
const backends: Backend[] = [];

beforeEach(async () => {
  cluster = await startCluster();
});

afterEach(async () => {
  await cluster.stop();
  await Promise.all(backends.splice(0).map((backend) => backend.close()));
});

async function backend(...args: Parameters<typeof startBackend>): Promise<Backend> {
  const started = await startBackend(...args);
  backends.push(started);
  return started;
}

function send(path: string, options: RequestOptions & { body?: string | Buffer } = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { body, ...rest } = options;
    const request = httpRequest(
      { host: "127.0.0.1", port: cluster.port("http"), path, ...rest, headers: { host: "shop.test", ...rest.headers } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            trailers: response.trailers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

function rule(
  service: string,
  options: { host?: string; path?: string; pathType?: string; port?: number | string } = {},
) {
  const { host = "shop.test", path = "/", pathType = "Prefix", port = 80 } = options;
  return {
    host,
    http: {
      paths: [
        {
          path,
          pathType,
          backend: { service: { name: service, port: typeof port === "number" ? { number: port } : { name: port } } },
        },
      ],
    },
  };
}

const served = (path = "/") => eventually(`${path} is served`, async () => (await send(path)).status === 200);

describe("an Ingress", () => {
  test("leads a request to the Service's endpoint, and gets its address", async () => {
    const echo = await backend("a");
    cluster.service("web", [echo]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await served();
    const reply = await send("/hello?x=1", { method: "POST", body: "some text" });
    expect(reply.status).toBe(200);
    expect(JSON.parse(reply.body)).toMatchObject({ name: "a", method: "POST", url: "/hello?x=1", body: "some text" });
    await eventually("the status", async () => {
      const { status } = await cluster.client.get((await import("../../src/kube/index.ts")).resources.Ingress, {
        namespace: "shop",
        name: "web",
      });
      return status?.loadBalancer?.ingress?.[0]?.ip === "127.0.0.1";
    });
  });

  test("answers 404 for hosts and paths that no rule has", async () => {
    expect((await send("/")).status).toBe(404);
  });
});
