import { createEventRecorder, messageOf, startController, type Client, type Informers } from "../../client/index.ts";
import {
  findCondition,
  formatTime,
  isStatus,
  keyOf,
  nameOfKey,
  resources,
  semanticEqual,
  setCondition,
  type Condition,
  type Service,
} from "../../kube/index.ts";
import type { Clock, Component, Logger, Metrics } from "../../system/index.ts";
import { ServiceProblem } from "../provider.ts";
import { refusal, type LoadBalancerProvider } from "./contract.ts";
import { converge, remove, type Convergence } from "./converge.ts";
import { exposureKey, exposureOf } from "./exposure.ts";
import { withFigures } from "./figures.ts";

export interface ProviderControllerOptions {
  readonly client: Client;
  readonly informers: Informers;
  readonly provider: LoadBalancerProvider;
  /** Name of this cluster, as the provider's objects are marked with it. */
  readonly cluster: string;
  /** Milliseconds between two looks at whether someone has changed what was made. Default 5 minutes. */
  readonly lookAgain?: number;
  readonly metrics?: Metrics;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Condition of a Service whose load balancer is made by a provider. */
export const providerCondition = "fairlead.dev/LoadBalancerReady";

const defaultLookAgain = 300_000;
/** Milliseconds before a failure is tried again: doubled from the first to the most. */
const backOff = { first: 1_000, most: 300_000 };

/** A finalizer of its own for each provider: two of them may serve one cluster. */
const finalizerOf = ({ name }: LoadBalancerProvider) => `fairlead.dev/${name}-load-balancer`;

/**
 * Keeps a provider's load balancers as the Services of its class are. The order is what makes it safe: the finalizer before the first call,
 * and it goes only when the provider sees nothing left. Whatever dies when, the next start looks and goes on.
 */
export function startProviderController(options: ProviderControllerOptions): Component {
  const { client, informers, cluster, signal, clock, metrics } = options;
  const provider = metrics ? withFigures(options.provider, metrics, clock) : options.provider;
  const log = options.log.child({ provider: provider.name });
  const lookAgain = options.lookAgain ?? defaultLookAgain;
  const services = informers.of(resources.Service);
  const nodes = informers.of(resources.Node);
  const events = createEventRecorder(client, { component: `fairlead-${provider.name}`, log, clock, signal });
  const finalizer = finalizerOf(provider);
  /** How often in a row it failed, by Service. */
  const failures = new Map<string, number>();
  /** Before when the other side wants to hear nothing, by Service. */
  const notBefore = new Map<string, number>();
  let swept = false;
  const syncs = metrics?.counter("fairlead_provider_syncs_total", "Times a load balancer was brought up to date.", [
    "provider",
    "outcome",
  ]);

  const isOurs = ({ spec }: Service) =>
    spec.type === "LoadBalancer" && spec.loadBalancerClass === provider.loadBalancerClass;
  const isMarked = ({ metadata }: Service) => metadata.finalizers?.includes(finalizer) ?? false;

  async function reconcile(key: string): Promise<void | { again: number }> {
    if (!swept) await sweep();
    const service = services.get(nameOfKey(key));
    if (!service) {
      failures.delete(key);
      return void notBefore.delete(key);
    }
    const wait = (notBefore.get(key) ?? 0) - clock.now();
    if (wait > 0) return { again: wait };
    if (isOurs(service) && !service.metadata.deletionTimestamp) return make(key, service);
    if (isMarked(service)) return unmake(key, service);
  }

  /** What exists for Services that are gone without our having seen it. */
  async function sweep(): Promise<void> {
    for (const key of await provider.list(cluster, signal)) {
      const found = services.get({ namespace: key.namespace, name: key.name });
      if (found?.metadata.uid === key.uid && (isOurs(found) || isMarked(found))) continue;
      const { state, ...rest } = await remove(provider, key, signal);
      log.info({ service: `${key.namespace}/${key.name}`, state, ...rest }, "what a Service left is removed");
      if (state !== "done") throw new Error(`what Service ${key.namespace}/${key.name} left is not removed yet`);
    }
    swept = true;
  }

  async function make(key: string, found: Service): Promise<{ again: number }> {
    let service = found;
    let desired;
    try {
      desired = exposureOf(cluster, service, nodes.list(), provider.capabilities);
    } catch (error) {
      if (!(error instanceof ServiceProblem)) throw error;
      return tell(key, service, { state: "failed", reason: "Refused", message: error.message, addresses: [] });
    }
    const why = refusal(desired, provider.capabilities);
    if (why !== undefined) {
      // What it had before it asked for the impossible stays as it is.
      const ingress = service.status?.loadBalancer?.ingress ?? [];
      return tell(key, service, { state: "failed", reason: "Refused", message: why, addresses: ingress as never });
    }
    if (!isMarked(service)) {
      const finalizers = [...(service.metadata.finalizers ?? []), finalizer];
      const metadata = { ...service.metadata, finalizers };
      service = await client.update(resources.Service, { ...service, metadata }, { signal });
    }
    return tell(key, service, await converge(provider, desired, signal));
  }

  async function unmake(key: string, service: Service): Promise<void | { again: number }> {
    const result = await remove(provider, exposureKey(cluster, service), signal);
    if (result.state !== "done") return tell(key, service, result);
    failures.delete(key);
    const conditions = (service.status?.conditions ?? []).filter(({ type }) => type !== providerCondition);
    try {
      let current = service;
      if (!service.metadata.deletionTimestamp) {
        const status = { ...service.status, loadBalancer: {}, conditions };
        current = await client.updateStatus(resources.Service, { ...service, status }, { signal });
      }
      const finalizers = (current.metadata.finalizers ?? []).filter((name) => name !== finalizer);
      await client.update(resources.Service, { ...current, metadata: { ...current.metadata, finalizers } }, { signal });
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
    }
  }

  /** Writes how far it is, and says when to look again. */
  async function tell(key: string, service: Service, result: Convergence): Promise<{ again: number }> {
    const [status, reason, message] =
      result.state === "done"
        ? (["True", "Ready", "the load balancer is as the Service asks for"] as const)
        : result.state === "pending"
          ? (["False", "Pending", result.message] as const)
          : (["False", result.reason, result.message] as const);
    syncs?.(provider.name, result.state).inc();
    const old = findCondition(service.status?.conditions, providerCondition);
    const conditions = setCondition<Condition>(
      service.status?.conditions,
      { type: providerCondition, status, reason, message: message.slice(0, 1024) },
      formatTime(clock.now()),
    );
    const ingress = result.addresses.map((address) => ({ ...address }));
    const loadBalancer = ingress.length > 0 ? { ingress } : {};
    const isSame =
      semanticEqual(service.status?.conditions ?? [], conditions) &&
      semanticEqual(service.status?.loadBalancer?.ingress ?? [], ingress);
    if (!isSame) {
      const next = { ...service, status: { ...service.status, loadBalancer, conditions: [...conditions] } };
      await client.updateStatus(resources.Service, next, { signal });
    }
    if (old?.reason !== reason || old.status !== status) {
      events.event(service, result.state === "failed" ? "Warning" : "Normal", `LoadBalancer${reason}`, message);
    }
    if (result.state === "done") {
      failures.delete(key);
      return { again: lookAgain };
    }
    if (result.state === "pending") return { again: result.again };
    const count = (failures.get(key) ?? 0) + 1;
    failures.set(key, count);
    if (result.again !== undefined) notBefore.set(key, clock.now() + result.again);
    const own = Math.min(backOff.first * 2 ** (count - 1), backOff.most);
    return { again: Math.max(result.again ?? 0, own) };
  }

  const controller = startController({
    name: `provider-${provider.name}`,
    reconcile,
    concurrency: 4,
    after: [services.synced, nodes.synced],
    signal,
    clock,
    log,
    ...(metrics ? { metrics } : {}),
  });
  const concerns = (service: Service | undefined) => service !== undefined && (isOurs(service) || isMarked(service));
  // What an earlier start has left is looked at also where no Service asks for anything.
  controller.enqueue("");
  services.onChange(({ before, after }) => {
    const service = after ?? before;
    // What it has written itself is no news.
    const isNews = !before || !after || !semanticEqual(newsOf(before), newsOf(after));
    if (service && isNews && (concerns(before) || concerns(after))) controller.enqueue(keyOf(service));
  });
  const targets = ({ metadata, spec, status }: NonNullable<ReturnType<typeof nodes.get>>) => [
    metadata.labels,
    metadata.deletionTimestamp,
    spec?.taints,
    status?.addresses,
  ];
  nodes.onChange(({ before, after }) => {
    if (before && after && semanticEqual(targets(before), targets(after))) return;
    for (const service of services.list()) if (concerns(service)) controller.enqueue(keyOf(service));
  });
  controller.ready.catch((error: unknown) => log.error({ error: messageOf(error) }, "the provider does not start"));
  return controller;
}

const newsOf = ({ metadata, spec }: Service) => [
  metadata.uid,
  metadata.deletionTimestamp,
  metadata.annotations,
  metadata.labels,
  spec,
];
