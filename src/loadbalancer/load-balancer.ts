import { createEventRecorder, startController, type Client, type Informers } from "../client/index.ts";
import { findCondition, isStatus, keyOf, nameOfKey, resources, type Service } from "../kube/index.ts";
import { createTurns, type Clock, type Component, type Logger, type Metrics } from "../system/index.ts";
import { createPoolProvider } from "./pool-provider.ts";
import { flagPool } from "./pools.ts";
import type { AddressProbe } from "./probe.ts";
import type { AddressProvider, AssignedAddress, Assignment } from "./provider.ts";
import { assignedCondition, withAssignment, withoutCondition, withRelease } from "./status.ts";

export interface LoadBalancerOptions {
  readonly client: Client;
  readonly informers: Informers;
  /** Blocks (`10.97.0.0/24`) and ranges (`10.97.0.10-10.97.0.20`) of addresses to give, beside the AddressPools of the API. */
  readonly pools: readonly string[];
  /** Asked whether an address is in use by someone else before it is given for the first time. Absent: nobody is asked. */
  readonly probe?: AddressProbe;
  /** Told of the pools and of the queue. */
  readonly metrics?: Metrics;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Gives Services of type LoadBalancer addresses from pools. Throws PoolError for a pool that cannot be read. */
export function startLoadBalancer(options: LoadBalancerOptions): Component {
  const { pools, ...rest } = options;
  const flags = pools.length > 0 ? [flagPool(pools)] : [];
  return startAddressController({ ...rest, provider: createPoolProvider({ ...rest, flags }) });
}

export type AddressControllerOptions = Omit<LoadBalancerOptions, "pools" | "probe"> & {
  readonly provider: AddressProvider;
};

/** Holds a Service back until its address has been given back (KEP-980). */
export const cleanupFinalizer = "service.kubernetes.io/load-balancer-cleanup";

/**
 * Keeps statuses of Services as a provider has it. The order of writes is what makes it safe: finalizer, then claim, then status; and
 * back: status, then claim, then finalizer. No address is given before all that exist have been read.
 */
export function startAddressController(options: AddressControllerOptions): Component {
  const { client, informers, provider, signal, clock, log } = options;
  const services = informers.of(resources.Service);
  const events = createEventRecorder(client, { component: "fairlead-loadbalancer", log, clock, signal });
  const defaultClass = provider.isDefault ? provider.loadBalancerClass : undefined;
  /** Who may hold something: `namespace/name` and uid. */
  const holders = new Map<string, string>();
  /** Services that lack what they ask for, the one that waits longest first. */
  const waiting = new Set<string>();
  /** An address has become free, and those who wait have not been served yet. */
  let freed = false;
  let observed = false;
  /** Services are worked on side by side, but who gets what is decided for one after the other. */
  const exclusive = createTurns();

  const isOurs = ({ spec }: Service) =>
    spec.type === "LoadBalancer" && (spec.loadBalancerClass ?? defaultClass) === provider.loadBalancerClass;

  /** Another controller's, also where it is the one for those without a class: whatever it has, and the condition that says so, are not from us. */
  const isOthers = (service: Service) => service.spec.type === "LoadBalancer" && !isOurs(service);

  async function reconcile(key: string): Promise<void> {
    if (!observed) await exclusive(observe);
    const service = services.get(nameOfKey(key));
    const holder = holders.get(key);
    // Gone without our doing, or gone and made anew under the same name.
    if (holder !== undefined && holder !== service?.metadata.uid) await release(key, holder);
    if (!service || isOthers(service)) waiting.delete(key);
    else if (isOurs(service) && !service.metadata.deletionTimestamp) await assign(key, service);
    else await withdraw(key, service);
  }

  /** Before anything is given: what has been given, and what of it nobody has any more. */
  async function observe(): Promise<void> {
    if (observed) return;
    const all = services.list().filter(isOurs);
    for (const holder of await provider.observe(all)) {
      const { service, uid } = holder;
      const found = services.get(nameOfKey(service));
      if (found?.metadata.uid === uid) {
        if (isOthers(found)) continue;
        holders.set(service, uid);
        controller.enqueue(service);
      } else {
        await provider.release(holder);
      }
    }
    // Those who waited before go on waiting in the order in which they came.
    const age = ({ metadata }: Service) => Date.parse(metadata.creationTimestamp ?? "");
    for (const service of all.sort((a, b) => age(a) - age(b))) {
      if (addressesIn(service).length === 0) waiting.add(keyOf(service));
    }
    observed = true;
  }

  async function assign(key: string, found: Service): Promise<void> {
    const service = await withFinalizer(found);
    const assignment = await exclusive(() => decide(key, service));
    const changed = withAssignment(service, assignment, clock.now());
    if (changed !== service) {
      await client.updateStatus(resources.Service, changed, { signal });
      tell(service, changed, assignment);
    }
    // Only now that nobody sees them any more may others have them.
    if (assignment.former.length > 0) await release(key, service.metadata.uid ?? "", assignment.addresses);
  }

  /** Asks for the Service's addresses. When something has become free, those who wait come first. */
  async function decide(key: string, service: Service): Promise<Assignment> {
    if (freed) await serveWaiting();
    holders.set(key, service.metadata.uid ?? "");
    const assignment = await provider.ensure(service);
    if (assignment.problem) waiting.add(key);
    else waiting.delete(key);
    return assignment;
  }

  /** In the order in which they came. What they get is written into their statuses when their turn comes. */
  async function serveWaiting(): Promise<void> {
    for (const key of waiting) {
      const service = services.get(nameOfKey(key));
      if (!service || !isOurs(service) || service.metadata.deletionTimestamp) continue;
      const { problem } = await provider.ensure(service);
      if (problem) continue;
      holders.set(key, service.metadata.uid ?? "");
      controller.enqueue(key);
    }
    freed = false;
  }

  async function release(key: string, uid: string, except: readonly AssignedAddress[] = []): Promise<void> {
    await exclusive(async () => {
      await provider.release({ service: key, uid }, except);
      if (except.length === 0 && holders.get(key) === uid) holders.delete(key);
      somethingIsFree();
    });
  }

  /** That is no change of those who wait: nothing else would wake them. */
  function somethingIsFree(): void {
    freed = true;
    const [first] = waiting;
    if (first !== undefined) controller.enqueue(first);
  }

  /** One event a change: an address, or why there is none. */
  function tell(before: Service, after: Service, { problem }: Assignment): void {
    const [old, now] = [before, after].map(({ status }) => findCondition(status?.conditions, assignedCondition));
    if (!now || (old?.status === now.status && old?.reason === now.reason && old?.message === now.message)) return;
    events.event(after, problem ? "Warning" : "Normal", problem ? problem.reason : "AddressAssigned", now.message);
  }

  /**
   * Takes back what the Service has from us: it goes, or is of another type now. Our condition is the last to go, as it tells
   * our finalizer from that of others, who use the same name.
   */
  async function withdraw(key: string, found: Service): Promise<void> {
    waiting.delete(key);
    const { finalizers = [], uid = "" } = found.metadata;
    const marked = isMarked(found);
    const hasOurs = holders.has(key) || hasCondition(found);
    if (!hasOurs && !(marked && isOurs(found))) return;
    try {
      const released = withRelease(found, clock.now());
      const service = released === found ? found : await client.updateStatus(resources.Service, released, { signal });
      await release(key, uid);
      if (marked) {
        const metadata = { ...service.metadata, finalizers: finalizers.filter((name) => name !== cleanupFinalizer) };
        await client.update(resources.Service, { ...service, metadata }, { signal });
      } else if (!found.metadata.deletionTimestamp) {
        await client.updateStatus(resources.Service, withoutCondition(service), { signal });
      }
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
      // It has gone meanwhile: what it held is released all the same.
      await release(key, uid);
    }
  }

  async function withFinalizer(service: Service): Promise<Service> {
    if (isMarked(service)) return service;
    const finalizers = [...(service.metadata.finalizers ?? []), cleanupFinalizer];
    const metadata = { ...service.metadata, finalizers };
    return client.update(resources.Service, { ...service, metadata }, { signal });
  }

  const controller = startController({
    name: "loadbalancer",
    reconcile,
    concurrency: 8,
    after: [services.synced],
    signal,
    clock,
    log,
    ...(options.metrics ? { metrics: options.metrics } : {}),
  });
  // What there is to see is looked at also where no Service asks for anything: pools have statuses and figures.
  controller.enqueue("");
  provider.onChange?.((key) => {
    if (key === undefined) somethingIsFree();
    else controller.enqueue(key);
  });
  const concerns = (service: Service | undefined) =>
    service !== undefined && !isOthers(service) && (isOurs(service) || isMarked(service) || hasCondition(service));
  services.onChange(({ before, after }) => {
    const service = after ?? before;
    if (service && (concerns(before) || concerns(after))) controller.enqueue(keyOf(service));
  });
  return controller;
}

function isMarked({ metadata }: Service): boolean {
  return metadata.finalizers?.includes(cleanupFinalizer) ?? false;
}

function hasCondition({ status }: Service): boolean {
  return findCondition(status?.conditions, assignedCondition) !== undefined;
}

function addressesIn({ status }: Service): string[] {
  return (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip ? [ip] : []));
}
