import { expect, test } from "vitest";
import type { Container, Pod } from "../../kube/index.ts";
import { FakeClock } from "../../system/index.ts";
import type { ContainerRecord } from "../runtime/runtime.ts";
import type { Handler } from "./handler.ts";
import { observe, unprobed } from "./probe-state.ts";
import { createProber } from "./prober.ts";

const check = (name: string, more: object = {}) => ({ exec: { command: [name] }, periodSeconds: 10, ...more });

function lab(container: Partial<Container>, status: Pod["status"] = {}) {
  const clock = new FakeClock();
  const answers: Record<string, boolean> = { startup: true, live: true, ready: true };
  const asked: string[] = [];
  const failures: string[] = [];
  let changes = 0;
  const prober = createProber({
    run: async (handler: Handler) => {
      const name = handler.exec?.command?.[0] ?? "";
      asked.push(name);
      return { ok: answers[name] ?? false, message: "no" };
    },
    clock,
    signal: new AbortController().signal,
    onChange: () => void changes++,
    onFailure: (_pod, name, kind) => failures.push(`${name} ${kind}`),
  });
  const pod: Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "a", uid: "u" },
    spec: { containers: [{ name: "web", ...container }] },
    status,
  };
  const record: ContainerRecord = {
    id: "c1",
    sandboxId: "s",
    podUid: "u",
    name: "web",
    attempt: 0,
    image: "",
    imageId: "",
    logPath: "",
    createdAt: clock.now(),
    startedAt: clock.now(),
    state: "running",
  };
  const sync = async (): Promise<void> => {
    prober.sync(pod, "127.0.0.1", [record]);
    await clock.advance(0);
  };
  return { clock, prober, pod, record, answers, asked, failures, sync, changes: () => changes };
}

test("observe: a verdict changes after its threshold of equal results", () => {
  const probe = { failureThreshold: 3, successThreshold: 2 };
  const verdicts = [true, true, false, false, true, false, false, false].map(
    (
      (state) => (ok: boolean) =>
        (state = observe(state, ok, probe)).verdict
    )(unprobed),
  );
  expect(verdicts).toEqual([undefined, true, true, true, true, true, true, false]);
});

test("a container without probes is started and ready at once", async () => {
  const { prober, record, sync } = lab({});
  expect(prober.ready(record)).toBe(false);
  await sync();
  expect([prober.started(record), prober.ready(record), prober.unhealthy(record)]).toEqual([true, true, undefined]);
});

test("readiness follows its probe, which is first asked at once", async () => {
  const { prober, record, sync, clock, answers, failures, changes } = lab({ readinessProbe: check("ready") });
  await sync();
  expect(prober.ready(record)).toBe(true);
  answers["ready"] = false;
  await clock.advance(20_000);
  expect(prober.ready(record)).toBe(true);
  await clock.advance(10_000);
  expect(prober.ready(record)).toBe(false);
  answers["ready"] = true;
  await clock.advance(10_000);
  expect(prober.ready(record)).toBe(true);
  expect(failures).toEqual(["web Readiness", "web Readiness", "web Readiness"]);
  expect(changes()).toBe(3);
});

test("a container that is not yet ready is asked again soon, and its early failures are not counted", async () => {
  const { prober, record, sync, clock, answers, asked, failures } = lab({ readinessProbe: check("ready") });
  answers["ready"] = false;
  await sync();
  await clock.advance(350);
  expect(asked).toHaveLength(4);
  expect(failures).toEqual([]);
  answers["ready"] = true;
  await clock.advance(400);
  expect(prober.ready(record)).toBe(true);
});

test("initialDelaySeconds counts from the container's start", async () => {
  const { sync, clock, asked } = lab({ readinessProbe: check("ready", { initialDelaySeconds: 5 }) });
  await sync();
  await clock.advance(4_999);
  expect(asked).toEqual([]);
  await clock.advance(1);
  expect(asked).toEqual(["ready"]);
});

test("until the startup probe succeeds nothing else is asked", async () => {
  const { prober, record, sync, clock, answers, asked } = lab({
    startupProbe: check("startup", { failureThreshold: 5 }),
    livenessProbe: check("live"),
    readinessProbe: check("ready"),
  });
  answers["startup"] = false;
  await sync();
  await clock.advance(25_000);
  expect(new Set(asked)).toEqual(new Set(["startup"]));
  expect(prober.started(record)).toBe(false);
  answers["startup"] = true;
  asked.length = 0;
  await clock.advance(5_000);
  expect(asked).toEqual(["startup", "live", "ready"]);
  expect([prober.started(record), prober.ready(record)]).toEqual([true, true]);
});

test.each(["Startup", "Liveness"] as const)(
  "a failed %s probe makes the container unhealthy and asks no more",
  async (kind) => {
    const name = kind === "Startup" ? "startup" : "live";
    const probe = check(name, { failureThreshold: 2, terminationGracePeriodSeconds: 3 });
    const { prober, record, sync, clock, answers, asked } = lab(
      kind === "Startup" ? { startupProbe: probe } : { livenessProbe: probe },
    );
    answers[name] = false;
    await sync();
    // A start-up probe gives the container failureThreshold x periodSeconds.
    await clock.advance(kind === "Startup" ? 19_999 : 9_999);
    expect(prober.unhealthy(record)).toBeUndefined();
    await clock.advance(1);
    expect(prober.unhealthy(record)).toEqual({ kind, graceSeconds: 3 });
    asked.length = 0;
    await clock.advance(60_000);
    expect(asked).toEqual([]);
  },
);

test("a container found running keeps what the API says of it until its probe says otherwise", async () => {
  const known = { name: "web", image: "", imageID: "", restartCount: 0, ready: true, started: true };
  const { prober, record, sync, clock, answers, asked } = lab(
    { startupProbe: check("startup"), readinessProbe: check("ready", { failureThreshold: 2 }) },
    { containerStatuses: [{ ...known, containerID: "process://c1" }] },
  );
  answers["ready"] = false;
  await sync();
  expect(asked).toEqual(["ready"]);
  expect(prober.ready(record)).toBe(true);
  await clock.advance(10_000);
  expect(prober.ready(record)).toBe(false);
});

test("a pod being deleted is only asked whether it is ready", async () => {
  const { prober, pod, sync, clock, answers, asked, record } = lab({
    livenessProbe: check("live", { failureThreshold: 1 }),
    readinessProbe: check("ready"),
  });
  await sync();
  pod.metadata.deletionTimestamp = "2030-01-01T00:00:00Z";
  await sync();
  asked.length = 0;
  answers["live"] = false;
  await clock.advance(20_000);
  expect(asked).toEqual(["ready", "ready"]);
  expect(prober.unhealthy(record)).toBeUndefined();
});

test("a container that is gone is not asked any more", async () => {
  const { prober, pod, sync, clock, asked, record } = lab({ livenessProbe: check("live") });
  await sync();
  prober.sync(pod, "127.0.0.1", []);
  await clock.advance(60_000);
  expect(asked).toEqual(["live"]);
  expect(prober.started(record)).toBe(false);
});
