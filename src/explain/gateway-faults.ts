import {
  type Gateway,
  type GatewayCondition,
  type GatewayReport,
  type GatewayTranslation,
  type RouteReport,
} from "../routing/index.ts";
import type { GatewayObjects } from "./gateways.ts";

/** The Gateway API's objects at one moment, and what they mean. */
export interface GatewayView {
  readonly objects: GatewayObjects;
  readonly meaning: GatewayTranslation;
}

/** What keeps a Gateway or a route from being served as it asks. */
export interface GatewayFault {
  /** "" for the object as a whole. */
  readonly field: string;
  readonly problem: string;
  readonly remedy: string;
}

/** Addresses that a Gateway has. */
export const addressesOf = ({ status }: Gateway): string[] =>
  (status?.addresses ?? []).flatMap(({ value }) => (value === undefined ? [] : [value]));

const isFalse = ({ status }: GatewayCondition): boolean => status === "False";

/** The first cause first: of the objects themselves, then of what the data plane and the network have told. */
export function faultsOfGateway(gateway: Gateway, { accepted, listeners }: GatewayReport): GatewayFault[] {
  const faults: GatewayFault[] = [];
  if (isFalse(accepted) && accepted.reason !== "ListenersNotValid")
    faults.push({ field: "spec", problem: accepted.message, remedy: "correct the Gateway" });
  for (const { owner, accepted: taken, resolved, conflicted } of listeners.own) {
    const { field } = owner;
    if (conflicted.status === "True")
      faults.push({ field, problem: conflicted.message, remedy: "give each listener a port and host name of its own" });
    else if (isFalse(taken)) faults.push({ field, problem: taken.message, remedy: "correct the listener" });
    else if (isFalse(resolved))
      faults.push({ field, problem: resolved.message, remedy: "bring what it names, or a ReferenceGrant for it" });
  }
  const told = (conditions: readonly GatewayCondition[] = []): string | undefined =>
    conditions.find((condition) => condition.type === "Programmed" && isFalse(condition))?.message;
  if (addressesOf(gateway).length === 0) {
    const problem = told(gateway.status?.conditions) || "it has no address yet";
    faults.push({ field: "status.addresses", problem, remedy: "see what its Service of type LoadBalancer waits for" });
  } else if (faults.length === 0)
    for (const [i, { name, conditions }] of (gateway.status?.listeners ?? []).entries()) {
      const problem = told(conditions);
      const remedy = "see the log of what serves Gateways";
      if (problem !== undefined)
        faults.push({ field: `status.listeners[${i}]`, problem: `listener ${name}: ${problem}`, remedy });
    }
  return faults;
}

/** What a route's Gateways do not take of it, one for each parent at most. */
export function faultsOfRoute({ route, parents }: RouteReport): GatewayFault[] {
  return parents.flatMap(({ parentRef, conditions }): GatewayFault[] => {
    const index = (route.spec.parentRefs ?? []).findIndex(
      ({ name, sectionName, port }) =>
        name === parentRef.name && sectionName === parentRef.sectionName && port === parentRef.port,
    );
    const wrong = (type: string) => conditions.find((condition) => condition.type === type && isFalse(condition));
    const [accepted, resolved] = [wrong("Accepted"), wrong("ResolvedRefs")];
    const where = `at ${parentRef.name}`;
    if (accepted) {
      const field = `spec.parentRefs[${Math.max(0, index)}]`;
      return [{ field, problem: `${where}: ${accepted.message}`, remedy: "name a listener that takes it" }];
    }
    if (resolved) {
      const remedy = "bring what it names, or a ReferenceGrant for it";
      return [{ field: "spec.rules", problem: `${where}: ${resolved.message}`, remedy }];
    }
    return [];
  });
}
