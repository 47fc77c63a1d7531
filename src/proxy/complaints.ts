import type { EventRecorder } from "../client/index.ts";
import type { Service } from "../kube/index.ts";
import { ignoredFields, livesOnLoopback, type NodePlan, type ProxyContext } from "../services/index.ts";
import type { FrontendState, ProxyMode } from "./backend.ts";
import { beyondMode } from "./mode-limits.ts";

/** Tells on a Service, by events, what of it is not served as asked for. The same is told once, until it has been otherwise. */
export interface Complaints {
  /** @param frontends of this Service that do not simply answer */
  update(
    key: string,
    service: Service | undefined,
    plan: NodePlan | undefined,
    frontends: readonly FrontendState[],
  ): void;
}

/** Events about one Service for one change of it; what is beyond is counted in the last. */
const mostAtOnce = 8;

interface Complaint {
  readonly reason: "FrontendConflict" | "FieldIgnored" | "FrontendNotServed";
  readonly message: string;
}

/** @param nodeName where the proxy runs: other nodes may serve what this one does not */
export function createComplaints(
  events: EventRecorder,
  nodeName: string,
  { context, mode }: { readonly context: () => ProxyContext; readonly mode: () => ProxyMode },
): Complaints {
  const told = new Map<string, string>();
  return {
    update(key, service, plan, frontends) {
      const complaints = service ? complaintsOf(service, plan, frontends, nodeName, livesOnLoopback(context())) : [];
      for (const message of beyondMode(plan, mode())) complaints.push({ reason: "FieldIgnored", message });
      const text = complaints.map(({ message }) => message).join("\n");
      if (text === (told.get(key) ?? "")) return;
      const before = new Set((told.get(key) ?? "").split("\n"));
      if (text === "") told.delete(key);
      else told.set(key, text);
      if (!service) return;
      const fresh = complaints.filter(({ message }) => !before.has(message));
      for (const { reason, message } of fresh.slice(0, mostAtOnce)) events.event(service, "Warning", reason, message);
      const more = fresh.length - mostAtOnce;
      if (more > 0)
        events.event(service, "Warning", "FieldIgnored", `and ${more} more that are not served as asked for`);
    },
  };
}

function complaintsOf(
  service: Service,
  plan: NodePlan | undefined,
  frontends: readonly FrontendState[],
  nodeName: string,
  allowLoopback: boolean,
): Complaint[] {
  const complaints: Complaint[] = [];
  const conflicts = plan?.conflicts ?? [];
  for (const { frontend, winner, reason } of conflicts) {
    const { address = "NodePort", port, protocol, field } = frontend;
    const remedy = frontend.kind === "NodePort" ? "take another nodePort" : "take another address or port";
    complaints.push({
      reason: "FrontendConflict",
      message: `${field}: ${address} ${port}/${protocol} is answered for Service ${winner}, not for this one: ${reason}; ${remedy}`,
    });
  }
  for (const { field, reason } of ignoredFields(service, allowLoopback))
    complaints.push({ reason: "FieldIgnored", message: `${field} is left out: ${reason}` });
  const contested = new Set(conflicts.map(({ frontend }) => placeOf(frontend)));
  for (const state of frontends) {
    if (state.problem === undefined || contested.has(placeOf(state))) continue;
    const where = state.address ?? "NodePort";
    complaints.push({
      reason: "FrontendNotServed",
      message: `node ${nodeName} does not answer at ${where} ${state.port}/${state.protocol}: ${state.problem}`,
    });
  }
  return complaints;
}

function placeOf({
  kind,
  address,
  port,
  protocol,
}: Pick<FrontendState, "kind" | "address" | "port" | "protocol">): string {
  return `${kind} ${address ?? ""} ${port} ${protocol}`;
}
