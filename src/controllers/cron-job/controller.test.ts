import { afterEach, beforeEach, expect, test } from "vitest";
import { type CronJobSpec, type Job, resources } from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startCronJobController } from "./controller.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startCronJobController(cluster);
});
afterEach(() => cluster.stop());

const name = { namespace: "a", name: "tick" };
const add = (spec: Partial<CronJobSpec> = {}) =>
  cluster.client.create(resources.CronJob, {
    metadata: name,
    spec: {
      schedule: "* * * * *",
      timeZone: "Etc/UTC",
      concurrencyPolicy: "Allow",
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
      jobTemplate: { metadata: { labels: { cron: "x" }, annotations: { k: "v" } }, spec: { template: {} } },
      ...spec,
    },
  });
const cron = () => cluster.client.get(resources.CronJob, name);
const jobs = async (): Promise<readonly Job[]> => (await cluster.client.list(resources.Job)).items;
const minutes = async (count: number) => {
  for (let i = 0; i < count; i++) {
    await cluster.clock.advance(60_200);
    await cluster.settle();
  }
};
async function finish(job: Job, type = "Complete"): Promise<void> {
  const lastTransitionTime = new Date(cluster.clock.now()).toISOString().slice(0, 19) + "Z";
  const status = {
    startTime: job.metadata.creationTimestamp ?? "",
    ...(type === "Complete" ? { completionTime: lastTransitionTime } : {}),
    conditions: [{ type, status: "True", lastTransitionTime }],
  };
  await cluster.client.updateStatus(resources.Job, { ...job, status });
  await cluster.settle();
}

test("a Job is made at each time, named after it", async () => {
  await add();
  await cluster.settle();
  expect(await jobs()).toEqual([]);
  await minutes(2);
  const [first, second] = await jobs();
  expect(first).toMatchObject({
    metadata: {
      labels: { cron: "x" },
      annotations: { k: "v" },
      ownerReferences: [{ apiVersion: "batch/v1", kind: "CronJob", name: "tick", controller: true }],
    },
  });
  const at = Date.parse(first?.metadata.annotations?.["batch.kubernetes.io/cronjob-scheduled-timestamp"] ?? "");
  expect(first?.metadata.name).toBe(`tick-${at / 60_000}`);
  expect(second?.metadata.name).toBe(`tick-${at / 60_000 + 1}`);
  const { status } = await cron();
  expect(status?.active?.map((reference) => reference.name)).toEqual([first?.metadata.name, second?.metadata.name]);
  expect(Date.parse(status?.lastScheduleTime ?? "")).toBe(at + 60_000);
});

test("what has ended is no longer active, and only so much of it is kept", async () => {
  await add({ successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 0 });
  await cluster.settle();
  await minutes(1);
  await finish((await jobs())[0]!);
  expect((await cron()).status?.active).toBeUndefined();
  expect((await cron()).status?.lastSuccessfulTime).toBeDefined();
  await minutes(1);
  await finish((await jobs())[1]!);
  expect(await jobs()).toHaveLength(1);
  await minutes(1);
  await finish((await jobs())[1]!, "Failed");
  expect(await jobs()).toHaveLength(1);
});

test("Forbid waits for the one that runs, and makes up for what was missed", async () => {
  await add({ concurrencyPolicy: "Forbid" });
  await cluster.settle();
  await minutes(3);
  expect(await jobs()).toHaveLength(1);
  await finish((await jobs())[0]!);
  expect(await jobs()).toHaveLength(2);
});

test("Replace ends the one that runs", async () => {
  await add({ concurrencyPolicy: "Replace" });
  await cluster.settle();
  await minutes(1);
  const [first] = await jobs();
  await minutes(1);
  const [second, ...others] = await jobs();
  expect(others).toEqual([]);
  expect(second?.metadata.name).not.toBe(first?.metadata.name);
});

test("suspended it makes none; then only what its deadline allows", async () => {
  await add({ suspend: true, startingDeadlineSeconds: 10 });
  await cluster.settle();
  await minutes(3);
  expect(await jobs()).toEqual([]);
  await cluster.clock.advance(30_000);
  await cluster.client.patch(resources.CronJob, name, { type: "merge", body: { spec: { suspend: false } } });
  await cluster.settle();
  expect(await jobs()).toEqual([]);
  await minutes(1);
  expect(await jobs()).toHaveLength(1);
});

test("a Job made by hand from it is said to be unexpected, and left alone", async () => {
  const owner = await add({ suspend: true });
  await cluster.client.create(resources.Job, {
    metadata: {
      namespace: "a",
      name: "by-hand",
      ownerReferences: [
        { apiVersion: "batch/v1", kind: "CronJob", name: "tick", uid: owner.metadata.uid ?? "", controller: true },
      ],
    },
    spec: { template: {} },
  });
  await cluster.settle();
  expect((await cron()).status?.active).toBeUndefined();
  const events = (await cluster.client.list(resources.Event)).items.map(({ reason }) => reason);
  expect(events).toContain("UnexpectedJob");
});
