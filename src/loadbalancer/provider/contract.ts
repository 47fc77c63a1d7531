import type { IpFamily } from "../../kube/index.ts";

/** Which Service something was made for. Names and tags of a provider's objects come from nothing else, so they are found again after a crash. */
export interface ExposureKey {
  /** Which cluster: two may use one account. */
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export type PortProtocol = "TCP" | "UDP" | "SCTP";

export interface ExposurePort {
  readonly name: string;
  readonly protocol: PortProtocol;
  readonly port: number;
  /** Where every node takes it; absent where the Service has no node ports. */
  readonly nodePort?: number;
}

/** A node that takes the Service's packets. */
export interface ExposureTarget {
  readonly node: string;
  readonly addresses: readonly string[];
  /** What the cloud calls the machine: `spec.providerID` of the Node, where it has one. */
  readonly providerId?: string;
}

/** Where requests of an Ingress go: one port of a Service. */
export interface HttpBackend {
  readonly namespace: string;
  readonly service: string;
  /** The Service's. */
  readonly uid: string;
  /** The Service's port, and the pods'. */
  readonly port: number;
  readonly targetPort: number;
  readonly nodePort?: number;
  /** Pods that are ready, with `HttpCapabilities.endpoints`; otherwise none. */
  readonly endpoints: readonly { readonly address: string; readonly port: number }[];
}

export interface HttpRule {
  /** "": any; `*.example.com`: one label more. */
  readonly host: string;
  readonly path: string;
  readonly match: "Exact" | "Prefix";
  readonly backend: HttpBackend;
}

export interface HttpCertificate {
  /** Name of the Secret, in the Ingress's namespace. */
  readonly name: string;
  readonly hosts: readonly string[];
  /** PEM; absent where there is no such Secret: what the provider has under this name may do. */
  readonly pair?: { readonly certificate: string; readonly key: string };
}

/** What an Ingress asks for. */
export interface HttpExposure {
  /** The first that matches counts: longer hosts and paths come first, as the Ingress API orders them. */
  readonly rules: readonly HttpRule[];
  /** Where requests go that no rule matches. */
  readonly fallback?: HttpBackend;
  readonly certificates: readonly HttpCertificate[];
}

/** What should be: one Service or Ingress as a load balancer has to have it. Plain data, sorted, so that equal ones are equal as JSON. */
export interface Exposure {
  readonly key: ExposureKey;
  readonly families: readonly IpFamily[];
  readonly ports: readonly ExposurePort[];
  readonly targets: readonly ExposureTarget[];
  /** Blocks of clients that are let in; empty: all. */
  readonly sourceRanges: readonly string[];
  readonly sessionAffinity: "None" | "ClientIP";
  /** With policy Local: where each node says whether it has endpoints (HTTP, path /healthz). */
  readonly healthCheckNodePort?: number;
  /** The address that the Service asks for. */
  readonly requestedAddress?: string;
  /** Annotations whose names begin with what the provider asks for in `capabilities.annotations`. */
  readonly annotations: Readonly<Record<string, string>>;
  /** It is an Ingress: requests are led by host and path, and `ports` are 80 and, with certificates, 443. */
  readonly http?: HttpExposure;
}

/** What a provider can do for Ingresses. */
export interface HttpCapabilities {
  readonly tls: boolean;
  /** Paths that match as a whole. */
  readonly exactPaths: boolean;
  /** It reaches pods by itself, and has to know them. */
  readonly endpoints: boolean;
}

/** What a provider can do. What it cannot is refused in a condition before anything is made. */
export interface Capabilities {
  readonly families: readonly IpFamily[];
  /** Of Services; none: it serves only Ingresses. */
  readonly protocols: readonly PortProtocol[];
  /** Different protocols in one load balancer. */
  readonly mixedProtocols: boolean;
  readonly sourceRanges: boolean;
  readonly sessionAffinity: boolean;
  readonly requestedAddress: boolean;
  /** Sends only to nodes that have endpoints (policy Local). */
  readonly localPolicy: boolean;
  /** Works without node ports: it reaches pods by itself. */
  readonly withoutNodePorts: boolean;
  /** Most ports of one Service. */
  readonly mostPorts: number;
  /** Beginnings of annotations that it reads. */
  readonly annotations: readonly string[];
  /** Absent: it serves no Ingresses. */
  readonly http?: HttpCapabilities;
}

/** One change of the provider's objects. `apply` may be called again with the same step after a crash: it must end the same. */
export interface ProviderStep {
  /** For people, without secrets: `create listener 443/TCP`. */
  readonly summary: string;
  /** What `apply` needs: plain data. */
  readonly input: unknown;
}

/** Why a step did not succeed: the first words of the condition. */
export type FailureReason = "Refused" | "Quota" | "Credentials" | "Throttled" | "Unavailable" | "Conflict" | "Broken";

export type StepResult =
  | { readonly state: "done" }
  /** Under way: look again after so many milliseconds. */
  | { readonly state: "pending"; readonly message: string; readonly again: number }
  | {
      readonly state: "failed";
      readonly reason: FailureReason;
      readonly message: string;
      /** Milliseconds before which nothing may be tried again, as the other side has said. */
      readonly again?: number;
    };

/** An address as a client reaches it: `status.loadBalancer.ingress`. */
export interface ProvidedAddress {
  readonly ip?: string;
  readonly hostname?: string;
  readonly ipMode?: "VIP" | "Proxy";
}

/**
 * Something outside the cluster that makes load balancers. It looks, plans and does; finalizers, conditions, events, back-off, throttling and
 * the repair of drift are the core's (`startProviderController`). It keeps nothing that it needs over a restart: what it has made it
 * finds again by `ExposureKey`.
 *
 * `fairlead provider test MODULE` holds a provider against this contract.
 */
export interface LoadBalancerProvider<Observed = unknown> {
  /** Lower case, for logs and metrics. */
  readonly name: string;
  /** Services with this class are its. */
  readonly loadBalancerClass: string;
  /** `spec.controller` of the IngressClasses that are its. */
  readonly ingressController?: string;
  /** Milliseconds between two looks at whether something has changed by itself. Default: the core's, 5 minutes. */
  readonly lookAgain?: number;
  readonly capabilities: Capabilities;
  /** All that exists for Services of this cluster, also what is half made. */
  list(cluster: string, signal: AbortSignal): Promise<readonly ExposureKey[]>;
  /** What exists for a Service; undefined: nothing at all. May throw ProviderFailure. */
  observe(key: ExposureKey, signal: AbortSignal): Promise<Observed | undefined>;
  /** What has to be done, in order; empty: all is as it should be. Pure. May throw ProviderFailure Refused. */
  plan(desired: Exposure, observed: Observed | undefined): readonly ProviderStep[];
  /** What has to be done so that nothing is left, in order. Pure. */
  planRemoval(observed: Observed): readonly ProviderStep[];
  /** Does one step. Throws only for faults of its own. */
  apply(step: ProviderStep, signal: AbortSignal): Promise<StepResult>;
  /** Where clients reach it; empty while it is being made. */
  addresses(observed: Observed): readonly ProvidedAddress[];
  /**
   * Tells of changes as they happen, until the connection ends or the signal aborts; then it is called again. `onChange` without a key: anything
   * may have changed. Without it, changes are seen after `lookAgain`.
   */
  watch?(cluster: string, onChange: (key?: ExposureKey) => void, signal: AbortSignal): Promise<void>;
}

/** A provider says no. A third party's module throws any error that has such a `reason`, and `again` where it is known: it is taken for one of these. */
export class ProviderFailure extends Error {
  readonly reason: FailureReason;
  readonly again: number | undefined;

  constructor(reason: FailureReason, message: string, again?: number) {
    super(message);
    this.name = "ProviderFailure";
    this.reason = reason;
    this.again = again;
  }
}

/** What a refusal that was thrown is as the result of a step; anything else is thrown on. */
export function failedStep(error: unknown): StepResult {
  if (!(error instanceof ProviderFailure)) throw error;
  const { reason, message, again } = error;
  return { state: "failed", reason, message, ...(again === undefined ? {} : { again }) };
}

/** What a third party's ES module exports. */
export interface ProviderModule {
  /** `config` is what the configuration says for this provider. */
  createProvider(config: unknown): LoadBalancerProvider | Promise<LoadBalancerProvider>;
}

/** Why a provider cannot do what a Service or an Ingress asks for, in words for a condition; undefined: it can. Pure. */
export function refusal(exposure: Exposure, can: Capabilities): string | undefined {
  if (exposure.http) return httpRefusal(exposure.http, can);
  if (can.protocols.length === 0) return "spec.loadBalancerClass: Services are not supported, use an Ingress";
  const { ports, families, sourceRanges, sessionAffinity, requestedAddress, healthCheckNodePort } = exposure;
  const family = families.find((one) => !can.families.includes(one));
  if (family) return `spec.ipFamilies: ${family} is not supported; use ${can.families.join(", ")}`;
  if (ports.length > can.mostPorts) return `spec.ports: ${ports.length} ports, at most ${can.mostPorts} are supported`;
  const protocol = ports.find((port) => !can.protocols.includes(port.protocol))?.protocol;
  if (protocol) return `spec.ports: ${protocol} is not supported; use ${can.protocols.join(", ")}`;
  if (!can.mixedProtocols && new Set(ports.map((port) => port.protocol)).size > 1) {
    return "spec.ports: different protocols in one Service are not supported; make a Service for each";
  }
  if (sourceRanges.length > 0 && !can.sourceRanges) return "spec.loadBalancerSourceRanges is not supported; remove it";
  if (sessionAffinity !== "None" && !can.sessionAffinity)
    return "spec.sessionAffinity ClientIP is not supported; use None";
  if (requestedAddress !== undefined && !can.requestedAddress)
    return "an address cannot be asked for; remove the request";
  if (healthCheckNodePort !== undefined && !can.localPolicy) {
    return "spec.externalTrafficPolicy Local is not supported; use Cluster";
  }
  if (!can.withoutNodePorts && ports.some(({ nodePort }) => nodePort === undefined)) {
    return "spec.allocateLoadBalancerNodePorts: node ports are needed; set it to true";
  }
  return undefined;
}

function httpRefusal({ rules, certificates }: HttpExposure, { http: can }: Capabilities): string | undefined {
  if (!can) return "spec.ingressClassName: Ingresses are not supported; use another class";
  if (certificates.length > 0 && !can.tls) return "spec.tls is not supported; remove it";
  const exact = rules.find(({ match }) => match === "Exact");
  if (exact && !can.exactPaths) {
    return `spec.rules: pathType Exact (${exact.path}) is not supported; use Prefix`;
  }
  return undefined;
}
