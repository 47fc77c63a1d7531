import { isIP } from "node:net";
import { createEventRecorder, startController, type Client, type Informers } from "../../../client/index.ts";
import { createKeyPairs, inspectKeyPair, type DataPlane } from "../../../dataplane/index.ts";
import {
  isStatus,
  keyOf,
  nameOfKey,
  resources,
  semanticEqual,
  type IngressLoadBalancerIngress,
  type Secret,
} from "../../../kube/index.ts";
import { poolOf, readKeyPair, type PoolTarget } from "../../../routing/index.ts";
import type { Clock, Component, Logger, Metrics } from "../../../system/index.ts";
import { createServiceView } from "../service-view.ts";
import { createRancherTranslator, type RancherRoutes } from "./translate.ts";

export interface LbControllerOptions {
  readonly client: Client;
  readonly informers: Informers;
  readonly dataplane: DataPlane;
  /** Where clients reach this, for the status of each Ingress: IP addresses or names. */
  readonly addresses: readonly string[];
  /** Of several that serve the same Ingresses one writes statuses and events. */
  readonly leading: () => boolean;
  readonly metrics?: Metrics;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface LbController extends Component {
  current(): RancherRoutes | undefined;
  /** Why not all of it is served; undefined: it is. */
  unserved(): string | undefined;
  /** `leading` answers differently now. */
  refresh(): void;
}

/** Milliseconds a problem must last before it is told: objects that are applied together arrive in any order. */
const patience = 1_000;
/** Milliseconds in which changes that come together are one. */
const together = 20;

/** Serves the Ingresses of Rancher's lb-controller in this process, and says in their statuses where. A stop takes nothing back. */
export function startLbController(options: LbControllerOptions): LbController {
  const { client, informers, dataplane, leading, signal, clock } = options;
  const log = options.log.child({ component: "lb-controller" });
  const view = createServiceView(informers);
  const ingresses = informers.of(resources.Ingress);
  const secrets = informers.of(resources.Secret);
  const events = createEventRecorder(client, { component: "lb-controller", log, clock, signal });
  const translate = createRancherTranslator();
  const inspected = new WeakMap<Secret, string>();
  const keyPair = createKeyPairs((name) => secrets.get(name));
  let current: RancherRoutes | undefined;
  let byService = new Map<string, PoolTarget[]>();
  let usedSecrets = new Set<string>();
  const changed = new Set<string>();
  /** Keys of Ingresses whose status says that they are served. */
  const written = new Set<string>();
  let told = new Set<string>();

  /** What is wrong with the key pair of a Secret, worked out once for each. */
  function inspect(secret: Secret): string | undefined {
    let found = inspected.get(secret);
    if (found === undefined) {
      const pair = readKeyPair(secret);
      found = (typeof pair === "string" ? pair : inspectKeyPair(pair.certificate, pair.key)) ?? "";
      inspected.set(secret, found);
    }
    return found || undefined;
  }

  async function serve(): Promise<void> {
    changed.clear();
    const asked = new Set<string>();
    const next = translate({
      ingresses: ingresses.list(),
      service: view.service,
      slices: view.slicesOf,
      secret: (key) => {
        asked.add(key);
        return secrets.get(nameOfKey(key));
      },
      inspect,
    });
    usedSecrets = asked;
    byService = new Map();
    for (const target of next.targets.values()) {
      const key = `${target.namespace}/${target.service}`;
      byService.set(key, [...(byService.get(key) ?? []), target]);
    }
    const { refused } = await dataplane.apply({
      model: next.model,
      keyPair,
    });
    const lost = refused.map(({ route, feature }) => `${route}: this data plane cannot do ${feature}`);
    if (lost.length > 0) log.warn({ lost: lost.slice(0, 10), count: lost.length }, "not everything can be served");
    current = next;
    enqueueStatuses();
    controller.enqueueAfter("problems", patience);
  }

  async function updatePools(): Promise<void> {
    const targets = [...changed].flatMap((key) => byService.get(key) ?? []);
    changed.clear();
    await dataplane.updatePools(
      targets.map((target) => {
        const key = `${target.namespace}/${target.service}`;
        return poolOf(target, view.service(key), view.slicesOf(key)).pool;
      }),
    );
  }

  function enqueueStatuses(): void {
    for (const key of [...(current?.served.keys() ?? []), ...written]) controller.enqueue(`status ${key}`);
  }

  async function writeStatus(key: string): Promise<void> {
    const ingress = ingresses.get(nameOfKey(key));
    const ports = current?.served.get(key);
    // Of what is not served only that is taken back which was written here.
    if (!ingress || (!ports && !written.has(key))) return void written.delete(key);
    const open = new Set(dataplane.listeners().flatMap(({ wanted, port }) => (port === undefined ? [] : [wanted])));
    const seen = (ports ?? []).filter((port) => open.has(port)).map((port) => ({ port, protocol: "TCP" }));
    const wanted: IngressLoadBalancerIngress[] =
      seen.length === 0
        ? []
        : options.addresses.map((one) => ({ ...(isIP(one) ? { ip: one } : { hostname: one }), ports: seen }));
    if (!semanticEqual(ingress.status?.loadBalancer?.ingress ?? [], wanted)) {
      const body = { status: { loadBalancer: { ingress: wanted } } };
      try {
        await client.patch(
          resources.Ingress,
          nameOfKey(key),
          { type: "merge", body },
          { subresource: "status", signal },
        );
      } catch (error) {
        if (!isStatus(error, "NotFound")) throw error;
      }
    }
    if (ports) written.add(key);
    else written.delete(key);
  }

  function tell(): void {
    const now = new Set<string>();
    for (const { object, field, reason, message, remedy } of current?.problems ?? []) {
      const key = `${object.namespace ?? ""}/${object.name}`;
      const text = `${field}: ${message}. To mend it: ${remedy}`;
      now.add(`${key} ${text}`);
      const ingress = ingresses.get(nameOfKey(key));
      if (ingress && !told.has(`${key} ${text}`)) events.event(ingress, "Warning", reason, text);
    }
    for (const { name, port, error } of dataplane.listeners()) {
      if (port !== undefined) continue;
      for (const [key, ports] of current?.served ?? []) {
        if (!ports.some((one) => name.endsWith(` ${one}`))) continue;
        const text = `${name} is not open: ${error ?? "its port cannot be had"}`;
        now.add(`${key} ${text}`);
        const ingress = ingresses.get(nameOfKey(key));
        if (ingress && !told.has(`${key} ${text}`)) events.event(ingress, "Warning", "PortNotOpen", text);
      }
    }
    told = now;
  }

  const controller = startController({
    name: "lb-controller",
    reconcile: async (key) => {
      if (key === "serve") await serve();
      else if (key === "pools") await updatePools();
      // Whoever begins to lead comes here again.
      else if (!leading()) return;
      else if (key === "problems") tell();
      else await writeStatus(key.slice("status ".length));
    },
    after: [view.synced, ingresses.synced, secrets.synced, dataplane.ready],
    signal,
    clock,
    log,
    ...(options.metrics ? { metrics: options.metrics } : {}),
  });
  const serveSoon = () => controller.enqueueAfter("serve", together);
  ingresses.onChange(({ before, after }) => {
    const meaning = (one: typeof after) => one && [one.metadata.uid, one.metadata.annotations, one.spec];
    if (!semanticEqual(meaning(before), meaning(after))) serveSoon();
    else if (after) controller.enqueue(`status ${keyOf(after)}`);
  });
  secrets.onChange(({ before, after }) => {
    const secret = after ?? before;
    if (secret && usedSecrets.has(keyOf(secret))) serveSoon();
  });
  view.onChange((key, { before, after }) => {
    // A Service of which only endpoints changed touches its own pools.
    if (before ?? after) return serveSoon();
    changed.add(key);
    controller.enqueueAfter("pools", together);
  });
  controller.enqueue("serve");
  return {
    name: "lb-controller",
    ready: controller.ready,
    stopped: Promise.all([controller.stopped, dataplane.stopped]).then(() => {}),
    current: () => current,
    unserved() {
      if (!current) return "the cluster's Ingresses are not served yet";
      const closed = dataplane.listeners().find(({ port }) => port === undefined);
      return closed && `${closed.name}: ${closed.error ?? "its port is not open"}`;
    },
    refresh() {
      enqueueStatuses();
      told = new Set();
      controller.enqueue("problems");
    },
  };
}
