import type { Node, NodeCondition, NodeStatus } from "../../kube/index.ts";
import { timeOf } from "../pods/container-status.ts";

/** What is known of the machine. */
export interface Machine {
  readonly cpus: number;
  /** Bytes. */
  readonly memory: number;
  /** Bytes, of the file system that holds the pods. */
  readonly storage: number;
  /** Bytes free in memory and on that file system. */
  readonly freeMemory: number;
  readonly freeStorage: number;
  readonly os: string;
  readonly architecture: string;
  readonly kernel: string;
  readonly osImage: string;
  readonly machineId: string;
  readonly bootId: string;
}

export interface NodeFacts {
  readonly name: string;
  /** InternalIPs, the primary one first. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly runtimeVersion: string;
  readonly machine: Machine;
  /** Undefined when pods can be run; else why not. */
  readonly notReady: string | undefined;
  readonly now: number;
}

export const kubeletVersion = "v1.35.0+fairlead";
export const maxPods = 110;

/** Node.status as this kubelet sees it. Conditions of others stay; a transition time moves only with its status. */
export function nodeStatus(old: Node | undefined, facts: NodeFacts): NodeStatus {
  const { machine } = facts;
  const capacity = {
    cpu: String(machine.cpus),
    memory: `${Math.floor(machine.memory / 1024)}Ki`,
    "ephemeral-storage": `${Math.floor(machine.storage / 1024)}Ki`,
    pods: String(maxPods),
  };
  return {
    addresses: [
      ...facts.addresses.map((address) => ({ type: "InternalIP", address })),
      { type: "Hostname", address: facts.name },
    ],
    capacity,
    allocatable: capacity,
    conditions: conditionsOf(old, facts),
    daemonEndpoints: { kubeletEndpoint: { Port: facts.port } },
    nodeInfo: {
      architecture: machine.architecture,
      bootID: machine.bootId,
      containerRuntimeVersion: facts.runtimeVersion,
      kernelVersion: machine.kernel,
      kubeProxyVersion: "",
      kubeletVersion,
      machineID: machine.machineId,
      operatingSystem: machine.os,
      osImage: machine.osImage,
      systemUUID: machine.machineId,
    },
  };
}

/** The kubelet's usual eviction thresholds: under them it reports pressure. */
const leastMemory = 100 << 20;
const leastStorageShare = 0.1;

function conditionsOf(old: Node | undefined, { machine, notReady, now }: NodeFacts): NodeCondition[] {
  const memory = machine.freeMemory < leastMemory;
  const disk = machine.storage > 0 && machine.freeStorage < machine.storage * leastStorageShare;
  const own: [string, boolean, string, string][] = [
    memory
      ? ["MemoryPressure", true, "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"]
      : ["MemoryPressure", false, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"],
    disk
      ? ["DiskPressure", true, "KubeletHasDiskPressure", "kubelet has disk pressure"]
      : ["DiskPressure", false, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"],
    ["PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available"],
    notReady === undefined
      ? ["Ready", true, "KubeletReady", "kubelet is posting ready status"]
      : ["Ready", false, "KubeletNotReady", notReady],
  ];
  const before = old?.status?.conditions ?? [];
  const conditions = own.map(([type, verdict, reason, message]): NodeCondition => {
    const status = verdict ? "True" : "False";
    const known = before.find((condition) => condition.type === type);
    const since = known?.status === status ? known.lastTransitionTime : undefined;
    return {
      type,
      status,
      reason,
      message,
      lastHeartbeatTime: timeOf(now),
      lastTransitionTime: since ?? timeOf(now),
    };
  });
  return [...before.filter(({ type }) => !own.some(([name]) => name === type)), ...conditions];
}
