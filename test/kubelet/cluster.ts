import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFakeClient, createInformers, type FakeClient } from "../../src/client/index.ts";
import { type Pod, type PodSpec, resources } from "../../src/kube/index.ts";
import {
  builtInImages,
  createLoopbackNetwork,
  createProcessRuntime,
  type Isolation,
  noIsolation,
  type PodNetwork,
  type Runtime,
  startKubelet,
  stopProcessRuntime,
} from "../../src/kubelet/index.ts";
import { connectSupervisor } from "../../src/kubelet/runtime/supervisor/connection.ts";
import { testPki } from "./pki.ts";
import { type Component, silentLogger, systemClock } from "../../src/system/index.ts";

export interface TestNode {
  readonly client: FakeClient;
  readonly dir: string;
  readonly runtime: Runtime;
  /** How its supervisor is started, next time. */
  readonly supervisor: string[];
  readonly pki: Awaited<ReturnType<typeof testPki>>;
  /** Starts (again) a kubelet on the same directory and the same API. */
  startKubelet(): Promise<Component>;
  /** Ends the kubelet as if it were killed: nothing is told to the pods. */
  stopKubelet(): Promise<void>;
  pod(name: string, spec: PodSpec, metadata?: Partial<Pod["metadata"]>): Pod;
  get(name: string): Promise<Pod | undefined>;
  /** Waits until the pod is so. */
  until(name: string, is: (pod: Pod) => boolean, ms?: number): Promise<Pod>;
  untilGone(name: string, ms?: number): Promise<void>;
  events(name: string): Promise<string[]>;
  supervisorPid(): Promise<number>;
  close(): Promise<void>;
}

export interface TestNodeOptions {
  readonly programs: { readonly supervisor: readonly string[]; readonly echo: string };
  readonly podCIDR: string;
  readonly network?: (dir: string) => PodNetwork;
  readonly isolation?: (dir: string) => Isolation;
}

/** A node with the real supervisor, real processes and an API in memory. */
export async function startTestNode(options: TestNodeOptions): Promise<TestNode> {
  const dir = mkdtempSync(join(tmpdir(), "kubelet-test-"));
  const client = createFakeClient();
  client.put(resources.Node, { metadata: { name: "n1" }, spec: { podCIDR: options.podCIDR } });
  const pki = await testPki();
  const network = options.network?.(dir) ?? createLoopbackNetwork({ dir });
  const isolation = options.isolation?.(dir) ?? noIsolation;
  const supervisor = [...options.programs.supervisor];
  let stop = new AbortController();
  let kubelet: Component | undefined;
  let runtime: ReturnType<typeof createProcessRuntime> | undefined;

  const node: TestNode = {
    client,
    dir,
    pki,
    supervisor,
    get runtime() {
      if (!runtime) throw new Error("not started");
      return runtime;
    },
    async startKubelet() {
      stop = new AbortController();
      const common = { signal: stop.signal, log: silentLogger };
      runtime = createProcessRuntime({
        dir,
        network,
        clock: systemClock,
        isolation,
        images: {
          ...builtInImages(options.programs.echo),
          sh: { command: ["/bin/sh"] },
          sleep: { command: ["sleep"] },
        },
        supervisor,
      });
      kubelet = startKubelet({
        client,
        nodeName: "n1",
        runtime,
        network,
        address: "127.0.0.1",
        port: 0,
        credentials: { ...pki.server, ca: pki.ca },
        dir,
        clock: systemClock,
        informers: createInformers(client, common),
        dns: {
          clusterServers: ["10.96.0.10"],
          clusterDomain: "cluster.local",
          node: { servers: [], searches: [], options: [] },
        },
        ...common,
      });
      await kubelet.ready;
      return kubelet;
    },
    async stopKubelet() {
      stop.abort();
      runtime?.close();
      await kubelet?.stopped;
    },
    pod: (name, spec, metadata = {}) =>
      client.put(resources.Pod, {
        metadata: { name, namespace: "default", ...metadata },
        spec: { nodeName: "n1", terminationGracePeriodSeconds: 5, ...spec },
      }),
    get: (name) => client.get(resources.Pod, { namespace: "default", name }).catch(() => undefined),
    async until(name, is, ms = 15_000) {
      const end = Date.now() + ms;
      for (;;) {
        const pod = await node.get(name);
        if (pod && is(pod)) return pod;
        if (Date.now() > end) throw new Error(`pod ${name} is ${JSON.stringify(pod?.status, undefined, 1)}`);
        await systemClock.sleep(20);
      }
    },
    async untilGone(name, ms = 15_000) {
      const end = Date.now() + ms;
      while (await node.get(name)) {
        if (Date.now() > end) throw new Error(`pod ${name} is still there`);
        await systemClock.sleep(20);
      }
    },
    async events(name) {
      const { items } = await client.list(resources.Event);
      return items.filter((event) => event.involvedObject.name === name).map((e) => `${e.reason}: ${e.message}`);
    },
    async supervisorPid() {
      const connection = connectSupervisor({ dir: join(dir, "runtime"), onChange: () => {} });
      const { pid } = await connection.call("hello", {});
      connection.close();
      return pid;
    },
    async close() {
      await node.stopKubelet();
      await stopProcessRuntime(dir);
      await network.tearDown();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  await node.startKubelet();
  return node;
}

export const isReady = (pod: Pod): boolean =>
  pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
