import { createHash } from "node:crypto";
import { isIP, isIPv6 } from "node:net";
import type {
  Draft,
  Endpoint,
  EndpointSlice,
  IpFamily,
  KubeObject,
  OwnerReference,
  Service,
} from "../../kube/index.ts";
import { type Gateway, gatewayGroup, type GatewayPort } from "../../routing/index.ts";

/** On everything that is made for a Gateway (GEP-1762). */
const gatewayLabel = "gateway.networking.k8s.io/gateway-name";
const classLabel = "gateway.networking.k8s.io/gateway-class-name";
const managedByLabel = "endpointslice.kubernetes.io/managed-by";
const serviceLabel = "kubernetes.io/service-name";
export const manager = "gateway.fairlead.dev";

/** What leads traffic for a Gateway to the data plane: a Service of type LoadBalancer for each address, and where it ends. */
export interface Frontend {
  readonly service: Draft<Service>;
  /** One for each family of addresses. */
  readonly slices: readonly Draft<EndpointSlice>[];
}

/** One Service for each address that is asked for, one for any address when none is. `replicas`: who serves the Gateway. */
export function frontendsOf(
  gateway: Gateway,
  ports: readonly GatewayPort[],
  replicas: readonly Endpoint[],
): Frontend[] {
  if (ports.length === 0) return [];
  const { addresses = [], infrastructure } = gateway.spec;
  const wanted = addresses.length === 0 ? [undefined] : addresses.map(({ value }) => value);
  const families = [...new Set(replicas.map(familyOf))];
  return wanted.map((address, index) => {
    const name = serviceName(gateway, index);
    const namespace = gateway.metadata.namespace ?? "";
    const metadata = {
      name,
      namespace,
      labels: {
        ...infrastructure?.labels,
        [gatewayLabel]: labelValue(gateway.metadata.name),
        [classLabel]: labelValue(gateway.spec.gatewayClassName),
      },
      annotations: { ...infrastructure?.annotations },
      ownerReferences: [ownerOf(gateway)],
    };
    const portName = ({ transport, port }: GatewayPort): string => `${transport.toLowerCase()}-${port}`;
    return {
      service: {
        metadata,
        spec: {
          type: "LoadBalancer",
          allocateLoadBalancerNodePorts: false,
          ...(address ? { loadBalancerIP: address } : {}),
          ...(families.length > 1 ? familiesFor(address) : {}),
          ports: ports.map((each) => ({
            name: portName(each),
            protocol: each.transport,
            port: each.port,
            targetPort: each.bindPort,
          })),
        },
      },
      slices: families.map((family, place) => ({
        metadata: {
          ...metadata,
          name: place === 0 ? name : `${name}-${family.toLowerCase()}`,
          labels: { ...metadata.labels, [serviceLabel]: name, [managedByLabel]: manager },
        },
        addressType: family,
        endpoints: replicas.filter((replica) => familyOf(replica) === family),
        ports: ports.map((each) => ({ name: portName(each), protocol: each.transport, port: each.bindPort })),
      })),
    };
  });
}

/** Of an endpoint's addresses, which are all of one. */
export const familyOf = ({ addresses: [address = ""] }: Pick<Endpoint, "addresses">): IpFamily =>
  isIPv6(address) ? "IPv6" : "IPv4";

/** Both families of a cluster that has two; of an address that is asked for its own alone. */
const familiesFor = (address: string | undefined): Pick<Service["spec"], "ipFamilyPolicy" | "ipFamilies"> =>
  address === undefined || isIP(address) === 0
    ? { ipFamilyPolicy: "PreferDualStack" }
    : { ipFamilyPolicy: "SingleStack", ipFamilies: [familyOf({ addresses: [address] })] };

function ownerOf(gateway: Gateway): OwnerReference {
  const { name, uid = "" } = gateway.metadata;
  return { apiVersion: `${gatewayGroup}/v1`, kind: "Gateway", name, uid, controller: true };
}

/** The Gateway that a Service or an EndpointSlice was made for: namespace and name; none is empty. */
export function gatewayOf({ metadata }: KubeObject): string[] {
  if (metadata.labels?.[gatewayLabel] === undefined) return [];
  const owner = metadata.ownerReferences?.find(({ kind }) => kind === "Gateway");
  return owner ? [`${metadata.namespace ?? ""}/${owner.name}`] : [];
}

/** True for what was made for this very Gateway. */
export function isOwnedBy(object: { metadata: { ownerReferences?: OwnerReference[] } }, gateway: Gateway): boolean {
  return (object.metadata.ownerReferences ?? []).some(({ uid }) => uid === gateway.metadata.uid);
}

/** `NAME-CLASS` (GEP-1762), cut and made unique where that is no name for a Service. */
export function serviceName(gateway: Gateway, index: number): string {
  const wanted = `${gateway.metadata.name}-${gateway.spec.gatewayClassName}${index === 0 ? "" : `-${index + 1}`}`;
  if (/^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(wanted)) return wanted;
  const hash = createHash("sha256").update(wanted).digest("hex").slice(0, 10);
  const plain = wanted
    .replaceAll(/[^a-z0-9-]/g, "-")
    .slice(0, 49)
    .replace(/^[^a-z]+/, "");
  return `${plain === "" ? "gateway" : plain.replace(/-+$/, "")}-${hash}`;
}

/** Label values are shorter than names. */
export function labelValue(name: string): string {
  if (name.length <= 63) return name;
  return `${name.slice(0, 52)}-${createHash("sha256").update(name).digest("hex").slice(0, 10)}`;
}
