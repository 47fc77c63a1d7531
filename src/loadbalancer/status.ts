import { formatTime, semanticEqual, setCondition, type Condition, type Service } from "../kube/index.ts";
import type { Assignment } from "./provider.ts";

export const assignedCondition = "fairlead.dev/AddressAssigned";

/** The Service with the status that an assignment gives it; the same object when it has that already. */
export function withAssignment(service: Service, { addresses, problem }: Assignment, now: number): Service {
  const ingress = addresses.map(({ ip, ipMode }) => ({ ip, ipMode }));
  const list = addresses.map(({ ip }) => ip).join(", ");
  const condition = {
    type: assignedCondition,
    status: addresses.length > 0 ? "True" : "False",
    reason: problem?.reason ?? "Assigned",
    message: problem ? `${problem.message}${list ? `; keeps ${list}` : ""}` : `has ${list}`,
  };
  const conditions = setCondition<Condition>(service.status?.conditions, condition, formatTime(now));
  return withStatus(service, ingress, conditions);
}

/** The Service with what it had given back; the same object when it says so already. */
export function withRelease(service: Service, now: number): Service {
  const condition = {
    type: assignedCondition,
    status: "False",
    reason: "Released",
    message: "the address was given back",
  };
  return withStatus(service, [], setCondition<Condition>(service.status?.conditions, condition, formatTime(now)));
}

/** The Service as if no address had ever been given. */
export function withoutCondition(service: Service): Service {
  const conditions = service.status?.conditions ?? [];
  return withStatus(
    service,
    [],
    conditions.filter((condition) => condition.type !== assignedCondition),
  );
}

type Ingress = { ip: string; ipMode: string }[];

function withStatus(service: Service, ingress: Ingress, conditions: readonly Condition[]): Service {
  const old = service.status?.loadBalancer?.ingress ?? [];
  if (semanticEqual(old, ingress) && semanticEqual(service.status?.conditions ?? [], conditions)) return service;
  const loadBalancer = ingress.length > 0 ? { ingress } : {};
  return { ...service, status: { ...service.status, loadBalancer, conditions: [...conditions] } };
}
