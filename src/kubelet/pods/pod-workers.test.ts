import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { createFakeClient, type EventRecorder, startInformer } from "../../client/index.ts";
import { type Node, type Pod, type PodSpec, resources } from "../../kube/index.ts";
import { FakeClock, silentLogger } from "../../system/index.ts";
import type { HandlerResult } from "../probes/handler.ts";
import { createProber } from "../probes/prober.ts";
import { createFakeRuntime } from "../runtime/fake.ts";
import { createAccountTokens } from "../volumes/account-tokens.ts";
import { createReferences } from "../volumes/references.ts";
import { createVolumes } from "../volumes/volumes.ts";
import { lookupIn } from "./lookup.ts";
import { podDirectories } from "./pod-directories.ts";
import { createPodStore } from "./pod-store.ts";
import { createPodWorkers } from "./pod-workers.ts";

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

const node: Node = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "n1" },
  spec: {},
  status: { allocatable: { cpu: "1", pods: "10" } },
};

/** One node's workers over fakes. `settle` looks at every pod that asks for it until none does. */
async function lab() {
  const clock = new FakeClock();
  const client = createFakeClient({ clock });
  const runtime = createFakeRuntime(clock);
  const stop = new AbortController();
  const dir = mkdtempSync(join(tmpdir(), "pod-workers-"));
  cleanUps.push(() => {
    stop.abort();
    rmSync(dir, { recursive: true, force: true });
  });
  const { signal } = stop;
  const informer = startInformer(client, resources.Pod, {
    indexes: { uid: (pod: Pod) => [pod.metadata.uid ?? ""] },
    signal,
    log: silentLogger,
  });
  await informer.synced;
  const events: string[] = [];
  const recorder: EventRecorder = {
    event: (_object, type, reason, message) => void events.push(`${type} ${reason}: ${message}`),
    flush: async () => {},
  };
  const hooks: { result: HandlerResult | Promise<HandlerResult>; seen: string[] } = {
    result: { ok: true, message: "" },
    seen: [],
  };
  const queue = new Set<string>();
  const due = new Map<string, number>();
  const enqueue = (uid: string): void => void queue.add(uid);
  const pods = createPodStore(informer);
  const directories = podDirectories(dir);
  const runHandler = async (_: unknown, target: { containerName: string }): Promise<HandlerResult> => {
    hooks.seen.push(target.containerName);
    return hooks.result;
  };
  const prober = createProber({ run: runHandler, clock, signal, onChange: enqueue, onFailure: () => {} });
  const onChange = (uid: string): void => {
    workers.hurry(uid);
    enqueue(uid);
  };
  const workers = createPodWorkers({
    client,
    runtime,
    pods,
    services: () => [],
    prober,
    runHandler,
    volumes: createVolumes({
      directories,
      references: createReferences(client, { onChange, signal, clock, log: silentLogger }),
      tokens: createAccountTokens(client, clock),
      client,
      node: () => undefined,
    }),
    directories,
    lookup: (namespace) => lookupIn(client, namespace),
    recorder,
    dns: {
      clusterServers: ["10.96.0.10"],
      clusterDomain: "cluster.local",
      node: { servers: [], searches: [], options: [] },
    },
    hostAddresses: ["10.41.0.1"],
    node: () => node,
    allocatable: { cpu: 1, memory: 1, ephemeralStorage: 1 },
    enqueue,
    clock,
    log: silentLogger,
  });
  runtime.onChange((uid) => uid !== undefined && enqueue(uid));
  informer.onChange(({ before, after }) => {
    for (const pod of [before, after]) if (pod?.metadata.uid) enqueue(pod.metadata.uid);
  });

  const settle = async (): Promise<void> => {
    for (let rounds = 0; rounds < 100; rounds++) {
      await clock.advance(0);
      for (const [uid, at] of due) if (at <= clock.now()) queue.add(uid);
      const [uid] = queue;
      if (uid === undefined) return;
      queue.delete(uid);
      due.delete(uid);
      const result = await workers.reconcile(uid);
      if (result) due.set(uid, clock.now() + result.again);
    }
    throw new Error("it never comes to rest");
  };
  const name = { namespace: "default", name: "a" };
  return {
    client,
    runtime,
    clock,
    events,
    hooks,
    due,
    settle,
    pass: async (ms: number): Promise<void> => {
      await clock.advance(ms);
      await settle();
    },
    create: async (spec: Partial<PodSpec>, metadata: object = {}): Promise<void> => {
      client.put(resources.Pod, {
        metadata: { ...name, uid: "u", ...metadata },
        spec: { nodeName: "n1", containers: [{ name: "web", image: "i" }], ...spec },
      });
      await settle();
    },
    pod: () => client.get(resources.Pod, name).catch(() => undefined),
    remove: async (gracePeriodSeconds?: number): Promise<void> => {
      await client.delete(resources.Pod, name, gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds });
      await settle();
    },
  };
}

test("a pod is started, and its status written once", async () => {
  const { create, runtime, client, pod, events } = await lab();
  await create({
    containers: [{ name: "web", image: "i", command: ["run", "$(A)"], env: [{ name: "A", value: "1" }] }],
  });
  expect(runtime.calls).toEqual(["sandbox a", "create web", "start web"]);
  expect((await pod())?.status).toMatchObject({ phase: "Running", podIP: expect.stringMatching(/^10\.42/) as string });
  const [config] = runtime.configs.values();
  expect(config).toMatchObject({
    command: ["run", "1"],
    attempt: 0,
    stopSignal: "SIGTERM",
    env: { A: "1", HOSTNAME: "a" },
  });
  // One to say that it is looked after, one when it runs.
  expect(client.writes.filter(({ verb }) => verb === "patch")).toHaveLength(2);
  expect(events).toEqual([
    'Normal Pulled: Container image "i" already present on machine',
    "Normal Created: Created container: web",
    "Normal Started: Started container web",
  ]);
});

test("a container that ends is restarted at once, then after 10 s", async () => {
  const { create, runtime, pod, pass, settle, events } = await lab();
  await create({});
  runtime.exit(runtime.container("u", "web")?.id ?? "", 1);
  await settle();
  expect(runtime.container("u", "web")).toMatchObject({ state: "running", attempt: 1 });
  runtime.exit(runtime.container("u", "web")?.id ?? "", 1);
  await settle();
  expect((await pod())?.status?.containerStatuses?.[0]).toMatchObject({
    restartCount: 1,
    state: {
      waiting: { reason: "CrashLoopBackOff", message: "back-off 10s restarting failed container=web pod=a_default(u)" },
    },
  });
  expect(events).toContain("Warning BackOff: Back-off restarting failed container web in pod a_default(u)");
  await pass(9_999);
  expect(runtime.container("u", "web")).toMatchObject({ attempt: 1 });
  await pass(1);
  expect(runtime.container("u", "web")).toMatchObject({ state: "running", attempt: 2 });
  expect((await pod())?.status?.containerStatuses?.[0]?.state?.running).toBeDefined();
});

test("deleting: the stop signal, the grace, the end, then the object", async () => {
  const { create, remove, runtime, pod, pass, client } = await lab();
  await create({ terminationGracePeriodSeconds: 7 });
  runtime.stubborn.add("web");
  await remove();
  expect(runtime.calls.at(-1)).toBe("stop web 7000");
  expect((await pod())?.metadata.deletionTimestamp).toBeDefined();
  await pass(6_999);
  expect(await pod()).toBeDefined();
  await pass(1);
  expect(await pod()).toBeUndefined();
  expect(runtime.calls.slice(-1)).toEqual(["remove sandbox a"]);
  const last = client.writes.filter(({ verb }) => verb === "patch").at(-1);
  expect(last?.body).toMatchObject({
    status: { phase: "Failed", containerStatuses: [{ state: { terminated: { exitCode: 137 } } }] },
  });
  expect(client.writes.at(-1)).toMatchObject({
    verb: "delete",
    body: { gracePeriodSeconds: 0, preconditions: { uid: "u" } },
  });
});

test("deleting again with less grace cuts the time", async () => {
  const { create, remove, runtime } = await lab();
  await create({ terminationGracePeriodSeconds: 30 });
  runtime.stubborn.add("web");
  await remove();
  await remove(3);
  expect(runtime.calls.filter((call) => call.startsWith("stop web"))).toEqual(["stop web 30000", "stop web 3000"]);
});

test("preStop runs before the stop signal and takes of its grace", async () => {
  const { create, remove, runtime, pass, events } = await lab();
  await create({
    terminationGracePeriodSeconds: 10,
    containers: [{ name: "web", image: "i", lifecycle: { preStop: { sleep: { seconds: 4 } } } }],
  });
  await remove();
  expect(runtime.calls).not.toContain("stop web 6000");
  await pass(4_000);
  expect(runtime.calls).toContain("stop web 6000");
  expect(events).toContain("Normal Killing: Stopping container web");
});

test("a failed preStop is told and the container is ended all the same", async () => {
  const { create, remove, runtime, hooks, events } = await lab();
  hooks.result = { ok: false, message: "boom" };
  await create({ containers: [{ name: "web", image: "i", lifecycle: { preStop: { exec: { command: ["x"] } } } }] });
  await remove();
  expect(events).toContain("Warning FailedPreStopHook: PreStopHook failed: boom");
  expect(runtime.calls).toContain("stop web 30000");
});

test("while postStart is at work the container is not ready and the next does not start", async () => {
  const { create, runtime, hooks, pod, settle } = await lab();
  let finish: (result: HandlerResult) => void = () => {};
  hooks.result = new Promise((resolve) => (finish = resolve));
  const lifecycle = { postStart: { exec: { command: ["x"] } } };
  await create({
    containers: [
      { name: "web", image: "i", lifecycle },
      { name: "other", image: "i" },
    ],
  });
  expect(runtime.container("u", "other")).toBeUndefined();
  expect((await pod())?.status?.containerStatuses?.[0]?.ready).toBe(false);
  finish({ ok: true, message: "" });
  await settle();
  expect(runtime.container("u", "other")).toMatchObject({ state: "running" });
  expect((await pod())?.status?.containerStatuses?.map(({ ready }) => ready)).toEqual([true, true]);
});

test("a failed postStart ends the container, which is tried again", async () => {
  const { create, runtime, hooks, events } = await lab();
  hooks.result = { ok: false, message: "boom" };
  await create({ containers: [{ name: "web", image: "i", lifecycle: { postStart: { exec: { command: ["x"] } } } }] });
  expect(events).toContain("Warning FailedPostStartHook: PostStartHook failed: boom");
  expect(runtime.container("u", "web")).toMatchObject({ attempt: 1 });
});

test("sidecars are stopped after the main containers", async () => {
  const { create, remove, runtime, pass } = await lab();
  await create({ initContainers: [{ name: "side", image: "i", restartPolicy: "Always" }] });
  runtime.stubborn.add("web");
  await remove();
  expect(runtime.calls.filter((call) => call.startsWith("stop"))).toEqual(["stop web 30000"]);
  await pass(30_000);
  expect(runtime.calls.filter((call) => call.startsWith("stop "))).toEqual(["stop web 30000", "stop side 30000"]);
});

test("a missing ConfigMap is told, and waited for", async () => {
  const { create, runtime, pod, client, pass, settle, events } = await lab();
  await create({ containers: [{ name: "web", image: "i", envFrom: [{ configMapRef: { name: "settings" } }] }] });
  expect((await pod())?.status?.containerStatuses?.[0]?.state?.waiting).toEqual({
    reason: "CreateContainerConfigError",
    message: 'configmap "settings" not found',
  });
  expect(events).toContain('Warning Failed: Error: configmap "settings" not found');
  client.put(resources.ConfigMap, { metadata: { name: "settings", namespace: "default" }, data: { A: "1" } });
  await settle();
  await pass(5_000);
  expect(runtime.container("u", "web")).toMatchObject({ state: "running", attempt: 0 });
  expect((await pod())?.status?.containerStatuses?.[0]).toMatchObject({ restartCount: 0, ready: true });
});

test("a volume whose ConfigMap is missing is mounted as soon as that is there", async () => {
  const { create, runtime, client, settle, events } = await lab();
  await create({ volumes: [{ name: "v", configMap: { name: "settings" } }] });
  expect(events).toContain(
    'Warning FailedMount: MountVolume.SetUp failed for volume "v" : configmap "settings" not found',
  );
  expect(runtime.container("u", "web")).toBeUndefined();
  client.put(resources.ConfigMap, { metadata: { name: "settings", namespace: "default" }, data: { A: "1" } });
  await settle();
  expect(runtime.container("u", "web")).toMatchObject({ state: "running" });
});

test("an API that does not answer for a ConfigMap holds up neither the pod nor its end", async () => {
  const { create, client, clock, runtime, remove, pod, events } = await lab();
  client.intercept = ({ resource, verb }) => {
    if (resource.kind === "ConfigMap" && verb === "watch") return new Promise(() => {});
    return undefined;
  };
  const created = create({ volumes: [{ name: "v", configMap: { name: "settings" } }] });
  for (let seconds = 0; events.length === 0 && seconds < 60; seconds++) await clock.advance(1_000);
  await created;
  expect(events.at(-1)).toBe(
    'Warning FailedMount: MountVolume.SetUp failed for volume "v" : failed to sync configmap "settings": timed out waiting for the condition',
  );
  await remove();
  expect(await pod()).toBeUndefined();
  expect(runtime.calls.at(-1)).toBe("remove sandbox a");
});

test("a sandbox that cannot be made is told and tried again", async () => {
  const { create, runtime, pod, pass, events } = await lab();
  runtime.intercept = (call) => {
    if (call.startsWith("sandbox")) throw new Error("no addresses");
  };
  await create({});
  expect(events).toContain("Warning FailedCreatePodSandBox: Failed to create pod sandbox: no addresses");
  expect((await pod())?.status).toMatchObject({ phase: "Pending" });
  runtime.intercept = undefined;
  await pass(5_000);
  expect((await pod())?.status).toMatchObject({ phase: "Running" });
});

test("a pod over its deadline fails and is stopped", async () => {
  const { create, runtime, pod, pass } = await lab();
  await create({ activeDeadlineSeconds: 60 });
  await pass(60_000);
  await pass(0);
  expect((await pod())?.status).toMatchObject({ phase: "Failed", reason: "DeadlineExceeded" });
  expect(runtime.container("u", "web")?.state).toBe("exited");
  expect(runtime.calls.at(-1)).toBe("stop sandbox a");
});

test("a job's pod succeeds and is not touched again", async () => {
  const { create, runtime, pod, settle, due } = await lab();
  await create({ restartPolicy: "OnFailure" });
  runtime.exit(runtime.container("u", "web")?.id ?? "", 0);
  await settle();
  expect((await pod())?.status).toMatchObject({ phase: "Succeeded" });
  expect(runtime.calls.slice(-1)).toEqual(["stop sandbox a"]);
  expect([...due]).toEqual([]);
});

test("a reboot: everything is started again in a new sandbox", async () => {
  const { create, runtime, pod, settle } = await lab();
  await create({});
  const before = (await pod())?.status?.podIP;
  runtime.breakSandbox("u");
  await settle();
  const status = (await pod())?.status;
  expect(status?.containerStatuses?.[0]).toMatchObject({ restartCount: 1, ready: true });
  expect(status?.podIP).not.toBe(before);
});

test("a status write that comes too late is made again from the newest object", async () => {
  const { create, client, runtime, pod, settle } = await lab();
  await create({ readinessGates: [{ conditionType: "example.com/ok" }] });
  const now = await pod();
  client.put(resources.Pod, {
    ...(now as Pod),
    status: {
      ...now?.status,
      conditions: [...(now?.status?.conditions ?? []), { type: "example.com/ok", status: "True" }],
    },
  });
  runtime.exit(runtime.container("u", "web")?.id ?? "", 1);
  await settle();
  const conditions = (await pod())?.status?.conditions?.map(({ type, status }) => `${type}=${status}`);
  expect(conditions).toEqual(expect.arrayContaining(["example.com/ok=True", "Ready=True"]));
});

test("a pod that is gone from the API is ended without ado", async () => {
  const { create, client, runtime, settle } = await lab();
  await create({});
  client.remove(resources.Pod, { namespace: "default", name: "a" });
  await settle();
  expect(runtime.calls.slice(-2)).toEqual(["stop web 1000", "remove sandbox a"]);
  expect(await runtime.list()).toEqual({ sandboxes: [], containers: [] });
});

test("pods that are bound at once never take more than there is; for a critical one another ends", async () => {
  const { client, runtime, settle, pass, events } = await lab();
  const put = (name: string, cpu: string, priority = 0): void => {
    client.put(resources.Pod, {
      metadata: { name, namespace: "default", uid: name },
      spec: { nodeName: "n1", priority, containers: [{ name, image: "i", resources: { requests: { cpu } } }] },
    });
  };
  const statusOf = async (name: string) => (await client.get(resources.Pod, { namespace: "default", name })).status;
  put("a", "600m");
  put("b", "600m");
  await settle();
  expect((await statusOf("a"))?.phase).toBe("Running");
  expect(await statusOf("b")).toMatchObject({ phase: "Failed", reason: "OutOfcpu" });
  expect(runtime.calls).toEqual(["sandbox a", "create a", "start a"]);
  put("c", "800m", 2_000_000_000);
  await settle();
  await pass(60_000);
  expect((await statusOf("c"))?.phase).toBe("Running");
  expect(await statusOf("a")).toMatchObject({ phase: "Failed", reason: "Preempting" });
  expect((await statusOf("a"))?.conditions).toContainEqual(
    expect.objectContaining({ type: "DisruptionTarget", status: "True", reason: "TerminationByKubelet" }),
  );
  expect(runtime.calls).toContain("stop a 30000");
  expect(events).toContain("Warning Preempting: Preempted in order to admit critical pod");
});

test("a pod of a class whose runtime is not there does not run, and says why", async () => {
  const { client, create, runtime, events, pass, pod } = await lab();
  const put = (handler: string) => client.put(resources.RuntimeClass, { metadata: { name: "sandboxed" }, handler });
  put("gvisor");
  await create({ runtimeClassName: "sandboxed" });
  expect(runtime.calls).toEqual([]);
  expect(events).toContain(
    'Warning FailedCreatePodSandBox: Failed to create pod sandbox: failed to get sandbox runtime: no runtime for "gvisor" is configured',
  );
  put("runc");
  await pass(6_000);
  expect((await pod())?.status?.phase).toBe("Running");
});
