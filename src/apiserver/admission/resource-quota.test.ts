import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { mergePatch, startTestApi, type TestAnswer, type TestApi } from "../test-api.ts";

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.stop());

const base = "/api/v1/namespaces/default";
const quota = async (hard: Record<string, string>, more: object = {}): Promise<void> => {
  const { status, text } = await api.call("POST", `${base}/resourcequotas`, {
    metadata: { name: "q" },
    spec: { hard, ...more },
  });
  expect(status, text).toBe(201);
};
const used = async (): Promise<Record<string, string>> =>
  (await api.call("GET", `${base}/resourcequotas/q`)).body.status.used;
const pod = (name: string, resources: object = {}, more: object = {}): Promise<TestAnswer> =>
  api.call("POST", `${base}/pods`, {
    metadata: { name },
    spec: { containers: [{ name: "c", image: "i", resources }], ...more },
  });
const map = (name: string, query = ""): Promise<TestAnswer> =>
  api.call("POST", `${base}/configmaps${query}`, { metadata: { name } });

describe("a quota", () => {
  test("lets in as many as fit, however many come at once", async () => {
    await quota({ "count/configmaps": "10" });
    const answers = await Promise.all(Array.from({ length: 64 }, (_, i) => map(`m${i}`)));
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 201)).toHaveLength(10);
    expect(statuses.filter((status) => status === 403)).toHaveLength(54);
    expect((await api.call("GET", `${base}/configmaps`)).body.items).toHaveLength(10);
    expect(await used()).toEqual({ "count/configmaps": "10" });
    const refused = answers.find(({ status }) => status === 403);
    expect(refused?.body.message).toMatch(
      /^configmaps "m\d+" is forbidden: exceeded quota: q, requested: count\/configmaps=1, used: count\/configmaps=10, limited: count\/configmaps=10$/,
    );
  });

  test("counts what was there before it", async () => {
    await map("a");
    await quota({ configmaps: "2" });
    expect((await map("b")).status).toBe(201);
    expect((await map("c")).status).toBe(403);
    expect(await used()).toEqual({ configmaps: "2" });
  });

  test("is not used by a dry run", async () => {
    await quota({ configmaps: "1" });
    expect((await map("a", "?dryRun=All")).status).toBe(201);
    expect((await map("a")).status).toBe(201);
    expect((await map("b", "?dryRun=All")).status).toBe(403);
  });

  test("counts what pods ask for, who must then say it", async () => {
    await quota({ pods: "5", "requests.cpu": "1", "limits.memory": "1Gi" });
    expect((await pod("a")).body.message).toBe(
      'pods "a" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c',
    );
    const half = { requests: { cpu: "500m" }, limits: { memory: "256Mi" } };
    expect((await pod("a", half)).status).toBe(201);
    expect((await pod("b", half)).status).toBe(201);
    expect((await pod("c", half)).body.message).toBe(
      'pods "c" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=1, limited: requests.cpu=1',
    );
    expect(await used()).toEqual({ pods: "2", "requests.cpu": "1", "limits.memory": "512Mi" });
  });

  test("counts only the pods in its scope", async () => {
    await quota({ pods: "1" }, { scopes: ["Terminating"] });
    expect((await pod("a")).status).toBe(201);
    expect((await pod("b", {}, { activeDeadlineSeconds: 60 })).status).toBe(201);
    expect((await pod("c", {}, { activeDeadlineSeconds: 60 })).status).toBe(403);
    expect((await pod("d")).status).toBe(201);
  });

  test("counts Services by what they take, also when they change", async () => {
    await quota({ services: "3", "services.nodeports": "1", "services.loadbalancers": "0" });
    const service = (name: string, type: string): Promise<TestAnswer> =>
      api.call("POST", `${base}/services`, { metadata: { name }, spec: { type, ports: [{ port: 80 }] } });
    expect((await service("a", "NodePort")).status).toBe(201);
    expect((await service("b", "NodePort")).status).toBe(403);
    expect((await service("b", "LoadBalancer")).status).toBe(403);
    expect((await service("b", "ClusterIP")).status).toBe(201);
    const grown = await api.call("PATCH", `${base}/services/b`, { spec: { type: "NodePort" } }, mergePatch);
    expect(grown.body.message).toContain("exceeded quota: q, requested: services.nodeports=1");
  });
});
