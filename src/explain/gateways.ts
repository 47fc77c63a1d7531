import type { ConfigMap, KubeObject, Namespace, Resource, Secret } from "../kube/index.ts";
import { keyOf } from "../kube/index.ts";
import {
  gatewayGroup,
  gatewayResources as kinds,
  type GatewayTranslation,
  type InspectKeyPair,
  translateGateways,
} from "../routing/index.ts";
import type { Cluster } from "./cluster.ts";
import { overlay } from "./overlay.ts";

/** The objects of the Gateway API at one moment, and what they name beside Services. */
export interface GatewayObjects {
  /** Of all its kinds, with defaults. */
  readonly objects: readonly KubeObject[];
  readonly namespaces: readonly Namespace[];
  /** Those that are named. */
  readonly secrets: readonly Secret[];
  readonly configMaps: readonly ConfigMap[];
}

export const noGateways: GatewayObjects = { objects: [], namespaces: [], secrets: [], configMaps: [] };

/** Whether this is a kind of the Gateway API, in any version. */
export const isOfGatewayApi = ({ apiVersion }: Pick<KubeObject, "apiVersion">): boolean =>
  apiVersion.startsWith(`${gatewayGroup}/`);

/** As they would be if `manifests`, with their defaults, were applied. */
export function gatewaysWith(base: GatewayObjects, manifests: readonly KubeObject[]): GatewayObjects {
  const core = (kind: string) => manifests.filter((one) => one.apiVersion === "v1" && one.kind === kind);
  return {
    objects: Object.values(kinds).flatMap(({ kind }) =>
      overlay(ofKind(base.objects, kind), ofKind(manifests.filter(isOfGatewayApi), kind)),
    ),
    namespaces: overlay(base.namespaces, core("Namespace")),
    secrets: overlay(base.secrets, core("Secret")),
    configMaps: overlay(base.configMaps, core("ConfigMap")),
  };
}

const ofKind = (objects: readonly KubeObject[], kind: string) => objects.filter((object) => object.kind === kind);

export interface GatewayRoutingOptions {
  /** `spec.controllerName` of the GatewayClasses that Fairlead serves. */
  readonly controllerName: string;
  readonly inspect: InspectKeyPair;
  readonly inspectAuthorities: (pem: string) => string | undefined;
}

/** What the objects mean to a data plane that can do all of it. Pure. */
export function gatewayRouting(
  cluster: Cluster,
  { objects, namespaces, secrets, configMaps }: GatewayObjects,
  options: GatewayRoutingOptions,
): GatewayTranslation {
  const of = <T extends KubeObject>({ kind }: Resource<T>) => ofKind(objects, kind) as T[];
  const byName = <T extends KubeObject>(list: readonly T[]) => new Map(list.map((object) => [keyOf(object), object]));
  const [named, secret, configMap] = [byName(namespaces), byName(secrets), byName(configMaps)];
  return translateGateways({
    ...options,
    classes: of(kinds.GatewayClass),
    gateways: of(kinds.Gateway),
    listenerSets: of(kinds.ListenerSet),
    httpRoutes: of(kinds.HTTPRoute),
    grpcRoutes: of(kinds.GRPCRoute),
    tlsRoutes: of(kinds.TLSRoute),
    tcpRoutes: of(kinds.TCPRoute),
    udpRoutes: of(kinds.UDPRoute),
    grants: of(kinds.ReferenceGrant),
    policies: of(kinds.BackendTLSPolicy),
    // The API server gives each namespace the label with its name.
    namespaceLabels: (name) => ({ ...named.get(name)?.metadata.labels, "kubernetes.io/metadata.name": name }),
    service: (key) => cluster.service(key),
    slices: (key) => cluster.slices(key),
    secret: (key) => secret.get(key),
    configMap: (key) => configMap.get(key),
    namesOf: () => [],
    protocols: new Set(["HTTP", "HTTPS", "TLS", "TCP", "UDP"]),
    mixedTls: true,
    endsTls: true,
    bindPort: (_gateway, _transport, port) => port,
  });
}

/** The routing of one Gateway alone, and the address that it has first; undefined where it is none of ours. */
export function routingOfGateway(
  { gateways, model, problems }: GatewayTranslation,
  key: string,
): { routing: Pick<GatewayTranslation, "model" | "problems">; address?: string } | undefined {
  const report = gateways.find(({ gateway }) => keyOf(gateway) === key);
  if (!report) return undefined;
  const names = new Set(report.ports.map(({ listener }) => listener));
  const listeners = model.listeners.filter(({ name }) => names.has(name));
  const [first] = report.gateway.status?.addresses ?? [];
  const address = first?.value;
  return { routing: { model: { ...model, listeners }, problems }, ...(address === undefined ? {} : { address }) };
}

/** The Gateway that has an address, as `namespace/name`. */
export function gatewayWith({ gateways }: GatewayTranslation, address: string): string | undefined {
  const found = gateways.find(({ gateway }) => gateway.status?.addresses?.some(({ value }) => value === address));
  return found && keyOf(found.gateway);
}
