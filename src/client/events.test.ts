import { expect, test } from "vitest";
import { type Event, resources, statusError } from "../kube/index.ts";
import { FakeClock, silentLogger } from "../system/index.ts";
import { createEventRecorder } from "./events.ts";
import { createFakeClient } from "./fake.ts";

function start() {
  const clock = new FakeClock();
  const client = createFakeClient({ clock });
  const pod = client.put(resources.Pod, { metadata: { name: "p", namespace: "a" }, spec: { containers: [] } });
  const recorder = createEventRecorder(client, { component: "tester", host: "n1", log: silentLogger, clock });
  const events = async (): Promise<readonly Event[]> => {
    await recorder.flush();
    return (await client.list(resources.Event)).items;
  };
  return { clock, client, pod, recorder, events };
}

test("an event names its object and who saw it; a repeat raises its count", async () => {
  const { clock, pod, recorder, events } = start();
  recorder.event(pod, "Warning", "Failed", "no", { fieldPath: "spec.containers{web}" });
  await recorder.flush();
  await clock.advance(2000);
  recorder.event(pod, "Warning", "Failed", "no", { fieldPath: "spec.containers{web}" });
  recorder.event(pod, "Normal", "Started", "yes");
  const found = await events();
  expect(found).toHaveLength(2);
  const failed = found.find((event) => event.reason === "Failed");
  expect(failed).toMatchObject({
    count: 2,
    type: "Warning",
    message: "no",
    firstTimestamp: "2030-01-01T00:00:00Z",
    lastTimestamp: "2030-01-01T00:00:02Z",
    involvedObject: {
      kind: "Pod",
      apiVersion: "v1",
      name: "p",
      namespace: "a",
      uid: pod.metadata.uid,
      fieldPath: "spec.containers{web}",
    },
    source: { component: "tester", host: "n1" },
  });
});

test("many similar events are combined, and one object can't flood", async () => {
  const { pod, recorder, events } = start();
  for (let i = 0; i < 100; i++) recorder.event(pod, "Warning", "Failed", `try ${i}`);
  const found = await events();
  expect(found).toHaveLength(11);
  expect(found.find((event) => event.message?.startsWith("(combined"))?.count).toBe(15);
});

test("an event that has expired begins anew; one that is refused is dropped", async () => {
  const { client, pod, recorder, events } = start();
  recorder.event(pod, "Normal", "R", "m");
  const [first] = await events();
  client.remove(resources.Event, { namespace: "a", name: first?.metadata.name ?? "" });
  recorder.event(pod, "Normal", "R", "m");
  expect((await events())[0]?.count).toBe(1);
  client.intercept = () => {
    throw statusError("Forbidden", "no");
  };
  recorder.event(pod, "Normal", "R", "other");
  await recorder.flush();
  client.intercept = undefined;
  expect(await events()).toHaveLength(1);
});

test("a server that is away is tried again", async () => {
  const { client, clock, pod, recorder, events } = start();
  let failures = 2;
  client.intercept = () => {
    if (failures-- > 0) throw new Error("away");
  };
  recorder.event(pod, "Normal", "R", "m");
  await clock.advance(0);
  await clock.advance(1000);
  expect(await events()).toHaveLength(1);
});
