import { createHash } from "node:crypto";
import { keyOf, parseIp, type EndpointSlice, type IpFamily, type Service } from "../../kube/index.ts";

/**
 * A twin is a Service of type LoadBalancer beside a Service that a front end was told to expose: the same ports, the same pods, and an
 * address. So the user's own Service stays as it is, and everything that serves, explains and counts Services does it for twins too.
 */
export interface TwinRequest {
  readonly target: Service;
  /** What wants it, for example `keepalived-vip default/vip-configmap 10.4.0.50`: one twin for each target and text. */
  readonly wantedBy: string;
  /** Name of the front end; its twins have it as a label. */
  readonly frontEnd: string;
  readonly loadBalancerClass: string;
  /** Annotations that ask for an address or a pool. */
  readonly annotations: Readonly<Record<string, string>>;
  /** The only family. Absent: the target's. */
  readonly family?: IpFamily;
  /** Ports on the nodes, for load balancers that send packets there. Default: none. */
  readonly nodePorts?: boolean;
}

/** Label of twins, with the front end's name. */
export const frontEndLabel = "fairlead.dev/front-end";
/** Annotation of twins: `TwinRequest.wantedBy`. */
export const wantedByAnnotation = "fairlead.dev/wanted-by";
/** Annotation of twins: `namespace/name` of the target. */
export const targetAnnotation = "fairlead.dev/target";

const serviceLabel = "kubernetes.io/service-name";
const managerLabel = "endpointslice.kubernetes.io/managed-by";

export type TwinDraft = Pick<Service, "spec"> & {
  readonly metadata: Pick<Service["metadata"], "labels" | "annotations"> & { name: string; namespace: string };
};

/** Why a Service can have no twin. */
export function whyNoTwin({ spec, metadata }: Service): string | undefined {
  const key = keyOf({ metadata });
  if (spec.type === "ExternalName") return `Service ${key} is of type ExternalName, which has no endpoints`;
  if (!spec.ports?.length) return `Service ${key} has no ports`;
  if (metadata.labels?.[frontEndLabel] !== undefined) return `Service ${key} is a twin itself`;
  return undefined;
}

/** The twin that a request is for. Its name is the same each time. */
export function twinOf(request: TwinRequest): TwinDraft {
  const { target, wantedBy, frontEnd, family } = request;
  const { spec, metadata } = target;
  const key = keyOf(target);
  const id = createHash("sha256").update(`${frontEnd} ${key} ${wantedBy}`).digest("hex").slice(0, 10);
  const local = spec.externalTrafficPolicy === "Local";
  return {
    metadata: {
      namespace: metadata.namespace ?? "default",
      // The name of a Service has 63 characters at most.
      name: `${metadata.name.slice(0, 52).replace(/-+$/, "")}-${id}`,
      labels: { [frontEndLabel]: frontEnd },
      annotations: { ...request.annotations, [wantedByAnnotation]: wantedBy, [targetAnnotation]: key },
    },
    spec: {
      type: "LoadBalancer",
      loadBalancerClass: request.loadBalancerClass,
      allocateLoadBalancerNodePorts: request.nodePorts ?? false,
      externalTrafficPolicy: local ? "Local" : "Cluster",
      ports: (spec.ports ?? []).map(({ name, protocol, port, targetPort, appProtocol }) => ({
        port,
        protocol: protocol ?? "TCP",
        ...(name === undefined ? {} : { name }),
        ...(targetPort === undefined ? {} : { targetPort }),
        ...(appProtocol === undefined ? {} : { appProtocol }),
      })),
      ...(spec.selector && Object.keys(spec.selector).length > 0 ? { selector: { ...spec.selector } } : {}),
      ...(spec.sessionAffinity === "ClientIP"
        ? { sessionAffinity: "ClientIP", sessionAffinityConfig: spec.sessionAffinityConfig ?? {} }
        : {}),
      ...(spec.publishNotReadyAddresses ? { publishNotReadyAddresses: true } : {}),
      ...(spec.loadBalancerSourceRanges ? { loadBalancerSourceRanges: [...spec.loadBalancerSourceRanges] } : {}),
      ...(family ? { ipFamilies: [family], ipFamilyPolicy: "SingleStack" } : {}),
    },
  };
}

/** A Service without a selector has slices that someone else writes: its twin gets copies of them. */
export function twinSlices(twin: TwinDraft, target: Service, slices: readonly EndpointSlice[]): EndpointSlice[] {
  if (twin.spec.selector) return [];
  const families = twin.spec.ipFamilies ?? target.spec.ipFamilies;
  const wantedBy = twin.metadata.annotations?.[wantedByAnnotation] ?? "";
  return slices
    .filter(({ addressType }) => families === undefined || families.includes(addressType))
    .map(({ apiVersion, kind, metadata, addressType, endpoints, ports }) => {
      const id = createHash("sha256")
        .update(metadata.uid ?? metadata.name)
        .digest("hex");
      return {
        apiVersion,
        kind,
        metadata: {
          namespace: twin.metadata.namespace,
          name: `${twin.metadata.name}-${id.slice(0, 6)}`,
          labels: {
            [serviceLabel]: twin.metadata.name,
            [managerLabel]: "front-ends.fairlead.dev",
            ...twin.metadata.labels,
          },
          annotations: { [wantedByAnnotation]: wantedBy },
        },
        addressType,
        endpoints: structuredClone(endpoints ?? []),
        ...(ports ? { ports: structuredClone(ports) } : {}),
      };
    });
}

/** What a front end's user asks for of a family, by an address. */
export function familyOf(address: string): IpFamily {
  return parseIp(address)?.family ?? "IPv4";
}
