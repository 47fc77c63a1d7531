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
import { bootstrapRoles } from "./auth/index.ts";
import { ownContext, type Registry } from "./registry/index.ts";
import { keyFor, type Storage } from "./storage/index.ts";

/** Where this API server is reached from inside the cluster. */
export interface Advertised {
  readonly address: string;
  readonly port: number;
}

export interface BootstrapOptions {
  readonly registry: Registry;
  readonly storage: Storage;
  readonly serviceCidr: string;
  readonly advertise: Advertised;
}

const namespaces = ["default", "kube-system", "kube-public", "kube-node-lease"];

/** Writes what every cluster has and is missing here: namespaces, roles, and the Service `kubernetes`. */
export async function bootstrap({ registry, storage, serviceCidr, advertise }: BootstrapOptions): Promise<void> {
  const ensure = async (resource: Resource, object: KubeObject): Promise<void> => {
    const { namespace = "", name } = object.metadata;
    if (storage.of(resource).get(keyFor(resource, { namespace, name }))) return;
    await registry.create(ownContext(resource, namespace), object).catch((error: unknown) => {
      if (!isStatus(error, "AlreadyExists")) throw error;
    });
  };

  await Promise.all(
    namespaces.map((name) => ensure(resources.Namespace, { apiVersion: "v1", kind: "Namespace", metadata: { name } })),
  );
  await storage.caughtUp();
  const { roles, bindings } = bootstrapRoles();
  await Promise.all([
    ...roles.map((role) => ensure(resources.ClusterRole, role)),
    ...bindings.map((binding) => ensure(resources.ClusterRoleBinding, binding)),
    ensure(resources.Service, kubernetesService(serviceCidr)),
    replace(registry, resources.Endpoints, kubernetesEndpoints(advertise)),
    replace(registry, resources.EndpointSlice, kubernetesSlice(advertise)),
  ]);
  await storage.caughtUp();
}

/** Written at every start: the address may have changed since. */
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
      await registry.create(context, object);
    });
}

const metadata = { name: "kubernetes", namespace: "default" };

/** The first address of the range is always this Service's. */
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

function kubernetesEndpoints({ address, port }: Advertised): Endpoints {
  return {
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: { ...metadata, labels: { "endpointslice.kubernetes.io/skip-mirror": "true" } },
    subsets: [{ addresses: [{ ip: address }], ports: [{ name: "https", port, protocol: "TCP" }] }],
  };
}

function kubernetesSlice({ address, port }: Advertised): EndpointSlice {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { ...metadata, labels: { "kubernetes.io/service-name": "kubernetes" } },
    addressType: isIP(address) === 6 ? "IPv6" : "IPv4",
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
    ports: [{ name: "https", port, protocol: "TCP" }],
  };
}
