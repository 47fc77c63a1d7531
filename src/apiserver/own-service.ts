import { isIP } from "node:net";
import {
  cidrContains,
  formatIp,
  isStatus,
  parseCidr,
  resources,
  type Endpoints,
  type EndpointSlice,
  type KubeObject,
  type Resource,
  type Service,
} from "../kube/index.ts";
import type { Clock, Component, Logger } from "../system/index.ts";
import type { ApiServers } from "./api-servers.ts";
import { ownContext, type Registry } from "./registry/index.ts";
import { prefixFor, type Storage } from "./storage/index.ts";

/** Where this API server is reached from inside the cluster. */
export interface Advertised {
  readonly address: string;
  readonly port: number;
}

export interface OwnServiceOptions {
  readonly registry: Registry;
  readonly storage: Storage;
  readonly serviceCidrs: readonly string[];
  readonly apiServers: ApiServers;
}

/** Milliseconds between two looks, as in kube-apiserver. */
const every = 10_000;

/** Makes the Service `kubernetes` and its endpoints what they have to be. */
export async function ensureOwnService(options: OwnServiceOptions): Promise<void> {
  const { registry, serviceCidrs, apiServers } = options;
  await Promise.all([
    registry.get(resources.Service, "default", "kubernetes").catch((error: unknown) => {
      if (!isStatus(error, "NotFound")) throw error;
      return create(registry, resources.Service, kubernetesService(serviceCidrs[0] ?? ""));
    }),
    apiServers.renew().then((servers) => writeEndpoints(options, servers)),
  ]);
}

/** Somebody who deletes all Services deletes this one too: it comes back. Work begins after `after`. */
export function keepOwnService(
  options: OwnServiceOptions & { clock: Clock; log: Logger; signal: AbortSignal; after: Promise<unknown> },
): Component {
  const { clock, log, signal, after } = options;
  const run = async (): Promise<void> => {
    await after;
    while (!signal.aborted) {
      await clock.sleep(every, signal).catch(() => {});
      if (signal.aborted) break;
      await ensureOwnService(options).catch((error: unknown) => {
        log.warn({ error: String(error) }, "the Service kubernetes could not be kept; it will be tried again");
      });
    }
    // Clients in the cluster shall go to the others at once.
    await options.apiServers.leave().catch(() => {});
  };
  return { name: "apiserver-own-service", ready: Promise.resolve(), stopped: run().catch(() => {}) };
}

/** Endpoints and slices that lead to these servers. Servers of one port share a slice. */
async function writeEndpoints({ registry, storage }: OwnServiceOptions, servers: readonly Advertised[]): Promise<void> {
  const byPort = new Map<number, string[]>();
  for (const { address, port } of servers) byPort.set(port, [...(byPort.get(port) ?? []), address]);
  const groups = [...byPort];
  const slices = groups.map(([port, addresses], i) => kubernetesSlice(addresses, port, i === 0));
  const wanted = new Set(slices.map((slice) => slice.metadata.name));
  const cache = storage.of(resources.EndpointSlice);
  const stale = cache
    .under(prefixFor(resources.EndpointSlice, "default"))
    .map((entry) => entry.object.metadata.name)
    .filter((name) => furtherSlice.test(name) && !wanted.has(name));
  await Promise.all([
    replace(registry, resources.Endpoints, kubernetesEndpoints(groups)),
    ...slices.map((slice) => replace(registry, resources.EndpointSlice, slice)),
    ...stale.map((name) => registry.remove(ownContext(resources.EndpointSlice, "default"), name, {}).catch(() => {})),
  ]);
}

/** Another API server may do the same at the same time. */
const create = (registry: Registry, resource: Resource, object: KubeObject): Promise<unknown> =>
  registry.create(ownContext(resource, "default"), object).catch((error: unknown) => {
    if (!isStatus(error, "AlreadyExists")) throw error;
  });

/** The address may have changed since. Writes nothing when it has not. */
async function replace(registry: Registry, resource: Resource, object: KubeObject): Promise<void> {
  const context = ownContext(resource, "default");
  await registry
    .update(
      context,
      object.metadata.name,
      (current) => ({ ...object, metadata: { ...current.metadata, ...object.metadata } }),
      {
        retry: true,
      },
    )
    .catch(async (error: unknown) => {
      if (!isStatus(error, "NotFound")) throw error;
      await create(registry, resource, object);
    });
}

const metadata = { name: "kubernetes", namespace: "default" };

/** The first address of the primary range is always this Service's; like upstream, it has no second one. */
function kubernetesService(serviceCidr: string): Service {
  const cidr = parseCidr(serviceCidr);
  if (!cidr) throw new Error(`service range ${serviceCidr}: must be a block of addresses such as 10.96.0.0/16`);
  const address = { family: cidr.family, value: cidr.base + 1n };
  if (!cidrContains(cidr, address)) throw new Error(`service range ${serviceCidr}: has no room for a Service`);
  const clusterIP = formatIp(address);
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { ...metadata, labels: { component: "apiserver", provider: "kubernetes" } },
    spec: {
      type: "ClusterIP",
      clusterIP,
      clusterIPs: [clusterIP],
      ports: [{ name: "https", port: 443, protocol: "TCP", targetPort: 6443 }],
    },
  };
}

function kubernetesEndpoints(groups: readonly (readonly [number, readonly string[]])[]): Endpoints {
  return {
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: { ...metadata, labels: { "endpointslice.kubernetes.io/skip-mirror": "true" } },
    subsets: groups.map(([port, addresses]) => ({
      addresses: addresses.map((ip) => ({ ip })),
      ports: [{ name: "https", port, protocol: "TCP" }],
    })),
  };
}

const furtherSlice = /^kubernetes-\d+$/;

function kubernetesSlice(addresses: readonly string[], port: number, first: boolean): EndpointSlice {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      ...metadata,
      ...(first ? {} : { name: `${metadata.name}-${port}` }),
      labels: { "kubernetes.io/service-name": "kubernetes" },
    },
    addressType: addresses.some((address) => isIP(address) === 6) ? "IPv6" : "IPv4",
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [{ name: "https", port, protocol: "TCP" }],
  };
}
