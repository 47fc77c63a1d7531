import type { InspectKeyPair, Translation } from "../../routing/index.ts";
import type { EndpointSlice, Pod, Secret, Service, ServicePort } from "../../kube/index.ts";
import type { FrontendState } from "../../proxy/index.ts";
import type { ServiceEndpoint } from "../../services/index.ts";
import type { Cluster } from "../cluster.ts";
import type { GatewayView } from "../gateway-faults.ts";
import type { AnnouncementOf } from "../held.ts";
import type { NodeFacts } from "./node-facts.ts";

/** Something that keeps traffic from where it should go, or will. */
export interface Finding {
  /** error: something does not work now; warning: it works less than it seems, or not for long. */
  readonly severity: "error" | "warning";
  /** Code of the check: stable. */
  readonly check: string;
  /** `Service shop/web`. */
  readonly object: string;
  /** Path from the root of the object; "" for the object as a whole. */
  readonly field: string;
  readonly problem: string;
  /** What was seen, a line each. */
  readonly evidence: readonly string[];
  readonly remedy: string;
}

/** A finding as a check makes it: the check's code is added by who runs it. */
export type Found = Omit<Finding, "check">;

/** One thing that is looked for. Pure: the facts in, what is wrong out. */
export interface Check {
  readonly code: string;
  /** What it looks for, in one line. */
  readonly about: string;
  /** What it reads. */
  readonly reads: string;
  run(facts: Facts): Iterable<Found>;
}

/** A Service with what follows from it, worked out once for all checks. */
export interface ServiceView {
  readonly service: Service;
  /** `namespace/name`. */
  readonly key: string;
  /** `Service namespace/name`. */
  readonly object: string;
  /** Pods that its selector selects; those that have ended are left out. */
  readonly pods: readonly Pod[];
  readonly slices: readonly EndpointSlice[];
  readonly ports: readonly { readonly port: ServicePort; readonly endpoints: readonly ServiceEndpoint[] }[];
  /** Endpoints that take new connections. */
  readonly ready: readonly ServiceEndpoint[];
}

/** Everything that checks look at. */
export interface Facts {
  readonly cluster: Cluster;
  readonly services: readonly ServiceView[];
  readonly routing: Translation;
  /** Absent: the cluster has none of the Gateway API's objects. */
  readonly gateways?: GatewayView;
  readonly announcement: AnnouncementOf;
  readonly secret: (key: string) => Secret | undefined;
  readonly inspect: InspectKeyPair;
  /** Services that answer elsewhere than asked for, or not at all, as a node's proxy has it. */
  readonly frontends: readonly FrontendState[];
  /** What nodes on this machine are like; empty where nothing could be looked at. */
  readonly nodes: readonly NodeFacts[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** `a, b, c and 4 more`. */
export function some(names: readonly string[], most = 4): string {
  if (names.length <= most) return names.join(", ");
  return `${names.slice(0, most).join(", ")} and ${names.length - most} more`;
}
