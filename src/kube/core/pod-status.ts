import type { PodSpec, PodStatus } from "../generated/types.ts";
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
