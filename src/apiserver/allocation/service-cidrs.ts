import {
  cidrContains,
  formatTime,
  isStatus,
  parseCidr,
  parseIp,
  resources,
  type Cidr,
  type IPAddress,
  type KubeObject,
  type Service,
  type ServiceCIDR,
} from "../../kube/index.ts";
import type { Clock, Component, Logger } from "../../system/index.ts";
import { ownContext, type Registry } from "../registry/index.ts";
import { keyFor, prefixFor, type Storage } from "../storage/index.ts";
import { addressRecord } from "./records.ts";

export interface ServiceCidrsOptions {
  readonly registry: Registry;
  readonly storage: Storage;
  readonly serviceCidrs: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly after: Promise<unknown>;
}

/** Milliseconds between two looks. */
const every = 1000;
const finalizer = "networking.k8s.io/service-cidr-finalizer";

/**
 * Keeps the ServiceCIDR `kubernetes`, tells of each ServiceCIDR whether it is used, and lets one that is being deleted go when no
 * address is left that is in no other one. A Service whose address has no IPAddress (of an earlier version) gets it at the start.
 */
export function keepServiceCidrs(options: ServiceCidrsOptions): Component {
  const { clock, log, signal, after } = options;
  const run = async (): Promise<void> => {
    await after;
    await recordAddresses(options).catch((error: unknown) => {
      log.warn({ error: String(error) }, "addresses of Services could not be recorded");
    });
    while (!signal.aborted) {
      await ensureServiceCidrs(options).catch((error: unknown) => {
        log.warn({ error: String(error) }, "ServiceCIDRs could not be kept; it will be tried again");
      });
      await clock.sleep(every, signal).catch(() => {});
    }
  };
  return { name: "apiserver-service-cidrs", ready: Promise.resolve(), stopped: run().catch(() => {}) };
}

async function recordAddresses({ registry, storage, clock }: ServiceCidrsOptions): Promise<void> {
  for (const entry of storage.of(resources.Service).under(prefixFor(resources.Service))) {
    const service = entry.object as Service;
    for (const address of service.spec.clusterIPs ?? []) {
      if (address === "None" || storage.of(resources.IPAddress).get(keyFor(resources.IPAddress, { name: address })))
        continue;
      const record = addressRecord(address, service, clock.now());
      await registry.create(ownContext(resources.IPAddress, ""), record).catch(() => {});
    }
  }
}

/** Makes the ServiceCIDR `kubernetes`, if it is not there, and brings all of them up to date. */
export async function ensureServiceCidrs(
  options: Omit<ServiceCidrsOptions, "after" | "signal" | "log">,
): Promise<void> {
  const { registry, storage, serviceCidrs, clock } = options;
  const context = ownContext(resources.ServiceCIDR, "");
  const found = (): ServiceCIDR[] =>
    storage
      .of(resources.ServiceCIDR)
      .under(prefixFor(resources.ServiceCIDR))
      .map((entry) => entry.object as ServiceCIDR);
  const own = found().find(({ metadata }) => metadata.name === "kubernetes");
  const [first, second] = serviceCidrs;
  if (own?.spec.cidrs?.length === 1 && own.spec.cidrs[0] === first && second !== undefined) {
    // The cluster was of one family, and has been started with two.
    const extended = (current: KubeObject) => ({ ...current, spec: { cidrs: [first, second] } });
    await registry.update(context, "kubernetes", extended, { retry: true });
    await storage.caughtUp();
  }
  if (!own) {
    const object = {
      apiVersion: "networking.k8s.io/v1",
      kind: "ServiceCIDR",
      metadata: { name: "kubernetes", finalizers: [finalizer] },
      spec: { cidrs: [...serviceCidrs] },
    };
    await registry.create(context, object).catch((error: unknown) => {
      if (!isStatus(error, "AlreadyExists")) throw error;
    });
    await storage.caughtUp();
  }
  const all = found();
  for (const one of all) {
    const { name, deletionTimestamp, finalizers = [] } = one.metadata;
    const inUse = deletionTimestamp !== undefined && isNeeded(one, all, storage);
    const condition = deletionTimestamp ? terminating : ready;
    if (deletionTimestamp ? !inUse && finalizers.includes(finalizer) : !finalizers.includes(finalizer)) {
      const kept = deletionTimestamp ? finalizers.filter((text) => text !== finalizer) : [...finalizers, finalizer];
      await registry.update(
        context,
        name,
        (current) => ({ ...current, metadata: { ...current.metadata, finalizers: kept } }),
        { retry: true },
      );
      if (deletionTimestamp) continue;
    }
    if (one.status?.conditions?.some(({ type, status }) => type === "Ready" && status === condition.status)) continue;
    const lastTransitionTime = formatTime(clock.now());
    await registry.update(
      { ...context, subresource: "status" },
      name,
      (current) => {
        const status = { conditions: [{ type: "Ready", ...condition, lastTransitionTime }] };
        return Object.assign(current, { status });
      },
      { retry: true },
    );
  }
}

const ready = { status: "True", reason: "", message: "Kubernetes Service CIDR is ready" };
const terminating = {
  status: "False",
  reason: "Terminating",
  message: "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
};

const blocksOf = ({ spec }: ServiceCIDR): Cidr[] => (spec.cidrs ?? []).flatMap((text) => parseCidr(text) ?? []);

/** An address is in it that is in no other ServiceCIDR which stays. */
function isNeeded(one: ServiceCIDR, all: readonly ServiceCIDR[], storage: Storage): boolean {
  const own = blocksOf(one);
  const others = all
    .filter(({ metadata }) => metadata.name !== one.metadata.name && !metadata.deletionTimestamp)
    .flatMap(blocksOf);
  return storage
    .of(resources.IPAddress)
    .under(prefixFor(resources.IPAddress))
    .some((entry) => {
      const ip = parseIp((entry.object as IPAddress).metadata.name);
      const isIn = (block: Cidr): boolean => ip !== undefined && cidrContains(block, ip);
      return own.some(isIn) && !others.some(isIn);
    });
}
