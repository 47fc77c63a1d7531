import { keyOf, type Service } from "../../kube/index.ts";
import type { BackendProtocol, BackendTls, Certificate, SubjectAltName } from "../model.ts";
import { oldestFirst } from "../owner.ts";
import { poolKey, type PoolTarget } from "../pool.ts";
import { no, type RefFault, resolvedRefs, yes } from "./conditions.ts";
import { readAuthorities, type References } from "./references.ts";
import {
  type BackendRef,
  type BackendTLSPolicy,
  type GatewayCondition,
  gatewayGroup,
  type RouteKindName,
} from "./types.ts";

/** A policy as it is understood. */
interface PolicyReading {
  readonly policy: BackendTLSPolicy;
  /** Absent when it names no authority that can be used. */
  readonly tls?: BackendTls;
  readonly conditions: readonly GatewayCondition[];
}

/** Who asks for a pool. */
export interface BackendUser {
  readonly kind: RouteKindName;
  readonly namespace: string;
  /** The Gateway that the requests come by, as `namespace/name`: policies tell it in their status. */
  readonly gateway: string;
  /** What that Gateway shows of itself to backends. */
  readonly client?: Certificate;
  readonly service: (key: string) => Service | undefined;
  /** Told of each pool that is asked for. */
  readonly uses: BackendUse[];
}

/** A pool that a reference has led to. */
export interface BackendUse {
  /** Of the pool. */
  readonly key: string;
  /** Where it is named first. */
  readonly field: string;
  readonly target: PoolTarget;
  readonly gateway: string;
  /** What the BackendTLSPolicy that matters to it has as its target: `namespace/service:port`. */
  readonly policy?: string;
}

export interface Backends {
  /** Key of the pool that a reference means; or why there is none. What is to be used is told to the user's `uses`. */
  resolve(ref: BackendRef, user: BackendUser, field: string): { readonly pool: string } | { readonly fault: RefFault };
  /** What `resolve` goes by, but for Services: as long as these texts are the same, its answers are. */
  readonly mark: readonly string[];
  /** Each policy with the Gateways that it matters to; those of one target are asked for by `namespace/service:port`. */
  policies(
    gatewaysTo: (target: string) => ReadonlySet<string>,
  ): { policy: BackendTLSPolicy; gateways: ReadonlySet<string>; conditions: readonly GatewayCondition[] }[];
}

const clear = new Set(["", "http", "kubernetes.io/ws", "ws", "grpc", "kubernetes.io/h2c"]);

export function createBackends(policies: readonly BackendTLSPolicy[], input: References): Backends {
  const readings = oldestFirst(policies).map((policy) => readPolicy(policy, input));
  // Who comes first has a Service, or one port of it; the port's own comes before the Service's.
  const byTarget = new Map<string, PolicyReading>();
  const lost = new Set<BackendTLSPolicy>();
  for (const reading of readings)
    for (const key of targetsOf(reading.policy)) {
      if (byTarget.has(key)) lost.add(reading.policy);
      else byTarget.set(key, reading);
    }

  function resolve(
    ref: BackendRef,
    user: BackendUser,
    field: string,
  ): { readonly pool: string } | { readonly fault: RefFault } {
    const { group = "", kind = "Service", namespace = user.namespace, name, port } = ref;
    const fail = (reason: string, message: string) => ({ fault: { reason, message: `${field}: ${message}` } });
    if (group !== "" || kind !== "Service") return fail("InvalidKind", `${kind}.${group} ${name} is no Service`);
    const from = { group: gatewayGroup, kind: user.kind, namespace: user.namespace };
    if (!input.permits({ from, to: { group: "", kind: "Service", namespace, name } }))
      return fail("RefNotPermitted", `no ReferenceGrant in namespace ${namespace} allows Service ${namespace}/${name}`);
    const service = user.service(`${namespace}/${name}`);
    if (!service) return fail("BackendNotFound", `Service ${namespace}/${name} does not exist`);
    const transport = user.kind === "UDPRoute" ? "UDP" : "TCP";
    const servicePort = service.spec.ports?.find(
      (each) => each.port === port && (each.protocol ?? "TCP") === transport,
    );
    if (!servicePort)
      return fail("BackendNotFound", `Service ${namespace}/${name} has no ${transport} port ${port ?? ""}`);
    if (service.spec.type === "ExternalName")
      return fail(
        "UnsupportedProtocol",
        `Service ${namespace}/${name} is of type ExternalName, which has no endpoints`,
      );
    const protocol = protocolFor(user.kind, servicePort.appProtocol ?? "");
    if (!protocol)
      return fail("UnsupportedProtocol", `${user.kind} cannot use appProtocol ${servicePort.appProtocol ?? ""}`);

    const key = `${namespace}/${name}`;
    const policy =
      user.kind === "UDPRoute"
        ? undefined
        : [`${key}:${servicePort.name ?? ""}`, `${key}:`].find((each) => byTarget.has(each));
    const reading = policy === undefined ? undefined : byTarget.get(policy);
    const own = reading?.tls && (user.client ? { ...reading.tls, client: user.client } : reading.tls);
    // Without a word on whom to trust, TLS would be for show; and in clear nothing goes where TLS is spoken.
    const unclear = reading
      ? own
        ? undefined
        : `BackendTLSPolicy ${keyOf(reading.policy)} names no authority that can be used`
      : protocol !== "tcp" && protocol !== "udp" && !clear.has(servicePort.appProtocol ?? "")
        ? `port ${port ?? ""} speaks TLS (its appProtocol), and no BackendTLSPolicy says whom to trust`
        : undefined;
    const target: PoolTarget = {
      namespace,
      service: name,
      port: { number: port ?? 0 },
      protocol,
      ...(own ? { tls: own } : {}),
      ...(unclear ? { unclear } : {}),
      // Gateways that show different certificates have connections of their own.
      ...(own?.client ? { variant: user.gateway } : {}),
    };
    const pool = poolKey(target);
    // Rules of one route lead to the same places: each counts once.
    if (!user.uses.some((use) => use.key === pool && use.gateway === user.gateway))
      user.uses.push({ key: pool, field, target, gateway: user.gateway, ...(policy === undefined ? {} : { policy }) });
    return { pool };
  }

  return {
    resolve,
    mark: readings.map(({ policy, tls }) => JSON.stringify([keyOf(policy), policy.spec.targetRefs, tls])),
    policies: (gatewaysTo) =>
      readings.map(({ policy, conditions }) => ({
        policy,
        // One that lost a target speaks to the Gateways that the target matters to.
        gateways: new Set(targetsOf(policy).flatMap((target) => [...gatewaysTo(target)])),
        conditions: lost.has(policy)
          ? [no("Accepted", "Conflicted", "an older BackendTLSPolicy has the same target"), ...conditions.slice(1)]
          : conditions,
      })),
  };
}

/** The Services that a policy has as its targets: `namespace/name:port`, without the port for all of them. */
function targetsOf({ metadata: { namespace = "" }, spec }: BackendTLSPolicy): string[] {
  return spec.targetRefs.flatMap(({ group = "", kind, name, sectionName = "" }) =>
    group === "" && kind === "Service" ? [`${namespace}/${name}:${sectionName}`] : [],
  );
}

function protocolFor(kind: RouteKindName, appProtocol: string): BackendProtocol | undefined {
  if (kind === "UDPRoute") return "udp";
  if (kind === "TCPRoute" || kind === "TLSRoute") return "tcp";
  if (kind === "GRPCRoute") return "h2c";
  return appProtocol === "kubernetes.io/h2c" || appProtocol === "grpc" ? "h2c" : "http";
}

function readPolicy(policy: BackendTLSPolicy, input: References): PolicyReading {
  const { caCertificateRefs = [], wellKnownCACertificates, hostname, subjectAltNames = [] } = policy.spec.validation;
  const referrer = { kind: "BackendTLSPolicy", namespace: policy.metadata.namespace ?? "" };
  const reasons = { kind: "InvalidKind", ref: "InvalidCACertificateRef" };
  const names: SubjectAltName[] = subjectAltNames.map(({ type, hostname: name, uri }) =>
    type === "URI" ? { type: "URI", value: uri ?? "" } : { type: "Hostname", value: name ?? "" },
  );
  const { pem, faults } = readAuthorities(
    input,
    referrer,
    caCertificateRefs,
    "spec.validation.caCertificateRefs",
    reasons,
  );
  const authorities = caCertificateRefs.length > 0 ? pem : wellKnownCACertificates === "System" ? "System" : "";
  if (authorities === "") {
    const all =
      faults.length > 0 ? faults : [{ reason: "InvalidKind", message: `${wellKnownCACertificates} is unknown` }];
    const message = all.map((each) => each.message).join("; ");
    return { policy, conditions: [no("Accepted", "NoValidCACertificate", message), resolvedRefs(all)] };
  }
  const tls = { serverName: hostname, subjectAltNames: names, authorities };
  return { policy, tls, conditions: [yes("Accepted"), resolvedRefs(faults)] };
}
