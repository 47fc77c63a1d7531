import { describe, expect, test } from "vitest";
import type { Pod, PodSpec, PodStatus } from "../../kube/index.ts";
import type { ContainerRecord, Sandbox } from "../runtime/runtime.ts";
import { podStatus, type StatusFacts, statusPatch } from "./pod-status.ts";
import { viewOf } from "./pod-view.ts";

const now = Date.UTC(2030, 0, 1);
const podOf = (spec: Partial<PodSpec>, status: PodStatus = {}): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "a", namespace: "default", uid: "u", generation: 4 },
  spec: { containers: [{ name: "main", image: "i" }], ...spec },
  status,
});
const sandbox: Sandbox = {
  id: "s0",
  podUid: "u",
  namespace: "default",
  name: "a",
  attempt: 0,
  createdAt: now,
  ready: true,
  addresses: ["10.42.0.2"],
};
const record = (name: string, more: Partial<ContainerRecord>): ContainerRecord => ({
  id: `${name}-${more.attempt ?? 0}`,
  sandboxId: "s0",
  podUid: "u",
  name,
  attempt: 0,
  image: "i",
  imageId: "i@sha256:0",
  logPath: "",
  createdAt: now,
  startedAt: now,
  state: "running",
  ...more,
});
const exited = (name: string, exitCode: number, more: Partial<ContainerRecord> = {}): ContainerRecord =>
  record(name, { state: "exited", exitCode, finishedAt: now, ...more });
const facts: StatusFacts = {
  now,
  hostAddresses: ["10.41.0.1"],
  runtime: "process",
  waiting: new Map(),
  started: () => true,
  ready: () => true,
  failure: undefined,
};
const statusOf = (pod: Pod, containers: ContainerRecord[], more: Partial<StatusFacts> = {}): PodStatus =>
  podStatus(pod, viewOf({ sandboxes: [sandbox], containers }), { ...facts, ...more });
const conditions = (status: PodStatus): Record<string, string> =>
  Object.fromEntries((status.conditions ?? []).map(({ type, status, reason }) => [type, reason ?? status]));

describe("podStatus", () => {
  test("a running pod", () => {
    const status = statusOf(podOf({}), [record("main", {})]);
    expect(status).toMatchObject({
      phase: "Running",
      observedGeneration: 4,
      hostIP: "10.41.0.1",
      podIP: "10.42.0.2",
      podIPs: [{ ip: "10.42.0.2" }],
      startTime: "2030-01-01T00:00:00Z",
      qosClass: "BestEffort",
    });
    expect(status.containerStatuses).toEqual([
      {
        name: "main",
        image: "i",
        imageID: "i@sha256:0",
        containerID: "process://main-0",
        state: { running: { startedAt: "2030-01-01T00:00:00Z" } },
        lastState: {},
        ready: true,
        started: true,
        restartCount: 0,
      },
    ]);
    expect(conditions(status)).toEqual({
      PodReadyToStartContainers: "True",
      Initialized: "True",
      Ready: "True",
      ContainersReady: "True",
      PodScheduled: "True",
    });
  });

  test("a container in back-off shows its end as the last state", () => {
    const waiting = new Map([["main", { reason: "CrashLoopBackOff", message: "back-off 10s" }]]);
    const status = statusOf(podOf({}), [exited("main", 3, { attempt: 1 }), exited("main", 2)], { waiting });
    expect(status.phase).toBe("Running");
    expect(status.containerStatuses?.[0]).toMatchObject({
      state: { waiting: { reason: "CrashLoopBackOff", message: "back-off 10s" } },
      lastState: { terminated: { exitCode: 3, reason: "Error" } },
      restartCount: 1,
      ready: false,
    });
    expect(conditions(status)).toMatchObject({ Ready: "ContainersNotReady", ContainersReady: "ContainersNotReady" });
  });

  test.each<[string, string, Partial<PodSpec>, ContainerRecord[]]>([
    ["nothing runs yet", "Pending", {}, []],
    ["one of two has not begun", "Pending", { containers: [{ name: "main" }, { name: "b" }] }, [record("main", {})]],
    ["all ended well", "Succeeded", { restartPolicy: "Never" }, [exited("main", 0)]],
    ["one failed for good", "Failed", { restartPolicy: "Never" }, [exited("main", 1)]],
    ["one failed and is tried again", "Running", { restartPolicy: "OnFailure" }, [exited("main", 1)]],
    ["ended well but runs always", "Running", {}, [exited("main", 0)]],
    [
      "an init container failed for good",
      "Failed",
      { restartPolicy: "Never", initContainers: [{ name: "i" }] },
      [exited("i", 1)],
    ],
    ["an init container is tried again", "Pending", { initContainers: [{ name: "i" }] }, [exited("i", 1)]],
  ])("phase when %s is %s", (_, phase, spec, containers) => {
    expect(statusOf(podOf(spec), containers).phase).toBe(phase);
  });

  test("a phase once terminal stays, and the address too", () => {
    const pod = podOf({}, { phase: "Failed", reason: "Evicted", podIP: "10.42.0.9", podIPs: [{ ip: "10.42.0.9" }] });
    const status = podStatus(pod, viewOf({ sandboxes: [], containers: [] }), facts);
    expect(status).toMatchObject({ phase: "Failed", reason: "Evicted", podIP: "10.42.0.9" });
  });

  test("a pod being deleted whose containers have ended has ended", () => {
    const pod = podOf({});
    pod.metadata.deletionTimestamp = "2030-01-01T00:00:30Z";
    expect(statusOf(pod, [exited("main", 143)]).phase).toBe("Failed");
    expect(statusOf(pod, [exited("main", 0)]).phase).toBe("Succeeded");
    expect(statusOf(pod, [record("main", {})]).phase).toBe("Running");
  });

  test("conditions while init containers run name them", () => {
    const status = statusOf(podOf({ initContainers: [{ name: "i1" }, { name: "i2" }] }), [exited("i1", 0)]);
    expect(status.conditions?.find(({ type }) => type === "Initialized")).toMatchObject({
      status: "False",
      reason: "ContainersNotInitialized",
      message: "containers with incomplete status: [i2]",
    });
    expect(status.containerStatuses?.[0]?.state).toEqual({ waiting: { reason: "PodInitializing" } });
  });

  test("readiness gates hold Ready back, and conditions of others stay", () => {
    const gated = { readinessGates: [{ conditionType: "example.com/ok" }] };
    expect(conditions(statusOf(podOf(gated), [record("main", {})]))["Ready"]).toBe("ReadinessGatesNotReady");
    const open = { conditions: [{ type: "example.com/ok", status: "True" }] };
    const status = statusOf(podOf(gated, open), [record("main", {})]);
    expect(conditions(status)).toMatchObject({ Ready: "True", "example.com/ok": "True" });
  });

  test("a transition time moves only with its status", () => {
    const first = statusOf(podOf({}), [record("main", {})]);
    const later = statusOf(podOf({}, first), [record("main", {})], { now: now + 60_000, ready: () => false });
    const time = (type: string) => later.conditions?.find((condition) => condition.type === type)?.lastTransitionTime;
    expect([time("Initialized"), time("Ready")]).toEqual(["2030-01-01T00:00:00Z", "2030-01-01T00:01:00Z"]);
  });

  test("a pod over its deadline has failed", () => {
    const failure = { reason: "DeadlineExceeded", message: "too long" };
    expect(statusOf(podOf({}), [record("main", {})], { failure })).toMatchObject({ phase: "Failed", ...failure });
  });
});

describe("statusPatch", () => {
  test("holds what differs, and null for what is gone", () => {
    const from: PodStatus = { phase: "Pending", reason: "X", hostIP: "h" };
    expect(statusPatch(from, { phase: "Running", hostIP: "h" })).toEqual({ phase: "Running", reason: null });
  });

  test("is nothing when only the order of keys and empty objects differ", () => {
    const from = { containerStatuses: [{ ready: true, name: "a", image: "", imageID: "", restartCount: 0 }] };
    const to = {
      containerStatuses: [{ name: "a", image: "", imageID: "", restartCount: 0, ready: true, lastState: {} }],
    };
    expect(statusPatch(from, to)).toBeUndefined();
  });
});
