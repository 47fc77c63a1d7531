import { mkdirSync } from "node:fs";
import { type Client, createEventRecorder, type Informers, startController, startInformer } from "../client/index.ts";
import { type Node, type Pod, resources, type Service } from "../kube/index.ts";
import { type Clock, type Component, createMetrics, type Logger, whenAborted } from "../system/index.ts";
import { countedRuntime, createWorkFigures } from "./kubelet-figures.ts";
import type { NodeRoute, PodNetwork } from "./network/network.ts";
import { readMachine } from "./node/machine.ts";
import { startNodeAgent } from "./node/node-agent.ts";
import type { DnsSettings } from "./pods/dns.ts";
import { lookupIn } from "./pods/lookup.ts";
import { podDirectories } from "./pods/pod-directories.ts";
import { createPodStore } from "./pods/pod-store.ts";
import { createPodWorkers } from "./pods/pod-workers.ts";
import { fieldPathOf } from "./pods/start-container.ts";
import { createHandlerRunner } from "./probes/handler.ts";
import { createProber } from "./probes/prober.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { type ServerCredentials, startKubeletServer } from "./server/server.ts";
import { createAccountTokens } from "./volumes/account-tokens.ts";
import { createReferences } from "./volumes/references.ts";
import { mountedClaims } from "./volumes/mounted-claims.ts";
import { createVolumes } from "./volumes/volumes.ts";

export interface KubeletOptions {
  readonly client: Client;
  /** Informers of the process; Nodes and Services are taken from it. */
  readonly informers: Informers;
  readonly nodeName: string;
  readonly runtime: Runtime;
  readonly network: PodNetwork;
  /** The node's InternalIP: others reach it there. */
  readonly address: string;
  /** Its InternalIP of the other family, where it has one. */
  readonly secondAddress?: string;
  /** Of the HTTPS server that gives out logs, on `address`. 0 for any. */
  readonly port: number;
  readonly credentials: ServerCredentials;
  /** Private directory of this node for volumes and logs; it is made when missing. */
  readonly dir: string;
  readonly dns: DnsSettings;
  /** Where pods are told that the API is. Absent: at the Service `kubernetes`, which not every network can answer at its port. */
  readonly apiServer?: { readonly address: string; readonly port: number };
  /** Labels beside the usual ones, for example a zone. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Pods worked on at once: each mostly waits for a runtime or a hook. */
const concurrency = 32;

/** Milliseconds between two looks at whether the node's network is still there: each starts a process. */
const networkLookMs = 10_000;

/**
 * Runs the pods that are bound to this node. `ready` settles when the node is registered, its network is set up and
 * it takes pods. When the signal aborts it stops looking after them; the pods themselves go on running.
 */
export function startKubelet(options: KubeletOptions): Component {
  const { client, informers, nodeName, network, address, signal, clock } = options;
  const metrics = createMetrics();
  const figures = createWorkFigures(metrics, nodeName, clock);
  const runtime = countedRuntime(options.runtime, metrics, clock);
  const addresses = [address, ...(options.secondAddress === undefined ? [] : [options.secondAddress])];
  const log = options.log.child({ component: "kubelet", node: nodeName });
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  const recorder = createEventRecorder(client, { component: "kubelet", host: nodeName, log, clock, signal });
  let isNetworkReady = false;
  const notReady = async (): Promise<string | undefined> => {
    if (!isNetworkReady) return "the pod network is not set up: the node has no podCIDR yet";
    try {
      await runtime.list();
      return undefined;
    } catch (error) {
      return `container runtime is down: ${error instanceof Error ? error.message : String(error)}`;
    }
  };

  const machine = (): ReturnType<typeof readMachine> => readMachine(options.dir);
  const first = machine();
  const nodes = informers.of(resources.Node);
  const services = informers.of(resources.Service);
  const podInformer = startInformer(client, resources.Pod, {
    fieldSelector: `spec.nodeName=${nodeName}`,
    indexes: { uid: (pod: Pod) => [pod.metadata.uid ?? ""] },
    signal,
    log,
  });
  const pods = createPodStore(podInformer);

  const server = startKubeletServer({
    nodeName,
    address,
    port: options.port,
    credentials: options.credentials,
    pods,
    runtime,
    metrics,
    probes: () => prober.counts(),
    mounted: () => mountedClaims(pods.all(), directories),
    client,
    signal,
    clock,
    log,
  });
  const agent = server.then(({ port }) =>
    startNodeAgent({
      client,
      nodeName,
      addresses,
      port,
      labels: {
        "kubernetes.io/hostname": nodeName,
        "kubernetes.io/os": first.os,
        "kubernetes.io/arch": first.architecture,
        ...options.labels,
      },
      runtimeVersion: runtime.version,
      machine,
      notReady,
      recorder,
      signal,
      clock,
      log,
    }),
  );

  const setUp = async (): Promise<void> => {
    const node = await agent;
    await node.registered;
    const podCIDRs = await podCIDRsOf(nodeName, nodes, signal);
    for (const problem of await network.setUp(podCIDRs)) log.warn({ podCIDRs }, problem);
    const { sandboxes } = await runtime.list();
    await network.retain(new Set(sandboxes.map(({ id }) => id)));
    isNetworkReady = true;
    await node.report();
    keepRoutes(podCIDRs);
  };

  /** Follows the Node objects, and puts the node's network back when someone has taken it away. */
  const keepRoutes = (podCIDRs: readonly string[]): void => {
    let told = "";
    let working: Promise<void> = Promise.resolve();
    const after = (what: string, work: () => Promise<void>): Promise<void> => {
      working = working.then(async () => {
        if (signal.aborted) return;
        await work().catch((error: unknown) =>
          log.warn({ error: error instanceof Error ? error.message : String(error) }, what),
        );
      });
      return working;
    };
    const follow = async (): Promise<void> => {
      const routes = routesOf(nodes.list(), nodeName);
      const text = JSON.stringify(routes);
      if (text === told) return;
      await network.routeTo(routes);
      told = text;
    };
    const repair = async (): Promise<void> => {
      if (await network.isIntact()) return;
      log.warn({ podCIDRs }, "the node's pod network is damaged: it is put back");
      await network.setUp(podCIDRs);
      told = "";
      await follow();
    };
    nodes.onChange(() => void after("cannot set routes to other nodes", follow));
    const watch = async (): Promise<void> => {
      for (;;) {
        await clock.sleep(networkLookMs, signal);
        await after("cannot put the pod network back", repair);
      }
    };
    void watch().catch(() => {});
  };

  const directories = podDirectories(options.dir);
  const runHandler = createHandlerRunner(runtime);
  const node = (): Node | undefined => nodes.get({ name: nodeName });
  const enqueue = (uid: string): void => controller.enqueue(uid);
  const references = createReferences(client, {
    onChange: (uid) => {
      workers.hurry(uid);
      enqueue(uid);
    },
    signal,
    clock,
    log,
  });
  const prober = createProber({
    run: runHandler,
    onChange: enqueue,
    onFailure: (pod, containerName, kind, { message }) =>
      recorder.event(pod, "Warning", "Unhealthy", `${kind} probe failed: ${message}`, {
        fieldPath: fieldPathOf(pod, { name: containerName }),
      }),
    signal,
    clock,
  });
  const workers = createPodWorkers({
    client,
    runtime,
    pods,
    prober,
    runHandler,
    directories,
    recorder,
    enqueue,
    clock,
    log,
    services: () => servicesFor(services.list(), options.apiServer),
    volumes: createVolumes({
      directories,
      references,
      tokens: createAccountTokens(client, clock),
      client,
      node,
    }),
    node,
    lookup: (namespace) => lookupIn(client, namespace),
    dns: options.dns,
    hostAddresses: addresses,
    allocatable: { cpu: first.cpus, memory: first.memory, ephemeralStorage: first.storage },
  });
  const isSetUp = setUp();
  const controller = startController({
    name: "pods",
    reconcile: async (uid) => {
      const begun = clock.now();
      const result = await workers.reconcile(uid);
      figures.worked((clock.now() - begun) / 1000);
      return result;
    },
    concurrency,
    after: [podInformer.synced, services.synced, isSetUp],
    signal,
    clock,
    log,
  });
  podInformer.onChange(({ before, after }) => {
    figures.changed(before, after);
    for (const pod of [before, after]) if (pod?.metadata.uid) enqueue(pod.metadata.uid);
  });
  const lookAtAll = async (): Promise<void> => {
    const { sandboxes, containers } = await runtime.list();
    for (const { podUid } of [...sandboxes, ...containers]) enqueue(podUid);
  };
  runtime.onChange((podUid) => {
    if (podUid !== undefined) enqueue(podUid);
    // Its supervisor died, say: what it held is gone, and only looking tells.
    else if (!signal.aborted)
      lookAtAll().catch((error: unknown) => log.warn({ error: String(error) }, "runtime is away"));
  });

  // What ran before this kubelet did, also of pods that were deleted meanwhile.
  const ready = isSetUp.then(async () => {
    await controller.ready;
    await lookAtAll();
  });
  ready.catch(() => {});
  const stopped = Promise.all([
    controller.stopped,
    ...[server, agent].map((part) => part.then((started) => started.stopped).catch(() => {})),
  ]).then(() => {});
  return { name: "kubelet", ready, stopped };
}

/** The Services as pods are told of them. */
function servicesFor(services: readonly Service[], apiServer: KubeletOptions["apiServer"]): readonly Service[] {
  if (!apiServer) return services;
  const { address, port } = apiServer;
  return services.map((service) => {
    const { metadata, spec } = service;
    if (metadata.namespace !== "default" || metadata.name !== "kubernetes") return service;
    const ports = (spec.ports ?? []).map((one) => ({ ...one, port }));
    return { ...service, spec: { ...spec, clusterIP: address, clusterIPs: [address], ports } };
  });
}

function podCIDRsOf(
  nodeName: string,
  nodes: { onChange(listener: (change: { after?: Node }) => void): void },
  signal: AbortSignal,
): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    whenAborted(signal, () => reject(signal.reason as Error));
    nodes.onChange(({ after }) => {
      if (after?.metadata.name !== nodeName) return;
      const cidrs = cidrsOf(after);
      if (cidrs.length > 0) resolve(cidrs);
    });
  });
}

const cidrsOf = ({ spec }: Pick<Node, "spec">): readonly string[] =>
  spec.podCIDRs ?? (spec.podCIDR ? [spec.podCIDR] : []);

/** Where the pods of the other nodes are: a route for each of their ranges that they have an address of the same family to go by. */
export function routesOf(nodes: readonly Node[], nodeName: string): NodeRoute[] {
  return nodes
    .flatMap(({ metadata, spec, status }) => {
      if (metadata.name === nodeName) return [];
      const own = (status?.addresses ?? []).flatMap(({ type, address }) => (type === "InternalIP" ? [address] : []));
      return cidrsOf({ spec }).flatMap((podCIDR) => {
        const via = own.find((address) => address.includes(":") === podCIDR.includes(":"));
        return via === undefined ? [] : [{ podCIDR, via }];
      });
    })
    .sort((a, b) => (a.podCIDR < b.podCIDR ? -1 : 1));
}
