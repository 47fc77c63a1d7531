import type { Node, Pod } from "../kube/index.ts";
import { add, type Amounts, requestsOf } from "./resources.ts";

/** A node and what is on it, as the scheduler sees it at one moment. */
export interface NodeInfo {
  readonly node: Node;
  /** Pods that have not come to their end, those that are just being bound included, by uid. */
  readonly pods: ReadonlyMap<string, Pod>;
  /** Pods that others made room for here and that are not bound yet (`status.nominatedNodeName`), by uid. */
  readonly nominated: ReadonlyMap<string, Pod>;
  readonly allocatable: Amounts;
  readonly requested: Amounts;
}

/** A node as it would be with other pods on it. */
export interface NodeDraft extends NodeInfo {
  add(pod: Pod): void;
  remove(pod: Pod): void;
}

/** A copy to try things on. */
export function draftOf(info: NodeInfo): NodeDraft {
  const pods = new Map(info.pods);
  const requested = new Map(info.requested);
  return {
    ...info,
    pods,
    requested,
    add(pod) {
      pods.set(pod.metadata.uid ?? "", pod);
      add(requested, requestsOf(pod));
    },
    remove(pod) {
      if (pods.delete(pod.metadata.uid ?? "")) add(requested, requestsOf(pod), -1);
    },
  };
}

/** A port that a pod takes on its node. */
export interface HostPort {
  readonly protocol: string;
  /** "0.0.0.0": on all addresses. */
  readonly ip: string;
  readonly port: number;
}

export function hostPortsOf({ spec }: Pod): HostPort[] {
  const ports: HostPort[] = [];
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    for (const { hostPort, containerPort, hostIP, protocol = "TCP" } of container.ports ?? []) {
      const port = hostPort ?? (spec.hostNetwork ? containerPort : 0);
      if (port > 0) ports.push({ protocol, ip: hostIP || "0.0.0.0", port });
    }
  }
  return ports;
}

export const portsConflict = (a: HostPort, b: HostPort): boolean =>
  a.protocol === b.protocol && a.port === b.port && (a.ip === b.ip || a.ip === "0.0.0.0" || b.ip === "0.0.0.0");
