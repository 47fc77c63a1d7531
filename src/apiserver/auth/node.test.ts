import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { UserInfo } from "../handler.ts";
import { startTestApi, type TestApi } from "../test-api.ts";

const node = (name: string): UserInfo => ({
  name: `system:node:${name}`,
  groups: ["system:nodes", "system:authenticated"],
});

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
  const core = "/api/v1/namespaces/default";
  const make = (url: string, body: object) => api.call("POST", url, body);
  for (const name of ["own", "foreign"]) {
    await make(`${core}/secrets`, { metadata: { name } });
    await make(`${core}/configmaps`, { metadata: { name } });
    await make(`${core}/serviceaccounts`, { metadata: { name } });
  }
  for (const name of ["n1", "n2"]) await make("/api/v1/nodes", { metadata: { name } });
  const volumes = [
    { name: "a", secret: { secretName: "own" } },
    { name: "b", projected: { sources: [{ configMap: { name: "own" } }] } },
  ];
  const containers = [{ name: "c", image: "i" }];
  const pod = {
    metadata: { name: "p" },
    spec: { nodeName: "n1", serviceAccountName: "own", automountServiceAccountToken: false, containers, volumes },
  };
  expect((await make(`${core}/pods`, pod)).status).toBe(201);
});
afterEach(() => api.stop());

const status = async (who: UserInfo, url: string, method: "GET" | "POST" = "GET", body?: object): Promise<number> =>
  (await api.call(method, url, body, { user: who })).status;

describe("a node", () => {
  it.each(["secrets", "configmaps"])("reads the %s that its pods refer to and no other", async (kind) => {
    const url = `/api/v1/namespaces/default/${kind}`;
    expect(await status(node("n1"), `${url}/own`)).toBe(200);
    expect(await status(node("n1"), `${url}?fieldSelector=metadata.name%3Down`)).toBe(200);
    expect(await status(node("n1"), `${url}/foreign`)).toBe(403);
    expect(await status(node("n1"), `${url}?fieldSelector=metadata.name%3Dforeign`)).toBe(403);
    expect(await status(node("n1"), url)).toBe(403);
    expect(await status(node("n2"), `${url}/own`)).toBe(403);
    expect(await status(node("n1"), `/api/v1/${kind}`)).toBe(403);
  });

  it("is told why not", async () => {
    const refused = await api.call("GET", "/api/v1/namespaces/default/secrets/foreign", undefined, {
      user: node("n1"),
    });
    expect(refused.body.message).toBe(
      'secrets "foreign" is forbidden: User "system:node:n1" cannot get resource "secrets" in API group "" in the namespace "default": no relationship found between node \'n1\' and this object',
    );
  });

  it("sees its own pods and its own Node", async () => {
    expect(await status(node("n1"), "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1")).toBe(200);
    expect(await status(node("n1"), "/api/v1/pods?fieldSelector=spec.nodeName%3Dn2")).toBe(403);
    expect(await status(node("n1"), "/api/v1/pods")).toBe(403);
    expect(await status(node("n1"), "/api/v1/namespaces/default/pods/p")).toBe(200);
    expect(await status(node("n2"), "/api/v1/namespaces/default/pods/p")).toBe(403);
    expect(await status(node("n1"), "/api/v1/nodes/n1")).toBe(200);
    expect(await status(node("n1"), "/api/v1/nodes/n2")).toBe(403);
    expect(await status(node("n1"), "/api/v1/nodes")).toBe(403);
  });

  it("looks after its own Lease", async () => {
    const url = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    const lease = { metadata: { name: "n1" }, spec: {} };
    expect(await status(node("n1"), url, "POST", lease)).toBe(201);
    expect(await status(node("n1"), `${url}/n1`)).toBe(200);
    expect(await status(node("n2"), `${url}/n1`)).toBe(403);
    expect(await status(node("n1"), url)).toBe(403);
    expect(await status(node("n1"), "/apis/coordination.k8s.io/v1/namespaces/default/leases/n1")).toBe(403);
  });

  it("is one by name and group together", async () => {
    const url = "/api/v1/namespaces/default/secrets/own";
    expect(await status({ name: "system:node:n1", groups: ["system:authenticated"] }, url)).toBe(403);
    expect(await status({ name: "n1", groups: ["system:nodes"] }, url)).toBe(403);
    expect(await status({ name: "system:node:", groups: ["system:nodes"] }, url)).toBe(403);
  });
});
