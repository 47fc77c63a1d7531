import { describe, expect, test } from "vitest";
import type { Pod, PodSpec } from "../../kube/index.ts";
import type { ContainerRecord, Sandbox } from "../runtime/runtime.ts";
import { type PlanFacts, planPod } from "./plan.ts";
import { viewOf } from "./pod-view.ts";

const podOf = (spec: Partial<PodSpec>, phase = "Running"): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "a", namespace: "default", uid: "u" },
  spec: { containers: [{ name: "main" }], ...spec },
  status: { phase },
});
const sandbox = (attempt = 0, ready = true): Sandbox => ({
  id: `s${attempt}`,
  podUid: "u",
  namespace: "default",
  name: "a",
  attempt,
  createdAt: attempt,
  ready,
  addresses: ["10.42.0.2"],
});
const container = (name: string, state: "running" | "exited" | "created", more: Partial<ContainerRecord> = {}) => ({
  id: `${name}-${more.attempt ?? 0}`,
  sandboxId: "s0",
  podUid: "u",
  name,
  attempt: 0,
  image: "",
  imageId: "",
  logPath: "",
  createdAt: 0,
  state,
  ...(state === "exited" ? { finishedAt: 100, exitCode: 1 } : {}),
  ...more,
});
const facts: PlanFacts = {
  backOff: () => 0,
  started: () => true,
  hooked: () => false,
  unhealthy: () => undefined,
  overdue: false,
};
const plan = (pod: Pod, sandboxes: Sandbox[], containers: ContainerRecord[], more: Partial<PlanFacts> = {}) => {
  const { start, stop, ...rest } = planPod(pod, viewOf({ sandboxes, containers }), { ...facts, ...more });
  return {
    ...rest,
    start: start.map(({ container, attempt }) => `${container.name}#${attempt}`),
    stop: stop.map(({ id }) => id),
  };
};

describe("planPod", () => {
  test("a new pod gets a sandbox and its main containers", () => {
    expect(plan(podOf({}), [], [])).toMatchObject({ createSandbox: 0, start: ["main#0"] });
  });

  test("init containers go one after another, before the main ones", () => {
    const pod = podOf({ initContainers: [{ name: "i1" }, { name: "i2" }] });
    expect(plan(pod, [], []).start).toEqual(["i1#0"]);
    expect(plan(pod, [sandbox()], [container("i1", "running")]).start).toEqual([]);
    const done = container("i1", "exited", { exitCode: 0 });
    expect(plan(pod, [sandbox()], [done]).start).toEqual(["i2#0"]);
    const both = [done, container("i2", "exited", { exitCode: 0 })];
    expect(plan(pod, [sandbox()], both).start).toEqual(["main#0"]);
  });

  test("a failed init container is tried again, or with Never ends the pod", () => {
    const init = { initContainers: [{ name: "i1" }] };
    const failed = [container("i1", "exited")];
    expect(plan(podOf(init), [sandbox()], failed).start).toEqual(["i1#1"]);
    expect(plan(podOf({ ...init, restartPolicy: "Never" }), [sandbox()], failed)).toMatchObject({
      start: [],
      stopSandbox: "s0",
    });
  });

  test("a sidecar must have started before the next begins, and is restarted beside the main ones", () => {
    const pod = podOf({ initContainers: [{ name: "side", restartPolicy: "Always" }], restartPolicy: "Never" });
    expect(plan(pod, [], []).start).toEqual(["side#0"]);
    const side = container("side", "running");
    expect(plan(pod, [sandbox()], [side], { started: () => false }).start).toEqual([]);
    expect(plan(pod, [sandbox()], [side]).start).toEqual(["main#0"]);
    const dead = container("side", "exited", { exitCode: 0 });
    expect(plan(pod, [sandbox()], [dead, container("main", "running")]).start).toEqual(["side#1"]);
  });

  test("sidecars are stopped when the main containers have ended for good", () => {
    const pod = podOf({ initContainers: [{ name: "side", restartPolicy: "Always" }], restartPolicy: "Never" });
    const ended = container("main", "exited", { exitCode: 0 });
    expect(plan(pod, [sandbox()], [container("side", "running"), ended]).stop).toEqual(["side-0"]);
  });

  test.each([
    ["Always", 0, ["main#1"]],
    ["Always", 1, ["main#1"]],
    ["OnFailure", 0, []],
    ["OnFailure", 1, ["main#1"]],
    ["Never", 1, []],
  ])("restartPolicy %s after exit code %i starts %j", (restartPolicy, exitCode, start) => {
    expect(plan(podOf({ restartPolicy }), [sandbox()], [container("main", "exited", { exitCode })]).start).toEqual(
      start,
    );
  });

  test("back-off delays a start, and only that one", () => {
    const pod = podOf({ containers: [{ name: "main" }, { name: "other" }] });
    const { start, waiting } = plan(pod, [sandbox()], [container("main", "exited")], {
      backOff: (name) => (name === "main" ? 9_000 : 0),
    });
    expect(start).toEqual(["other#0"]);
    expect([...waiting]).toEqual([["main", 9_000]]);
  });

  test("an unhealthy container is stopped and nothing else happens to it", () => {
    const running = [container("main", "running")];
    expect(plan(podOf({}), [sandbox()], running, { unhealthy: () => "Liveness" })).toMatchObject({
      stop: ["main-0"],
      start: [],
    });
  });

  test("a container whose image changes is stopped and starts again at once, whatever the policy", () => {
    const pod = podOf({ containers: [{ name: "main", image: "new" }], restartPolicy: "Never" });
    const old = { image: "old" };
    const [going, ended] = [container("main", "running", old), container("main", "exited", { ...old, exitCode: 143 })];
    expect(plan(pod, [sandbox()], [going])).toMatchObject({ stop: ["main-0"], start: [] });
    const after = plan(pod, [sandbox()], [ended], { backOff: () => 9_000 });
    expect(after).toMatchObject({ stop: [], start: ["main#1"], waiting: new Map() });
    expect(plan(pod, [sandbox()], [{ ...going, image: "new" }])).toMatchObject({ stop: [], start: [] });
  });

  test("while a postStart is at work nothing starts", () => {
    const pod = podOf({ containers: [{ name: "main" }, { name: "other" }] });
    expect(plan(pod, [sandbox()], [container("main", "running")], { hooked: () => true }).start).toEqual([]);
  });

  test("a lost sandbox is made anew and init containers run again in it, attempts going on", () => {
    const pod = podOf({ initContainers: [{ name: "i1" }] });
    const old = [container("i1", "exited", { exitCode: 0 }), container("main", "exited", { attempt: 2 })];
    expect(plan(pod, [sandbox(0, false)], old)).toMatchObject({ createSandbox: 1, start: ["i1#1"] });
    const next = [...old, container("i1", "exited", { exitCode: 0, attempt: 1, sandboxId: "s1" })];
    expect(plan(pod, [sandbox(0, false), sandbox(1)], next)).toMatchObject({
      createSandbox: undefined,
      start: ["main#3"],
    });
  });

  test("what still runs in a lost sandbox is stopped first", () => {
    expect(plan(podOf({}), [sandbox(0, false)], [container("main", "running")])).toMatchObject({
      stop: ["main-0"],
      start: [],
      createSandbox: undefined,
    });
  });

  test("a pod that has ended starts nothing again and gives its network back", () => {
    const ended = [container("main", "exited", { exitCode: 0 })];
    expect(plan(podOf({}, "Failed"), [sandbox()], ended)).toMatchObject({ start: [], stopSandbox: "s0" });
    expect(plan(podOf({}, "Succeeded"), [sandbox(0, false)], ended)).toMatchObject({
      start: [],
      stopSandbox: undefined,
      createSandbox: undefined,
    });
  });

  test("a pod over its deadline is stopped", () => {
    expect(plan(podOf({}), [sandbox()], [container("main", "running")], { overdue: true })).toMatchObject({
      stop: ["main-0"],
      start: [],
    });
  });

  test("of each container the last two are kept; what never started goes", () => {
    const attempts = [0, 1, 2].map((attempt) => container("main", "exited", { attempt }));
    const leftover = container("main", "created", { attempt: 3, id: "left" });
    const { removeContainers, start } = plan(podOf({}), [sandbox()], [...attempts, leftover]);
    expect(removeContainers).toEqual(["main-0", "left"]);
    expect(start).toEqual(["main#3"]);
  });

  test("a sandbox goes when no kept container is of it", () => {
    const containers = [1, 2].map((attempt) => container("main", "exited", { attempt, sandboxId: "s1" }));
    expect(plan(podOf({}), [sandbox(0, false), sandbox(1)], containers).removeSandboxes).toEqual(["s0"]);
  });
});
