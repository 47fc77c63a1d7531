import type { IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestCluster, type TestCluster } from "../../src/testing/index.ts";
import { readJson, serviceOf, startHttpsServer, type HttpsServer } from "../support/https-server.ts";
import { startKubectl, withoutKubectl, type Kubectl } from "../support/kubectl.ts";

const group = "wardle.example.com";
const why = withoutKubectl ? ` (skipped: ${withoutKubectl})` : "";

interface Flunder {
  readonly metadata: { name: string; namespace?: string; [field: string]: unknown };
  readonly [field: string]: unknown;
}

describe.skipIf(withoutKubectl !== undefined)(`an aggregated API server${why}`, () => {
  let cluster: TestCluster;
  let kubectl: Kubectl;
  let server: HttpsServer;
  const flunders = new Map<string, Flunder>();
  const watchers = new Set<ServerResponse>();
  const askers: { user: string; groups: string; certificate: string }[] = [];

  const list = (kind: string, more: object): object => ({ kind, apiVersion: "v1", ...more });
  const send = (response: ServerResponse, status: number, body: object): void => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };

  const type = "com.example.wardle.v1.Flunder";
  const openApi = {
    swagger: "2.0",
    info: { title: "wardle", version: "v1" },
    paths: {
      [`/apis/${group}/v1/flunders`]: { get: { responses: { 200: { schema: { $ref: `#/definitions/${type}` } } } } },
    },
    definitions: {
      [type]: {
        description: "Flunder is what the server beside has.",
        type: "object",
        properties: { size: { type: "integer", description: "how large it is" } },
        "x-kubernetes-group-version-kind": [{ group, version: "v1", kind: "Flunder" }],
      },
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? "/", "https://server");
    const certificate = (request.socket as TLSSocket).getPeerCertificate().subject?.CN;
    if (pathname === `/apis/${group}/v1`) {
      const verbs = ["create", "get", "list", "watch"];
      const resources = [
        { name: "flunders", singularName: "flunder", namespaced: true, kind: "Flunder", verbs, shortNames: ["fl"] },
      ];
      send(response, 200, list("APIResourceList", { groupVersion: `${group}/v1`, resources }));
      return;
    }
    if (pathname === "/openapi/v2") {
      send(response, 200, openApi);
      return;
    }
    askers.push({
      user: String(request.headers["x-remote-user"]),
      groups: String(request.headers["x-remote-group"]),
      certificate: String(certificate),
    });
    if (request.method === "POST") {
      const given = await readJson<Flunder>(request);
      const flunder = { ...given, metadata: { ...given.metadata, uid: "1", resourceVersion: "2" } };
      flunders.set(given.metadata.name, flunder);
      for (const watcher of watchers) watcher.write(`${JSON.stringify({ type: "ADDED", object: flunder })}\n`);
      send(response, 201, flunder);
    } else if (searchParams.get("watch")) {
      response.writeHead(200, { "content-type": "application/json" }).flushHeaders();
      watchers.add(response);
      response.on("close", () => watchers.delete(response));
    } else {
      const items = [...flunders.values()];
      send(response, 200, {
        kind: "FlunderList",
        apiVersion: `${group}/v1`,
        metadata: { resourceVersion: "1" },
        items,
      });
    }
  }

  beforeAll(async () => {
    cluster = await startTestCluster();
    kubectl = await startKubectl(cluster.kubeconfigFile);
    server = await startHttpsServer(["flavors.shop.svc"], (request, response) => void answer(request, response), {
      requestCert: true,
      rejectUnauthorized: false,
    });
    await kubectl.prints("create namespace shop");
  });
  afterAll(async () => {
    await server.stop();
    await kubectl.stop();
    await cluster.stop();
  });

  const apiService = (more = ""): string => `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: { name: v1.${group} }
spec:
  group: ${group}
  version: v1
  groupPriorityMinimum: 1000
  versionPriority: 15
  service: { name: flavors, namespace: shop }
  ${more}
`;
  const flunder = (name: string): string => `
apiVersion: ${group}/v1
kind: Flunder
metadata: { name: ${name} }
`;
  const reason = (): Promise<string> =>
    kubectl.prints(`get apiservice v1.${group} -o jsonpath={.status.conditions[?(@.type=="Available")].reason}`);

  it("is not available before it is there, and says why", async () => {
    await kubectl.prints("apply -f -", apiService(`caBundle: ${server.caBundle}`));
    await expect.poll(reason, { timeout: 10_000 }).toBe("ServiceNotFound");
    const { stderr } = await kubectl.run(`get --raw /apis/${group}/v1/flunders`);
    expect(stderr).toContain("the server is currently unable to handle the request");
  });

  it("answers for its group, with the caller's name, by a certificate of the front proxy", async () => {
    await kubectl.prints("apply -f -", serviceOf("flavors", "shop", server.port));
    await kubectl.prints(`wait --for=condition=Available --timeout=20s apiservice/v1.${group}`);
    expect(await kubectl.prints(`api-resources --api-group=${group}`)).toMatch(
      /flunders +fl +wardle.example.com\/v1 +true +Flunder/,
    );
    await kubectl.prints("create --validate=false -f -", flunder("one"));
    expect(await kubectl.prints("get flunders -o name")).toBe(`flunder.${group}/one\n`);
    expect(askers.at(-1)).toEqual({
      user: "kubernetes-admin",
      groups: "system:masters, system:authenticated",
      certificate: "front-proxy-client",
    });
    await kubectl.prints("create clusterrolebinding eve --clusterrole=cluster-admin --user=eve");
    await kubectl.prints("get flunders --as eve");
    expect(askers.at(-1)).toMatchObject({ user: "eve", groups: "system:authenticated" });
    expect(await kubectl.complains("get flunders --as adam")).toContain(
      'User "adam" cannot list resource "flunders" in API group "wardle.example.com"',
    );
  });

  it("tells of its types in OpenAPI v2, to kubectl in protobuf", async () => {
    const explained = async (): Promise<string> =>
      (await kubectl.run("explain flunders.size --output=plaintext-openapiv2")).stdout;
    await expect.poll(explained, { timeout: 10_000 }).toContain("how large it is");
    const document = JSON.parse(await kubectl.prints("get --raw /openapi/v2")) as {
      paths: Record<string, unknown>;
      definitions: Record<string, unknown>;
    };
    expect(document.definitions[type]).toEqual(openApi.definitions[type]);
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining([`/apis/${group}/v1/flunders`, "/apis/apps/v1/namespaces/{namespace}/deployments"]),
    );
  });

  it("sends what a watch sees as it comes", async () => {
    const ended = new AbortController();
    const watching = kubectl.run("get flunders --watch-only -o name --request-timeout=20s", "", ended.signal);
    await expect.poll(() => watchers.size, { timeout: 10_000 }).toBe(1);
    await kubectl.prints("create --validate=false -f -", flunder("two"));
    for (const watcher of watchers) watcher.end();
    expect((await watching).stdout).toBe(`flunder.${group}/two\n`);
    ended.abort();
  });

  it("is known to clients by what the cluster publishes", async () => {
    const data = await kubectl.prints(
      "get configmap -n kube-system extension-apiserver-authentication -o jsonpath={.data}",
    );
    const published = JSON.parse(data) as Record<string, string>;
    expect(published["requestheader-allowed-names"]).toBe('["front-proxy-client"]');
    expect(published["requestheader-client-ca-file"]).toContain("BEGIN CERTIFICATE");
  });

  it("is not available when its endpoints go or its certificate is another's", async () => {
    await kubectl.prints("delete endpointslice -n shop flavors-1");
    await expect.poll(reason, { timeout: 10_000 }).toBe("EndpointsNotFound");
    expect(await kubectl.complains("get flunders")).toContain("the server is currently unable to handle the request");
    await kubectl.prints("apply -f -", serviceOf("flavors", "shop", server.port));
    await expect.poll(reason, { timeout: 10_000 }).toBe("Passed");
    const other = await startHttpsServer(["flavors.shop.svc"], (_request, response) => void response.end());
    await kubectl.prints("apply -f -", apiService(`caBundle: ${other.caBundle}`));
    await other.stop();
    await expect.poll(reason, { timeout: 10_000 }).toBe("FailedDiscoveryCheck");
    const text = await kubectl.prints(`get apiservice v1.${group} -o jsonpath={.status.conditions[0].message}`);
    expect(text).toContain("x509: certificate signed by unknown authority");
  });

  it("leaves with its APIService; the server's own groups have theirs, which come back", async () => {
    await kubectl.prints(`delete apiservice v1.${group}`);
    expect(await kubectl.complains(`get --raw /apis/${group}/v1`)).toContain("could not find the requested resource");
    await kubectl.prints("delete apiservice v1.apps");
    await kubectl.prints("wait --for=condition=Available --timeout=20s apiservice/v1.batch");
    await expect
      .poll(
        async () => (await kubectl.run("get apiservice v1.apps -o jsonpath={.status.conditions[0].reason}")).stdout,
        {
          timeout: 10_000,
        },
      )
      .toBe("Local");
  });
});
