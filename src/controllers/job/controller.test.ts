import { afterEach, beforeEach, expect, test } from "vitest";
import { type Job, type JobSpec, type Pod, resources } from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startJobController } from "./controller.ts";
import { startJobExpiry } from "./ttl.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startJobController(cluster);
  startJobExpiry(cluster);
});
afterEach(() => cluster.stop());

const name = { namespace: "a", name: "job" };
const add = (spec: Partial<JobSpec> = {}) =>
  cluster.client.create(resources.Job, {
    metadata: name,
    spec: {
      parallelism: 1,
      completions: 1,
      backoffLimit: 6,
      selector: { matchLabels: { job: "x" } },
      template: {
        metadata: { labels: { job: "x" } },
        spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] },
      },
      ...spec,
    },
  });
const job = (): Promise<Job> => cluster.client.get(resources.Job, name);
const live = async (): Promise<Pod[]> =>
  (await cluster.pods()).filter(
    ({ metadata, status }) => !metadata.deletionTimestamp && !["Succeeded", "Failed"].includes(status?.phase ?? ""),
  );
const types = async () => (await job()).status?.conditions?.map(({ type, status }) => `${type}=${status}`);
const reasonOf = async (type: string) => (await job()).status?.conditions?.find((one) => one.type === type)?.reason;

async function end(pod: Pod, exitCode: number): Promise<void> {
  const current = await cluster.client.get(resources.Pod, { namespace: "a", name: pod.metadata.name });
  const finishedAt = new Date(cluster.clock.now()).toISOString();
  const state = { terminated: { exitCode, finishedAt } };
  await cluster.client.updateStatus(resources.Pod, {
    ...current,
    status: {
      ...current.status,
      phase: exitCode === 0 ? "Succeeded" : "Failed",
      containerStatuses: [{ name: "c", state, ready: false, restartCount: 0, image: "i", imageID: "" }],
    },
  });
  await cluster.settle();
}
async function endNext(exitCode: number): Promise<void> {
  const [pod] = await live();
  if (!pod) throw new Error("no pod runs");
  await end(pod, exitCode);
}
const indexesOf = (pods: readonly Pod[]) =>
  pods.map(({ metadata }) => Number(metadata.annotations?.["batch.kubernetes.io/job-completion-index"])).sort();

test("pods are made until enough have succeeded; each is counted once and then let go", async () => {
  await add({ parallelism: 2, completions: 3 });
  await cluster.settle();
  expect(await live()).toHaveLength(2);
  expect((await live())[0]?.metadata.finalizers).toEqual(["batch.kubernetes.io/job-tracking"]);
  expect((await job()).status).toMatchObject({ active: 2, ready: 0, terminating: 0, uncountedTerminatedPods: {} });
  for (let i = 0; i < 3; i++) await endNext(0);
  expect(await types()).toEqual(["SuccessCriteriaMet=True", "Complete=True"]);
  expect(await reasonOf("Complete")).toBe("CompletionsReached");
  const { status } = await job();
  expect(status).toMatchObject({ succeeded: 3, ready: 0, terminating: 0 });
  expect(status?.active).toBeUndefined();
  expect(status?.completionTime).toBeDefined();
  expect((await cluster.pods()).flatMap(({ metadata }) => metadata.finalizers ?? [])).toEqual([]);
});

test("after a failure the next pod waits, longer each time, until the limit", async () => {
  await add({ backoffLimit: 2 });
  await cluster.settle();
  await endNext(1);
  expect(await live()).toHaveLength(0);
  await cluster.clock.advance(10_500);
  await cluster.settle();
  await endNext(1);
  await cluster.clock.advance(10_500);
  await cluster.settle();
  expect(await live()).toHaveLength(0);
  await cluster.clock.advance(10_000);
  await cluster.settle();
  await endNext(1);
  expect(await types()).toEqual(["FailureTarget=True", "Failed=True"]);
  expect(await reasonOf("Failed")).toBe("BackoffLimitExceeded");
  expect((await job()).status?.failed).toBe(3);
});

test("a suspended Job has no pods, and begins anew when it goes on", async () => {
  await add({ parallelism: 2, completions: 4, suspend: true });
  await cluster.settle();
  expect(await cluster.pods()).toEqual([]);
  expect((await job()).status?.startTime).toBeUndefined();
  const set = (suspend: boolean) =>
    cluster.client.patch(resources.Job, name, { type: "merge", body: { spec: { suspend } } });
  await set(false);
  await cluster.settle();
  expect(await live()).toHaveLength(2);
  expect(await types()).toEqual(["Suspended=False"]);
  await set(true);
  await cluster.settle();
  expect(await live()).toHaveLength(0);
  expect(await types()).toEqual(["Suspended=True"]);
  // What was stopped has not failed.
  expect((await job()).status?.failed).toBeUndefined();
});

test("activeDeadlineSeconds ends it, running pods and all", async () => {
  await add({ activeDeadlineSeconds: 60 });
  await cluster.settle();
  const [pod] = await live();
  await cluster.run(pod!);
  await cluster.clock.advance(61_000);
  await cluster.settle();
  // The last word waits for the pod.
  expect(await types()).toEqual(["FailureTarget=True"]);
  expect((await job()).status).toMatchObject({ terminating: 1 });
  await cluster.finish(pod!);
  await cluster.settle();
  expect(await types()).toEqual(["FailureTarget=True", "Failed=True"]);
  expect(await reasonOf("Failed")).toBe("DeadlineExceeded");
});

test("an indexed Job does each index once, and hands it to the pod", async () => {
  await add({ completionMode: "Indexed", completions: 3, parallelism: 2 });
  await cluster.settle();
  expect(indexesOf(await live())).toEqual([0, 1]);
  const [first] = await live();
  expect(first?.spec).toMatchObject({
    hostname: "job-0",
    containers: [
      {
        env: [
          {
            name: "JOB_COMPLETION_INDEX",
            valueFrom: { fieldRef: { fieldPath: "metadata.labels['batch.kubernetes.io/job-completion-index']" } },
          },
        ],
      },
    ],
  });
  expect(first?.metadata.generateName).toBe("job-0-");
  await end(first!, 1);
  await cluster.clock.advance(10_500);
  await cluster.settle();
  expect(indexesOf(await live())).toEqual([0, 1]);
  for (let i = 0; i < 3; i++) await endNext(0);
  expect((await job()).status).toMatchObject({ completedIndexes: "0-2", succeeded: 3, failed: 1 });
  expect(await types()).toEqual(["SuccessCriteriaMet=True", "Complete=True"]);
});

test("with backoffLimitPerIndex one index may fail while the others go on", async () => {
  await add({ completionMode: "Indexed", completions: 2, parallelism: 2, backoffLimitPerIndex: 1, backoffLimit: 100 });
  await cluster.settle();
  const of = async (index: number) => (await live()).find((pod) => indexesOf([pod])[0] === index)!;
  await end(await of(0), 1);
  await cluster.clock.advance(10_500);
  await cluster.settle();
  expect((await of(0)).metadata.annotations?.["batch.kubernetes.io/job-index-failure-count"]).toBe("1");
  await end(await of(0), 1);
  expect((await job()).status).toMatchObject({ failedIndexes: "0", failed: 2, active: 1 });
  await end(await of(1), 0);
  expect(await reasonOf("Failed")).toBe("FailedIndexes");
  expect((await job()).status).toMatchObject({ completedIndexes: "1", failedIndexes: "0" });
});

test("podFailurePolicy: one end fails the Job, another counts for nothing", async () => {
  await add({
    backoffLimit: 0,
    podFailurePolicy: {
      rules: [
        { action: "Ignore", onExitCodes: { operator: "In", values: [7] } },
        { action: "FailJob", onExitCodes: { containerName: "c", operator: "In", values: [42] } },
      ],
    },
  });
  await cluster.settle();
  await endNext(7);
  await cluster.clock.advance(10_500);
  await cluster.settle();
  expect((await job()).status?.failed).toBeUndefined();
  const [pod] = await live();
  await endNext(42);
  const failed = (await job()).status?.conditions?.find(({ type }) => type === "Failed");
  expect(failed).toMatchObject({
    reason: "PodFailurePolicy",
    message: `Container c for pod a/${pod?.metadata.name} failed with exit code 42 matching FailJob rule at index 1`,
  });
});

test("successPolicy: enough indexes end it, and the other pods", async () => {
  await add({
    completionMode: "Indexed",
    completions: 3,
    parallelism: 3,
    successPolicy: { rules: [{ succeededIndexes: "0-1", succeededCount: 1 }] },
  });
  await cluster.settle();
  await endNext(0);
  expect(await live()).toHaveLength(0);
  expect(await reasonOf("SuccessCriteriaMet")).toBe("SuccessPolicy");
  expect(await types()).toContain("Complete=True");
});

test("a Job that somebody else manages is left alone", async () => {
  await add({ managedBy: "acme.io/jobs" });
  await cluster.settle();
  expect(await cluster.pods()).toEqual([]);
  expect((await job()).status).toBeUndefined();
});

test("pods of a Job that is gone are let go", async () => {
  await add();
  await cluster.settle();
  await cluster.client.delete(resources.Job, name);
  await cluster.settle();
  expect((await cluster.pods()).flatMap(({ metadata }) => metadata.finalizers ?? [])).toEqual([]);
});

test("a finished Job goes when its time has come", async () => {
  await add({ ttlSecondsAfterFinished: 30 });
  await cluster.settle();
  await endNext(0);
  await cluster.clock.advance(29_000);
  await cluster.settle();
  expect((await job()).metadata.deletionTimestamp).toBeUndefined();
  await cluster.clock.advance(2000);
  await cluster.settle();
  expect((await job()).metadata).toMatchObject({ finalizers: ["foregroundDeletion"] });
});
