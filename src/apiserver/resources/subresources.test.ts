import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mergePatch, startTestApi, type TestApi } from "../test-api.ts";
import type { KubeletAddress } from "./pod-log.ts";

const pods = "/api/v1/namespaces/default/pods";
const deployments = "/apis/apps/v1/namespaces/default/deployments";
let api: TestApi;
let asked: { address: KubeletAddress; path: string }[];
let kubeletAnswer: { status: number; text: string };

beforeEach(async () => {
  asked = [];
  kubeletAnswer = { status: 200, text: "line\n" };
  api = await startTestApi({
    kubelet: {
      open: async (address, path) => {
        asked.push({ address, path });
        return { status: kubeletAnswer.status, chunks: one(kubeletAnswer.text) };
      },
    },
  });
});
afterEach(() => api.stop());

async function* one(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

const pod = (name: string, spec: object = {}): object => ({
  metadata: { name },
  spec: { containers: [{ name: "c", image: "i" }], ...spec },
});
const deployment = {
  metadata: { name: "web" },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: "web" } },
    template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "c", image: "i" }] } },
  },
};

describe("scale", () => {
  beforeEach(async () => {
    await api.call("POST", deployments, deployment);
  });

  it("shows and sets how many pods there are, and raises the generation", async () => {
    const { body } = await api.call("GET", `${deployments}/web/scale`);
    expect(body).toMatchObject({
      kind: "Scale",
      apiVersion: "autoscaling/v1",
      spec: { replicas: 2 },
      status: { selector: "app=web" },
    });
    const put = await api.call("PUT", `${deployments}/web/scale`, { ...body, spec: { replicas: 5 } });
    expect(put.body.spec.replicas).toBe(5);
    const patched = await api.call("PATCH", `${deployments}/web/scale`, { spec: { replicas: 0 } }, mergePatch);
    expect(patched.body.spec.replicas).toBe(0);
    const { body: after } = await api.call("GET", `${deployments}/web`);
    expect(after).toMatchObject({ spec: { replicas: 0 }, metadata: { generation: 3 } });
  });

  it("comes as a table", async () => {
    const accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    const { body } = await api.call("GET", `${deployments}/web/scale`, undefined, { headers: { accept } });
    expect(body.columnDefinitions.map(({ name }: { name: string }) => name)).toEqual([
      "Name",
      "Desired",
      "Available",
      "Age",
    ]);
    expect(body.rows[0].cells.slice(0, 3)).toEqual(["web", 2, 0]);
  });

  it("asks for the version that was read", async () => {
    const { body } = await api.call("GET", `${deployments}/web/scale`);
    await api.call("PATCH", `${deployments}/web`, { spec: { minReadySeconds: 3 } }, mergePatch);
    expect((await api.call("PUT", `${deployments}/web/scale`, { ...body, spec: { replicas: 5 } })).status).toBe(409);
  });

  it("is not below zero", async () => {
    const { status, body } = await api.call(
      "PATCH",
      `${deployments}/web/scale`,
      { spec: { replicas: -1 } },
      mergePatch,
    );
    expect(status).toBe(422);
    expect(body.message).toContain("spec.replicas: Invalid value: -1: must be greater than or equal to 0");
  });
});

describe("binding", () => {
  const bind = (node: string) =>
    api.call("POST", `${pods}/p/binding`, { metadata: { name: "p" }, target: { kind: "Node", name: node } });

  it("puts a pod on a node, once", async () => {
    await api.call("POST", pods, pod("p"));
    expect((await bind("n1")).status).toBe(201);
    const { body } = await api.call("GET", `${pods}/p`);
    expect(body.spec.nodeName).toBe("n1");
    expect(body.status.conditions).toContainEqual({
      type: "PodScheduled",
      status: "True",
      lastTransitionTime: "2030-01-01T00:00:00Z",
    });
    const again = await bind("n2");
    expect(again.body).toMatchObject({
      code: 409,
      message: 'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n1"',
    });
  });

  it("needs a pod, and a node", async () => {
    expect((await bind("n1")).status).toBe(404);
    await api.call("POST", pods, pod("p"));
    const nowhere = await bind("");
    expect([nowhere.status, nowhere.body.message]).toEqual([500, "target.name: Required value"]);
  });

  it("may be posted to the collection of bindings", async () => {
    await api.call("POST", pods, pod("p"));
    const target = { apiVersion: "v1", kind: "Node", name: "n1" };
    const bindings = "/api/v1/namespaces/default/bindings";
    expect((await api.call("POST", bindings, { metadata: { name: "p" }, target })).status).toBe(201);
    expect((await api.call("GET", `${pods}/p`)).body.spec.nodeName).toBe("n1");
    expect((await api.call("POST", bindings, { target })).status).toBe(422);
    expect((await api.call("GET", bindings)).status).toBe(405);
  });
});

describe("eviction", () => {
  it("deletes the pod as its options say", async () => {
    await api.call("POST", pods, pod("p", { nodeName: "n1" }));
    const eviction = { metadata: { name: "p" }, deleteOptions: { gracePeriodSeconds: 3 } };
    expect((await api.call("POST", `${pods}/p/eviction`, eviction)).status).toBe(201);
    expect((await api.call("GET", `${pods}/p`)).body.metadata.deletionGracePeriodSeconds).toBe(3);
  });

  const budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
  /** A running pod `p` and a budget for it. */
  const protect = async (status: object, spec: object = {}, ready = true): Promise<void> => {
    const labelled = { ...pod("p", { nodeName: "n1" }), metadata: { name: "p", labels: { app: "x" } } };
    const { body } = await api.call("POST", pods, labelled);
    const conditions = [{ type: "Ready", status: ready ? "True" : "False" }];
    await api.call("PUT", `${pods}/p/status`, { ...body, status: { phase: "Running", conditions } });
    await addBudget("b", status, spec);
  };
  const addBudget = async (name: string, status: object, spec: object = {}): Promise<void> => {
    const selector = { matchLabels: { app: "x" } };
    const budget = { metadata: { name }, spec: { minAvailable: 1, selector, ...spec } };
    const { body } = await api.call("POST", budgets, budget);
    await api.call("PUT", `${budgets}/${name}/status`, { ...body, status: { expectedPods: 1, ...status } });
  };
  const evict = (query = "") => api.call("POST", `${pods}/p/eviction${query}`, { metadata: { name: "p" } });

  it("is refused when the budget has no disruption left", async () => {
    await protect({ observedGeneration: 1, disruptionsAllowed: 0, desiredHealthy: 1, currentHealthy: 1 });
    const { status, body } = await evict();
    expect(status).toBe(429);
    expect(body).toMatchObject({
      reason: "TooManyRequests",
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
      details: {
        causes: [
          { reason: "DisruptionBudget", message: "The disruption budget b needs 1 healthy pods and has 1 currently" },
        ],
      },
    });
    expect((await api.call("GET", `${pods}/p`)).body.metadata.deletionTimestamp).toBeUndefined();
  });

  it("waits for a budget that was not looked at yet", async () => {
    await protect({ disruptionsAllowed: 1, desiredHealthy: 0, currentHealthy: 1 });
    const { status, headers, body } = await evict();
    expect([status, headers["retry-after"]]).toEqual([429, "10"]);
    expect(body.details.causes[0].message).toBe("The disruption budget b is still being processed by the server.");
  });

  it("takes one disruption off the budget and marks the pod; a dry run does neither", async () => {
    await protect({ observedGeneration: 1, disruptionsAllowed: 1, desiredHealthy: 0, currentHealthy: 1 });
    expect((await evict("?dryRun=All")).status).toBe(201);
    expect((await api.call("GET", `${budgets}/b`)).body.status.disruptionsAllowed).toBe(1);
    expect((await evict()).status).toBe(201);
    const { body } = await api.call("GET", `${budgets}/b`);
    expect(body.status.disruptionsAllowed).toBe(0);
    expect(Object.keys(body.status.disruptedPods)).toEqual(["p"]);
    const evicted = (await api.call("GET", `${pods}/p`)).body;
    expect(evicted.metadata.deletionTimestamp).toBeDefined();
    expect(evicted.status.conditions).toContainEqual(
      expect.objectContaining({ type: "DisruptionTarget", reason: "EvictionByEvictionAPI" }),
    );
    // It goes already: that costs nothing any more.
    expect((await evict()).status).toBe(201);
  });

  it.each([
    ["IfHealthyBudget", 1, 201],
    ["IfHealthyBudget", 0, 429],
    ["AlwaysAllow", 0, 201],
  ])("of a pod that is not ready, with %s and %s healthy", async (unhealthyPodEvictionPolicy, currentHealthy, code) => {
    const status = { observedGeneration: 1, disruptionsAllowed: 0, desiredHealthy: 1, currentHealthy };
    await protect(status, { unhealthyPodEvictionPolicy }, false);
    expect((await evict()).status).toBe(code);
  });

  it("is refused for a pod with two budgets, and for a precondition that does not hold", async () => {
    const status = { observedGeneration: 1, disruptionsAllowed: 1, desiredHealthy: 0, currentHealthy: 1 };
    await protect(status);
    const wrong = { metadata: { name: "p" }, deleteOptions: { preconditions: { uid: "other" } } };
    expect((await api.call("POST", `${pods}/p/eviction`, wrong)).status).toBe(409);
    expect((await api.call("GET", `${budgets}/b`)).body.status.disruptionsAllowed).toBe(1);
    await addBudget("c", status);
    expect(await evict()).toMatchObject({
      status: 500,
      body: {
        message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
      },
    });
  });
});

describe("finalize", () => {
  it("lets a namespace go", async () => {
    const { body } = await api.call("POST", "/api/v1/namespaces", { metadata: { name: "n" } });
    expect(body.spec.finalizers).toEqual(["kubernetes"]);
    await api.call("DELETE", "/api/v1/namespaces/n");
    const { body: ending } = await api.call("GET", "/api/v1/namespaces/n");
    expect(ending.status.phase).toBe("Terminating");
    await api.call("PUT", "/api/v1/namespaces/n/finalize", { ...ending, spec: {} });
    expect((await api.call("GET", "/api/v1/namespaces/n")).status).toBe(404);
  });
});

describe("log", () => {
  const node = {
    metadata: { name: "n1" },
    status: {
      addresses: [{ type: "InternalIP", address: "192.0.2.9" }],
      daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
    },
  };

  beforeEach(async () => {
    const { body } = await api.call("POST", "/api/v1/nodes", { metadata: node.metadata });
    await api.call("PUT", "/api/v1/nodes/n1/status", { ...body, status: node.status });
    await api.call("POST", pods, pod("p", { nodeName: "n1" }));
  });

  it("is the kubelet's, with the options given", async () => {
    const { status, headers, text } = await api.call(
      "GET",
      `${pods}/p/log?follow=true&tailLines=5&timestamps=true&limitBytes=100&previous=false`,
    );
    expect({ status, text, type: headers["content-type"] }).toEqual({
      status: 200,
      text: "line\n",
      type: "text/plain",
    });
    expect(asked).toEqual([
      {
        address: { host: "192.0.2.9", port: 10250 },
        path: "/containerLogs/default/p/c?follow=true&timestamps=true&tailLines=5&limitBytes=100",
      },
    ]);
  });

  it("is empty for a pod that is not scheduled", async () => {
    await api.call("POST", pods, pod("q"));
    expect((await api.call("GET", `${pods}/q/log`)).text).toBe("");
    expect(asked).toEqual([]);
  });

  it("needs the name of one of several containers", async () => {
    await api.call(
      "POST",
      pods,
      pod("two", {
        nodeName: "n1",
        containers: [
          { name: "a", image: "i" },
          { name: "b", image: "i" },
        ],
      }),
    );
    const { status, body } = await api.call("GET", `${pods}/two/log`);
    expect(status).toBe(400);
    expect(body.message).toBe("a container name must be specified for pod two, choose one of: [a b]");
    expect((await api.call("GET", `${pods}/two/log?container=b`)).status).toBe(200);
    expect((await api.call("GET", `${pods}/two/log?container=z`)).body.message).toBe(
      "container z is not valid for pod two",
    );
  });

  it("passes on what the kubelet refuses", async () => {
    kubeletAnswer = { status: 400, text: 'container "c" in pod "p" is waiting to start: ContainerCreating' };
    expect((await api.call("GET", `${pods}/p/log`)).body).toMatchObject({ code: 400, message: kubeletAnswer.text });
  });

  it.each([
    ["tailLines=-1", 422],
    ["tailLines=many", 400],
    ["limitBytes=0", 422],
    ["sinceTime=yesterday", 400],
    ["sinceTime=2030-01-01T00:00:00Z&sinceSeconds=5", 422],
  ])("refuses %s", async (query, status) => {
    expect((await api.call("GET", `${pods}/p/log?${query}`)).status).toBe(status);
  });
});

describe("events.k8s.io/v1", () => {
  const core = "/api/v1/namespaces/default/events";
  const events = "/apis/events.k8s.io/v1/namespaces/default/events";

  it("is another view of the same events", async () => {
    const shown = {
      metadata: { name: "e" },
      eventTime: "2030-01-01T00:00:00.000000Z",
      reportingController: "test",
      reportingInstance: "test-1",
      action: "Testing",
      reason: "Tested",
      type: "Normal",
      note: "all is well",
      regarding: { kind: "Pod", name: "p", namespace: "default" },
    };
    const made = await api.call("POST", events, shown);
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ ...shown, apiVersion: "events.k8s.io/v1", kind: "Event" });
    const { body } = await api.call("GET", `${core}/e`);
    expect(body).toMatchObject({
      apiVersion: "v1",
      message: "all is well",
      involvedObject: shown.regarding,
      reportingComponent: "test",
    });
    const list = await api.call("GET", events);
    expect(list.body).toMatchObject({
      kind: "EventList",
      apiVersion: "events.k8s.io/v1",
      items: [{ note: "all is well" }],
    });
    for (const [field, count] of [
      ["regarding.kind=Pod,reportingController=test", 1],
      ["regarding.name!=p", 0],
    ]) {
      const chosen = await api.call("GET", `${events}?fieldSelector=${encodeURIComponent(String(field))}`);
      expect(chosen.body.items).toHaveLength(Number(count));
    }
    const patched = await api.call(
      "PATCH",
      `${events}/e`,
      { series: { count: 2, lastObservedTime: "2030-01-01T00:00:01.000000Z" } },
      mergePatch,
    );
    expect(patched.body.series.count).toBe(2);
  });

  it("shows old events by their deprecated names", async () => {
    const old = {
      metadata: { name: "o" },
      involvedObject: { kind: "Pod", name: "p", namespace: "default" },
      message: "hm",
      count: 3,
      firstTimestamp: "2030-01-01T00:00:00Z",
      lastTimestamp: "2030-01-01T00:00:05Z",
      source: { component: "c" },
      type: "Normal",
      reason: "R",
    };
    expect((await api.call("POST", core, old)).status).toBe(201);
    const watch = await api.watch(`${events}?watch=1`);
    expect((await watch.next())?.object).toMatchObject({
      note: "hm",
      deprecatedCount: 3,
      deprecatedSource: { component: "c" },
      deprecatedFirstTimestamp: old.firstTimestamp,
      deprecatedLastTimestamp: old.lastTimestamp,
    });
  });

  it("ends an hour after it was last seen", async () => {
    const event = {
      involvedObject: { kind: "Pod", name: "p", namespace: "default" },
      message: "m",
      type: "Normal",
      reason: "R",
    };
    await api.call("POST", core, { ...event, metadata: { name: "early" } });
    await api.clock.advance(1_800_000);
    await api.call("POST", core, { ...event, metadata: { name: "late" } });
    await api.clock.advance(1_860_000);
    const { body } = await api.call("GET", core);
    expect(body.items.map((item: { metadata: { name: string } }) => item.metadata.name)).toEqual(["late"]);
  });
});

describe("admission", () => {
  it("gives a pod its service account", async () => {
    const { body } = await api.call("POST", pods, pod("p"));
    expect(body.spec.serviceAccountName).toBe("default");
  });

  it("gives an Ingress the default class, the newest of several", async () => {
    const classes = "/apis/networking.k8s.io/v1/ingressclasses";
    const ingresses = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
    const ingress = (name: string, more: object = {}, metadata: object = {}): object => ({
      metadata: { name, ...metadata },
      spec: { defaultBackend: { service: { name: "s", port: { number: 80 } } }, ...more },
    });
    expect((await api.call("POST", ingresses, ingress("none"))).body.spec.ingressClassName).toBeUndefined();
    for (const name of ["old", "new"]) {
      await api.call("POST", classes, {
        metadata: { name, annotations: { "ingressclass.kubernetes.io/is-default-class": "true" } },
        spec: { controller: "a.example/c" },
      });
      await api.clock.advance(1000);
    }
    expect((await api.call("POST", ingresses, ingress("a"))).body.spec.ingressClassName).toBe("new");
    expect(
      (await api.call("POST", ingresses, ingress("b", { ingressClassName: "own" }))).body.spec.ingressClassName,
    ).toBe("own");
    const annotated = ingress("c", {}, { annotations: { "kubernetes.io/ingress.class": "old" } });
    expect((await api.call("POST", ingresses, annotated)).body.spec.ingressClassName).toBeUndefined();
  });
});

describe("what is answered and not stored", () => {
  const onlyTable = { headers: { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" } };
  const review = { spec: { resourceAttributes: { verb: "get", resource: "pods" } } };

  it("has no table: who takes nothing else is refused before anything is done", async () => {
    await api.call("POST", pods, pod("a"));
    for (const [url, body] of [
      ["/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review],
      [`${pods}/a/eviction`, { metadata: { name: "a" } }],
      [`${pods}/a/binding`, { metadata: { name: "a" }, target: { name: "n" } }],
      ["/api/v1/namespaces/default/bindings", { metadata: { name: "a" }, target: { name: "n" } }],
      ["/api/v1/namespaces/default/serviceaccounts/default/token", { spec: {} }],
    ] as const) {
      const { status, body: answer } = await api.call("POST", url, body, onlyTable);
      expect([url, status, answer.reason]).toEqual([url, 406, "NotAcceptable"]);
    }
    expect((await api.call("GET", `${pods}/a`)).body.spec.nodeName).toBeUndefined();
    const either = { headers: { accept: `${onlyTable.headers.accept},application/json` } };
    const { body } = await api.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review, either);
    expect(body.status.allowed).toBe(true);
  });
});

describe("a watch by its path", () => {
  it("tells of one object, or of all", async () => {
    await api.call("POST", pods, pod("a"));
    await api.call("POST", pods, pod("b"));
    const one = await api.watch("/api/v1/watch/namespaces/default/pods/b");
    expect(await one.next()).toMatchObject({ type: "ADDED", object: { metadata: { name: "b" } } });
    one.stop();
    const all = await api.watch("/api/v1/watch/pods");
    expect(await all.next()).toMatchObject({ type: "ADDED", object: { metadata: { name: "a" } } });
    all.stop();
  });
});
