import { afterEach, describe, expect, it, vi } from "vitest";
import { createMemoryStore, StoreError, type Store } from "../store/index.ts";
import { FakeClock, silentLogger } from "../system/index.ts";
import type { ApiRequest } from "./handler.ts";
import { createApiServer, type ApiServer } from "./server.ts";
import { admin, startTestApi } from "./test-api.ts";

const ended: AbortController[] = [];
afterEach(() => {
  for (const one of ended.splice(0)) one.abort();
});

function serve(store: Store): { server: ApiServer; clock: FakeClock; get: (path: string) => Promise<unknown> } {
  const clock = new FakeClock();
  const stop = new AbortController();
  ended.push(stop);
  const server = createApiServer({
    store,
    clock,
    log: silentLogger,
    signal: stop.signal,
    serviceCidrs: ["10.96.0.0/16"],
    advertise: { address: "192.0.2.1", port: 6443 },
    kubelet: { open: () => Promise.reject(new Error("no kubelet")) },
  });
  const request = (path: string): ApiRequest => ({
    method: "GET",
    path,
    query: new URLSearchParams(),
    headers: {},
    user: admin,
    signal: stop.signal,
  });
  return {
    server,
    clock,
    get: async (path) => {
      const answer = await server.handler.handle(request(path));
      return answer.type === "object" ? answer.object : answer.status;
    },
  };
}

describe("API server", () => {
  it("makes what every cluster has, and finds it again after a restart", async () => {
    const store = createMemoryStore();
    const first = serve(store);
    await first.server.ready;
    const service = await first.get("/api/v1/namespaces/default/services/kubernetes");
    expect(service).toMatchObject({ spec: { clusterIP: "10.96.0.1", ports: [{ name: "https", port: 443 }] } });
    expect(await first.get("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes")).toMatchObject({
      endpoints: [{ addresses: ["192.0.2.1"] }],
      ports: [{ port: 6443 }],
    });
    for (const name of ["default", "kube-system", "kube-public", "kube-node-lease"])
      expect(await first.get(`/api/v1/namespaces/${name}`)).toMatchObject({ status: { phase: "Active" } });
    const revision = await store.revision();
    const second = serve(store);
    await second.server.ready;
    expect(await second.get("/api/v1/namespaces/default/services/kubernetes")).toEqual(service);
    // Nothing was there to be written.
    expect(await store.revision()).toBe(revision);
  });

  it("gives roles of an earlier version what they lack", async () => {
    const store = createMemoryStore();
    const url = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:kube-scheduler";
    const first = await startTestApi({ store });
    const { body: role } = await first.call("GET", url);
    const own = { verbs: ["get"], apiGroups: ["example.test"], resources: ["gadgets"] };
    await first.call("PUT", url, { ...role, rules: [own, ...role.rules.slice(1)] });
    const second = await startTestApi({ store });
    const { rules } = (await second.call("GET", url)).body;
    expect(rules).toContainEqual(own);
    for (const verb of role.rules[0].verbs)
      expect(rules).toContainEqual({ verbs: [verb], apiGroups: ["events.k8s.io"], resources: ["events"] });
    await second.stop();
  });

  it("brings its own Service back when somebody deletes it", async () => {
    const api = await startTestApi();
    const service = "/api/v1/namespaces/default/services/kubernetes";
    const slice = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
    for (const url of [service, slice]) expect((await api.call("DELETE", url)).status).toBe(200);
    await api.clock.advance(10_000);
    await vi.waitFor(async () => {
      expect((await api.call("GET", service)).body.spec.clusterIP).toBe("10.96.0.1");
      expect((await api.call("GET", slice)).body.endpoints).toEqual([
        { addresses: ["192.0.2.1"], conditions: { ready: true } },
      ]);
    });
    await api.stop();
  });

  it("says so when the store can not be read, and does not wait for ever", async () => {
    const store: Store = { ...createMemoryStore(), list: () => Promise.reject(new Error("broken")) };
    const { clock, get } = serve(store);
    const answer = get("/api/v1/namespaces");
    for (let i = 0; i < 10; i++) await clock.advance(1000);
    expect(await answer).toMatchObject({ code: 503, reason: "ServiceUnavailable", details: { retryAfterSeconds: 1 } });
  });

  it.each([
    [new StoreError("TOO_LARGE", "2 MiB is more than 1.5 MiB"), 413, "RequestEntityTooLarge"],
    [new StoreError("UNAVAILABLE", "gone"), 503, "ServiceUnavailable"],
    [new Error("unforeseen"), 500, "InternalError"],
  ])("answers with a Status when a write fails: %s", async (error, code, reason) => {
    const store = createMemoryStore();
    const api = await startTestApi({ store });
    store.write = () => Promise.reject(error);
    const { body } = await api.call("POST", "/api/v1/namespaces/default/configmaps", { metadata: { name: "a" } });
    expect(body).toMatchObject({ kind: "Status", status: "Failure", code, reason });
    // A request's own fault is none of the server's; a store that does not do its part is, and it is still alive.
    expect((await api.call("GET", "/readyz")).status).toBe(code === 503 ? 500 : 200);
    expect((await api.call("GET", "/livez")).status).toBe(200);
    await api.stop();
  });

  it("lets the store forget history, but not at once", async () => {
    const api = await startTestApi();
    const early = await api.store.revision();
    const minutes = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) await api.clock.advance(60_000);
    };
    await api.call("POST", "/api/v1/namespaces/default/configmaps", { metadata: { name: "a" } });
    await minutes(5);
    await api.call("POST", "/api/v1/namespaces/default/configmaps", { metadata: { name: "b" } });
    await api.store.list("/registry/", { revision: early });
    await minutes(5);
    await expect(api.store.list("/registry/", { revision: early })).rejects.toMatchObject({ code: "COMPACTED" });
    await api.store.list("/registry/", { revision: (await api.store.revision()) - 1 });
    await api.stop();
  });

  it("ends its watches when it is stopped", async () => {
    const api = await startTestApi();
    const watch = await api.watch("/api/v1/configmaps?watch=1");
    const next = watch.next();
    await api.stop();
    expect(await next).toBeUndefined();
  });
});
