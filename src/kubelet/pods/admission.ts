import { type Node, type Pod, qosClassOf } from "../../kube/index.ts";
import {
  allocatableOf,
  hostPortsOf,
  nodeAdmits,
  portsConflict,
  priorityOf,
  requestsOf,
} from "../../scheduler/index.ts";
import { isTerminal } from "./pod-view.ts";
import { sysctlFault } from "./sysctls.ts";

/** Why a node does not take a pod, as its status says it. */
export interface Rejection {
  readonly reason: string;
  readonly message: string;
}

/** What a node says to a pod that it has not begun with. */
export type Admission =
  | { readonly rejected: Rejection }
  /** It is taken when these pods have made room. */
  | { readonly evict: readonly Pod[] };

/** Pods from this priority on keep a cluster going (`system-cluster-critical`): the others make room for them. */
const critical = 2_000_000_000;

const admitted: Admission = { evict: [] };

/**
 * Whether the node takes a pod; `others` are those that it has begun with. Who binds pods without the scheduler is not asked by it: a pod that does
 * not fit is refused, as upstream's kubelet does. What began before is not asked again. `node` undefined: nothing is known of it yet.
 */
export function admit(pod: Pod, others: readonly Pod[], node: Node | undefined): Admission {
  if (pod.status?.startTime) return admitted;
  const present = others.filter((other) => other.metadata.uid !== pod.metadata.uid && !isTerminal(other));
  if (node && !nodeAdmits(pod, node)) {
    return rejected("NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector");
  }
  const fault = sysctlFault(pod);
  if (fault !== undefined) return rejected("SysctlForbidden", fault);
  const wanted = hostPortsOf(pod);
  const taken = present.flatMap(hostPortsOf);
  if (wanted.some((port) => taken.some((other) => portsConflict(port, other)))) {
    return rejected("NodePorts", "Predicate NodePorts failed");
  }
  const lacking = node ? lackingOf(pod, present, node) : [];
  const [first] = lacking;
  if (!first) return admitted;
  const victims = priorityOf(pod) >= critical ? victimsFor(pod, present, lacking) : undefined;
  if (victims) return { evict: victims };
  const { name, asked, used, all } = first;
  const amounts = `requested: ${asked}, used: ${used}, capacity: ${all}`;
  return rejected(`OutOf${name}`, `Node didn't have enough resource: ${name}, ${amounts}`);
}

const rejected = (reason: string, message: string): Admission => ({
  rejected: { reason, message: `Pod was rejected: ${message}` },
});

/** A resource that there is too little of: thousandths of a core, bytes, pods. */
interface Lacking {
  readonly name: string;
  readonly asked: number;
  readonly used: number;
  readonly all: number;
}

/** What a pod takes of a resource; of the node's places one. */
const amountOf = (pod: Pod, name: string): number => (name === "pods" ? 1 : (requestsOf(pod).get(name) ?? 0));

function lackingOf(pod: Pod, present: readonly Pod[], node: Node): Lacking[] {
  const allocatable = allocatableOf(node);
  return ["pods", ...requestsOf(pod).keys()].flatMap((name) => {
    const all = allocatable.get(name) ?? 0;
    const asked = amountOf(pod, name);
    const used = present.reduce((sum, other) => sum + amountOf(other, name), 0);
    return asked > 0 && used + asked > all ? [{ name, asked, used, all }] : [];
  });
}

const qualities = ["BestEffort", "Burstable", "Guaranteed"];

/** The pods of lower priority that must end for a critical one, as few of the better ones as will do; undefined: all are too few. */
function victimsFor(pod: Pod, present: readonly Pod[], lacking: readonly Lacking[]): readonly Pod[] | undefined {
  const quality = ({ spec }: Pod): number => qualities.indexOf(qosClassOf(spec));
  const lower = present
    .filter((other) => priorityOf(other) < priorityOf(pod))
    .sort((a, b) => quality(b) - quality(a) || priorityOf(b) - priorityOf(a));
  const isEnough = (victims: readonly Pod[]): boolean =>
    lacking.every(({ name, asked, used, all }) => {
      const freed = victims.reduce((sum, other) => sum + amountOf(other, name), 0);
      return used - freed + asked <= all;
    });
  if (!isEnough(lower)) return undefined;
  return lower.reduce<readonly Pod[]>((victims, other) => {
    const without = victims.filter((one) => one !== other);
    return isEnough(without) ? without : victims;
  }, lower);
}
