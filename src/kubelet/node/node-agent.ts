import type { Client, EventRecorder } from "../../client/index.ts";
import { isStatus, type Lease, type Node, resources } from "../../kube/index.ts";
import type { Clock, Logger } from "../../system/index.ts";
import { type Machine, nodeStatus } from "./node-status.ts";

export interface NodeAgentOptions {
  readonly client: Client;
  readonly nodeName: string;
  /** InternalIPs, the primary one first. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly runtimeVersion: string;
  readonly machine: () => Machine;
  /** Why no pod can run here; undefined when they can. */
  readonly notReady: () => Promise<string | undefined>;
  readonly recorder: EventRecorder;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The Node object of this machine and its Lease. */
export interface NodeAgent {
  /** Settles when the Node exists. */
  readonly registered: Promise<void>;
  readonly stopped: Promise<void>;
  /** Reports now instead of at the next beat. */
  report(): Promise<void>;
}

/** As upstream: nodeLeaseDurationSeconds 40, renewed every quarter of it. */
const leaseSeconds = 40;
const beatMs = 10_000;
/** An unchanged status is written this often. */
const reportMs = 300_000;

/** Registers the node, keeps its Lease alive (KEP-589) and its status true. The API may be away for any time. */
export function startNodeAgent(options: NodeAgentOptions): NodeAgent {
  const { client, nodeName, clock, signal, log, recorder } = options;
  const name = { name: nodeName };
  let reportedAt = 0;
  let reported = "";
  let ready: boolean | undefined;

  const register = async (): Promise<{ node: Node; isNew: boolean }> => {
    const labels = { ...options.labels };
    try {
      const draft = { metadata: { name: nodeName, labels }, spec: {} };
      return { node: await client.create(resources.Node, draft), isNew: true };
    } catch (error) {
      if (!isStatus(error, "AlreadyExists")) throw error;
    }
    const node = await client.get(resources.Node, name);
    const wrong = Object.entries(labels).some(([key, value]) => node.metadata.labels?.[key] !== value);
    if (!wrong) return { node, isNew: false };
    const body = { metadata: { labels } };
    return { node: await client.patch(resources.Node, name, { type: "merge", body }), isNew: false };
  };

  const report = async (): Promise<void> => {
    const { addresses, port, runtimeVersion, machine } = options;
    const notReady = await options.notReady();
    const node = await client.get(resources.Node, name);
    const facts = { name: nodeName, addresses, port, runtimeVersion, notReady, now: clock.now(), machine: machine() };
    const status = nodeStatus(node, facts);
    // Times of heartbeats are news only now and then.
    const told = JSON.stringify({
      ...status,
      conditions: status.conditions?.map((c) => [c.type, c.status, c.message]),
    });
    if (told === reported && clock.now() - reportedAt < reportMs && hasConditions(node)) return;
    await client.patch(resources.Node, name, { type: "merge", body: { status } }, { subresource: "status" });
    [reported, reportedAt] = [told, clock.now()];
    const isReady = notReady === undefined;
    if (ready !== isReady) {
      const reason = isReady ? "NodeReady" : "NodeNotReady";
      recorder.event(node, "Normal", reason, `Node ${nodeName} status is now: ${reason}`);
    }
    ready = isReady;
  };

  const renew = async (): Promise<void> => {
    const where = { namespace: "kube-node-lease", name: nodeName };
    const renewTime = `${new Date(clock.now()).toISOString().slice(0, -1)}000Z`;
    const spec = { holderIdentity: nodeName, leaseDurationSeconds: leaseSeconds, renewTime };
    try {
      await client.patch<Lease>(resources.Lease, where, { type: "merge", body: { spec } });
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
      const { uid = "" } = (await client.get(resources.Node, name)).metadata;
      const ownerReferences = [{ apiVersion: "v1", kind: "Node", name: nodeName, uid }];
      await client.create<Lease>(resources.Lease, { metadata: { ...where, ownerReferences }, spec });
    }
  };

  /** The Node may have been deleted: `kubectl delete node` of one that lives only makes it register again. */
  const beat = async (): Promise<void> => {
    await renew();
    try {
      await report();
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
      await register();
      await report();
    }
  };

  const untilDone = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    for (let delay = 100; ; delay = Math.min(delay * 2, beatMs)) {
      try {
        await work();
        return;
      } catch (error) {
        signal.throwIfAborted();
        log.warn({ error: error instanceof Error ? error.message : String(error), again: delay }, what);
      }
      await clock.sleep(delay, signal);
    }
  };

  const registered = untilDone("cannot register the node yet", async () => {
    const { node, isNew } = await register();
    recorder.event(node, "Normal", "Starting", "Starting kubelet.");
    // Of a node that is known, what was last said holds until more is known: its pods go on serving meanwhile.
    if (isNew) await report();
  });
  const run = async (): Promise<void> => {
    await registered;
    await untilDone("cannot renew the node's lease yet", renew);
    for (;;) {
      await clock.sleep(beatMs, signal);
      await untilDone("cannot renew the node's lease yet", beat);
    }
  };
  return { registered, report, stopped: run().catch(() => {}) };
}

function hasConditions(node: Node): boolean {
  return (node.status?.conditions ?? []).some(({ type, status }) => type === "Ready" && status !== "Unknown");
}
