import { createFakeClient, createInformers, type FakeClient } from "../../client/index.ts";
import { formatTime, keyOf, nameOfKey, type Pod, resources } from "../../kube/index.ts";
import { FakeClock, silentLogger } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";

/** A cluster for tests of controllers: a fake API and a clock that stands still. */
export interface TestCluster extends ControllerContext {
  readonly client: FakeClient;
  readonly clock: FakeClock;
  /** Lets all that is under way come to rest; time does not move. */
  settle(): Promise<void>;
  stop(): void;
  pods(): Promise<readonly Pod[]>;
  /** Makes a pod run on a node; `ready` is its Ready condition. */
  run(pod: Pod, ready?: boolean): Promise<Pod>;
  /** As a kubelet does at the end of a pod's grace period. */
  finish(pod: Pod): Promise<void>;
}

export function startCluster(): TestCluster {
  const clock = new FakeClock();
  const client = createFakeClient({ clock });
  const stop = new AbortController();
  const { signal } = stop;
  const informers = createInformers(client, { signal, log: silentLogger, clock });
  return {
    client,
    clock,
    informers,
    signal,
    log: silentLogger,
    stop: () => stop.abort(),
    async settle() {
      let before = -1;
      // At rest is when nothing was written for a while; short back-offs run out on the way.
      for (let quiet = 0; quiet < 4; before = client.writes.length) {
        await clock.advance(3);
        quiet = client.writes.length === before ? quiet + 1 : 0;
      }
    },
    pods: async () => (await client.list(resources.Pod)).items,
    async run(pod, ready = true) {
      const condition = {
        type: "Ready",
        status: ready ? "True" : "False",
        lastTransitionTime: formatTime(clock.now()),
      };
      const name = nameOfKey(keyOf(pod));
      if (!pod.spec.nodeName) {
        await client.createSubresource(resources.Pod, name, "binding", { target: { kind: "Node", name: "n1" } });
      }
      const now = await client.get(resources.Pod, name);
      const status = {
        ...now.status,
        phase: "Running",
        podIP: `10.42.0.${(await client.list(resources.Pod)).items.findIndex((p) => keyOf(p) === keyOf(pod)) + 2}`,
      };
      status.conditions = [...(status.conditions ?? []).filter(({ type }) => type !== "Ready"), condition];
      return client.updateStatus(resources.Pod, { ...now, status });
    },
    async finish(pod) {
      await client.delete(resources.Pod, nameOfKey(keyOf(pod)), { gracePeriodSeconds: 0 });
    },
  };
}
