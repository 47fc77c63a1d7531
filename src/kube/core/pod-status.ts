import type { Pod, PodSpec, PodStatus } from "../generated/types.ts";
import { validateIp } from "../validation/address.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { validateImmutable } from "../validation/metadata.ts";
import { parseIp } from "../values/ip.ts";
import { compareQuantities } from "../values/quantity.ts";

const qosResources = ["cpu", "memory"];

/** The quality-of-service class: Guaranteed when every container asks for all it may use, BestEffort when none asks for anything. */
export function qosClassOf(spec: PodSpec): "Guaranteed" | "Burstable" | "BestEffort" {
  const containers = [...(spec.initContainers ?? []), ...(spec.containers ?? [])];
  const amounts = containers.map(({ resources = {} }) => ({
    requests: counted(resources.requests),
    limits: counted(resources.limits),
  }));
  if (amounts.every(({ requests, limits }) => requests.size === 0 && limits.size === 0)) return "BestEffort";
  const guaranteed = amounts.every(({ requests, limits }) =>
    qosResources.every((name) => {
      const limit = limits.get(name);
      return limit !== undefined && compareQuantities(requests.get(name) ?? limit, limit) === 0;
    }),
  );
  return guaranteed ? "Guaranteed" : "Burstable";
}

function counted(amounts: Readonly<Record<string, string>> | undefined): Map<string, string> {
  const entries = Object.entries(amounts ?? {});
  return new Map(entries.filter(([name, amount]) => qosResources.includes(name) && compareQuantities(amount, "0") > 0));
}

/** The status of a Pod that was just created. */
export function firstPodStatus(spec: PodSpec): PodStatus {
  const status: PodStatus = { phase: "Pending", qosClass: qosClassOf(spec) };
  if (!spec.schedulingGates?.length) return status;
  const message = "Scheduling is blocked due to non-empty scheduling gates";
  return { ...status, conditions: [{ type: "PodScheduled", status: "False", reason: "SchedulingGated", message }] };
}

/** `podIP` and the first of `podIPs` are the same; a writer may know only one of them. */
export function alignPodIps(status: PodStatus | undefined): void {
  if (!status) return;
  if (status.podIP && status.podIPs?.[0]?.ip !== status.podIP) status.podIPs = [{ ip: status.podIP }];
  else if (!status.podIP && status.podIPs?.[0]) status.podIP = status.podIPs[0].ip;
}

/** Keeps what a write to the status may not change. */
export function preparePodStatus(pod: Pod, old: Pod): void {
  const qosClass = pod.status?.qosClass ?? old.status?.qosClass;
  pod.status = { ...pod.status, ...(qosClass === undefined ? {} : { qosClass }) };
  if (old.metadata.ownerReferences) pod.metadata.ownerReferences = old.metadata.ownerReferences;
  else delete pod.metadata.ownerReferences;
}

/** Faults of a write to the status, as `ValidatePodStatusUpdate`. */
export function* validatePodStatus({ status = {} }: Pod, old: Pod): Faults {
  const { hostIP = "", hostIPs = [], podIPs = [] } = status;
  yield* validateImmutable(status.qosClass, old.status?.qosClass, "status.qosClass");
  yield* validateIps(podIPs, old.status?.podIPs ?? [], "status.podIPs");
  const [first] = hostIPs;
  if (first && first.ip !== hostIP) yield fault.invalid("status.hostIPs[0].ip", first.ip, "must be equal to `hostIP`");
  yield* validateIps(hostIPs, old.status?.hostIPs ?? [], "status.hostIPs");
}

function* validateIps(ips: readonly { ip: string }[], old: readonly { ip: string }[], path: string): Faults {
  for (const [i, { ip }] of ips.entries()) {
    if (!old.some((known) => known.ip === ip)) yield* validateIp(ip, `${path}[${i}]`);
  }
  const families = new Set(ips.map(({ ip }) => parseIp(ip)?.family));
  if (families.size < ips.length) {
    yield fault.invalid(path, ips, "may specify no more than one IP for each IP family");
  }
}
