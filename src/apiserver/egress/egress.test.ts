import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EndpointSlice, Service } from "../../kube/index.ts";
import { systemClock } from "../../system/index.ts";
import { createAuthority, issueServer } from "../pki/authority.ts";
import { readAnswer, type EgressTarget } from "./egress.ts";
import { createNetworkEgress } from "./network-egress.ts";
import { endpointOf, type Endpoint } from "./resolve.ts";
import { webhookTarget } from "./webhook-target.ts";

const service = (spec: Service["spec"]): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "hook", namespace: "ns" },
  spec,
});
const slice = (addressType: string, host: string, port: number, more: object = {}): EndpointSlice =>
  ({
    metadata: { name: "hook-1", namespace: "ns" },
    addressType,
    ports: [{ name: "https", port }],
    endpoints: [{ addresses: [host], ...more }],
  }) as unknown as EndpointSlice;
const ports = [{ name: "https", port: 443, targetPort: "web" }];

describe("the endpoint of a Service", () => {
  const first = (): number => 0;

  test("has the port that its slice names, not the Service's", () => {
    const slices = [slice("IPv4", "10.0.0.7", 8443)];
    expect(endpointOf(service({ ports }), slices, 443, first)).toEqual({ host: "10.0.0.7", port: 8443 });
  });

  test("is ready, and of the Service's first family if there is one", () => {
    const slices = [
      slice("IPv4", "10.0.0.1", 1),
      slice("IPv6", "fd00::2", 2, { conditions: { ready: false } }),
      slice("IPv6", "fd00::3", 3, { conditions: { ready: true } }),
    ];
    expect(endpointOf(service({ ports, ipFamilies: ["IPv6", "IPv4"] }), slices, 443, first).host).toBe("fd00::3");
    expect(endpointOf(service({ ports, ipFamilies: ["IPv6"] }), slices.slice(0, 2), 443, first).host).toBe("10.0.0.1");
  });

  test("of type ExternalName is that name", () => {
    const external = service({ type: "ExternalName", externalName: "hooks.example.com" });
    expect(endpointOf(external, [], 8443, first)).toEqual({ host: "hooks.example.com", port: 8443 });
  });

  test("is missing in upstream's words", () => {
    expect(() => endpointOf(service({ ports }), [], 444, first)).toThrow(
      'no service port 444 found for service "hook"',
    );
    expect(() => endpointOf(service({ ports }), [], 443, first)).toThrow('no endpoints available for service "hook"');
  });
});

describe("a webhook", () => {
  test.each([
    ["https://hooks.example.com:8443//failing", "/failing"],
    ["https://hooks.example.com/a//b/./c/", "/a/b/c"],
    ["https://hooks.example.com", "/"],
  ])("at %s is asked at %s", (url, path) => {
    expect(webhookTarget({ url })).toEqual({ path, target: { to: new URL(url) } });
  });

  test("of a Service has its port, and a path that may lack its slash", () => {
    const service = { namespace: "ns", name: "hook" };
    const to = { ...service, port: 443 };
    expect(webhookTarget({ service })).toEqual({ path: "/", target: { to } });
    expect(webhookTarget({ service: { ...service, port: 9443, path: "x/" } })).toEqual({
      path: "/x",
      target: { to: { ...to, port: 9443 } },
    });
  });
});

describe("requests over the network", () => {
  const ended = new AbortController();
  let server: Server;
  let ca: string;
  let own: string;
  let endpoint: Endpoint;
  let connections = 0;
  const egress = createNetworkEgress({ resolve: () => endpoint, signal: ended.signal });
  const to = { namespace: "ns", name: "hook", port: 443 };
  const ask = (target: EgressTarget, path = "/", timeout = 5_000) =>
    egress.open(target, { method: "POST", path, headers: {}, body: Buffer.from("hello"), timeout });

  beforeAll(async () => {
    const authority = await createAuthority("test", systemClock);
    const { cert, key } = await issueServer(authority, { name: "hook", hosts: ["hook.ns.svc"] }, systemClock);
    ca = authority.cert;
    own = cert;
    server = createServer({ cert, key }, (request, response) => {
      if (request.url === "/slow") return;
      if (request.url === "/close") response.setHeader("connection", "close");
      response.end(request.url === "/long" ? "x".repeat(100_000) : `${request.method} ${request.headers.host}`);
    });
    server.on("secureConnection", () => connections++);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    endpoint = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
  });
  afterAll(() => {
    ended.abort();
    server.closeAllConnections();
    server.close();
  });

  test("go to the endpoint under the Service's name, over connections that are kept", async () => {
    for (let i = 0; i < 6; i++) {
      const answer = await ask({ to, ca });
      expect(answer.status).toBe(200);
      expect((await readAnswer(answer, 100)).toString()).toBe("POST hook.ns.svc");
    }
    // The next request may come before the pool has the connection back.
    expect(connections).toBeLessThanOrEqual(2);
  });

  test("are refused when the certificate is not for that name or from another authority", async () => {
    await expect(ask({ to: { ...to, name: "other" }, ca })).rejects.toMatchObject({ code: "TLS" });
    await expect(ask({ to })).rejects.toMatchObject({
      code: "TLS",
      message: "tls: failed to verify certificate: x509: certificate signed by unknown authority",
    });
    expect((await readAnswer(await ask({ to, insecure: true }), 100)).length).toBeGreaterThan(0);
  });

  test("believe the server's certificate itself, as Go does", async () => {
    expect((await ask({ to, ca: own })).status).toBe(200);
    await expect(ask({ to: { ...to, name: "other" }, ca: own })).rejects.toMatchObject({ code: "TLS" });
  });

  test("end in time, and with answers that are not too long", async () => {
    await expect(ask({ to, ca }, "/slow", 50)).rejects.toMatchObject({
      code: "TIMEOUT",
      message: "context deadline exceeded",
    });
    await expect(readAnswer(await ask({ to, ca }, "/long"), 1000)).rejects.toMatchObject({ code: "TOO_LARGE" });
  });

  test("say where nobody listens", async () => {
    const url = new URL(`https://127.0.0.1:1/`);
    await expect(ask({ to: url })).rejects.toMatchObject({
      code: "CONNECTION",
      message: "dial tcp 127.0.0.1:1: connect: connection refused",
    });
  });

  test("may have a connection of their own", async () => {
    const socket = await egress.dial({ to, ca }, { timeout: 5_000 });
    socket.write("GET /close HTTP/1.1\r\nhost: x\r\n\r\n");
    let text = "";
    for await (const part of socket) text += String(part);
    expect(text).toContain("GET x");
  });
});
