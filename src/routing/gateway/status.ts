import { setCondition } from "../../kube/index.ts";
import { no, observed, yes } from "./conditions.ts";
import { holderKey, type ListenerEntry } from "./listeners.ts";
import { type GatewayReport, listenerName } from "./translate.ts";
import {
  type GatewayAddress,
  type GatewayCondition,
  gatewayGroup,
  type GatewayStatus,
  type ListenerSet,
  type ListenerStatus,
  type ParentRef,
} from "./types.ts";
import { keyOf } from "../../kube/index.ts";

/** What the data plane and the network say of a Gateway. */
export interface Confirmation {
  /** A port of the model is open and serves. Otherwise why not; `undefined` while nobody knows. */
  readonly listener: (name: string) => true | string | undefined;
  readonly addresses: readonly GatewayAddress[];
  /** Why an address that is asked for cannot be had. */
  readonly addressProblem?: string;
}

/** The status of a Gateway (GatewayStatus). `before` keeps the times of conditions that stay as they are. */
export function gatewayStatus(
  report: GatewayReport,
  confirmation: Confirmation,
  before: GatewayStatus | undefined,
  now: string,
): GatewayStatus {
  const { gateway, listeners, accepted, resolved, insecure } = report;
  const { generation } = gateway.metadata;
  const entries = listeners.own.map((entry) =>
    listenerStatus(report, entry, confirmation, generation, before?.listeners, now),
  );
  const attached = listeners.sets.filter(
    ({ allowed, entries: of }) => allowed && of.some(({ usable }) => usable),
  ).length;
  const programmed = gatewayProgrammed(report, confirmation);
  const conditions = [
    accepted,
    programmed,
    resolved,
    ...(insecure
      ? [
          yes(
            "InsecureFrontendValidationMode",
            "ConfigurationChanged",
            "clients without a valid certificate are let in",
          ),
        ]
      : []),
  ];
  return {
    addresses: accepted.status === "True" ? confirmation.addresses : [],
    attachedListenerSets: attached,
    conditions: timed(observed(conditions, generation), before?.conditions, now),
    listeners: entries,
  };
}

function gatewayProgrammed(
  report: GatewayReport,
  { listener, addresses, addressProblem }: Confirmation,
): GatewayCondition {
  const { accepted, ports } = report;
  if (accepted.status !== "True") return no("Programmed", "Invalid", accepted.message);
  if (addressProblem !== undefined) return no("Programmed", "AddressNotUsable", addressProblem);
  if (ports.length === 0) return no("Programmed", "Invalid", "no listener can be served");
  if (addresses.length === 0) return no("Programmed", "AddressNotAssigned", "there is no address yet");
  const states = ports.map(({ listener: name }) => listener(name));
  if (states.includes(true)) return yes("Programmed");
  const failed = states.find((state) => typeof state === "string");
  return failed === undefined
    ? no("Programmed", "Pending", "the data plane has not confirmed it yet")
    : no("Programmed", "NoResources", failed);
}

function listenerStatus(
  report: GatewayReport,
  entry: ListenerEntry,
  { listener }: Confirmation,
  generation: number | undefined,
  before: readonly ListenerStatus[] | undefined,
  now: string,
): ListenerStatus {
  const { spec, accepted, resolved, conflicted, usable, transport, kinds, attached } = entry;
  const state = usable ? listener(listenerName(keyOf(report.gateway), transport, spec.port)) : undefined;
  const programmed = usable
    ? state === true
      ? yes("Programmed")
      : no(
          "Programmed",
          state === undefined ? "Pending" : "PortUnavailable",
          state ?? "the data plane has not confirmed it yet",
        )
    : conflicted.status === "True"
      ? no("Programmed", conflicted.reason, conflicted.message)
      : no("Programmed", "Invalid", accepted.status === "True" ? resolved.message : accepted.message);
  const old = before?.find(({ name }) => name === spec.name);
  return {
    name: spec.name,
    supportedKinds: kinds.map((kind) => ({ group: gatewayGroup, kind })),
    attachedRoutes: attached,
    conditions: timed(observed([accepted, programmed, resolved, conflicted], generation), old?.conditions, now),
  };
}

/** The status of a ListenerSet (ListenerSetStatus). */
export function listenerSetStatus(
  report: GatewayReport,
  set: ListenerSet,
  confirmation: Confirmation,
  now: string,
): NonNullable<ListenerSet["status"]> {
  const { generation } = set.metadata;
  const reading = report.listeners.sets.find((each) => holderKey(each.set) === holderKey(set));
  const before = set.status;
  if (!reading?.allowed) {
    const message = `Gateway ${keyOf(report.gateway)} does not take this ListenerSet (spec.allowedListeners)`;
    const conditions = [no("Accepted", "NotAllowed", message), no("Programmed", "NotAllowed", message)];
    return { conditions: timed(observed(conditions, generation), before?.conditions, now), listeners: [] };
  }
  const listeners = reading.entries.map((entry) =>
    listenerStatus(report, entry, confirmation, generation, before?.listeners, now),
  );
  const bad = reading.entries.filter(({ usable }) => !usable);
  const message = bad
    .map(({ spec, accepted, resolved }) => `listener ${spec.name}: ${accepted.message || resolved.message}`)
    .join("; ");
  const refused = report.accepted.status !== "True" && report.accepted.reason !== "ListenersNotValid";
  const none = bad.length === reading.entries.length;
  const anyProgrammed = listeners.some(({ conditions }) =>
    conditions.some(({ type, status }) => type === "Programmed" && status === "True"),
  );
  const accepted = refused
    ? no("Accepted", "ParentNotAccepted", report.accepted.message)
    : none
      ? no("Accepted", "ListenersNotValid", message)
      : bad.length > 0
        ? { ...yes("Accepted", "ListenersNotValid"), message }
        : yes("Accepted");
  const programmed =
    accepted.status !== "True"
      ? no("Programmed", accepted.reason, accepted.message)
      : anyProgrammed && confirmation.addresses.length > 0
        ? yes("Programmed")
        : no("Programmed", "Pending", "the data plane has not confirmed it yet");
  return { conditions: timed(observed([accepted, programmed], generation), before?.conditions, now), listeners };
}

/** Conditions with the times of those before that had the same status. */
export function timed(
  conditions: readonly GatewayCondition[],
  before: readonly GatewayCondition[] | undefined,
  now: string,
): GatewayCondition[] {
  return conditions.map((condition) => {
    const old = before?.filter(({ type }) => type === condition.type);
    const [merged] = setCondition<Writable>(old, condition, now);
    return merged ?? condition;
  });
}

type Writable = { -readonly [Key in keyof GatewayCondition]: GatewayCondition[Key] };

/** The same reference: what is left out is what it stands for. */
export function sameParent(a: ParentRef, b: ParentRef, namespace: string): boolean {
  const text = (ref: ParentRef): string =>
    JSON.stringify([
      ref.group ?? gatewayGroup,
      ref.kind ?? "Gateway",
      ref.namespace ?? namespace,
      ref.name,
      ref.sectionName ?? "",
      ref.port ?? 0,
    ]);
  return text(a) === text(b);
}

/**
 * Entries of a status that several controllers write into: those of others stay as they are, ours take the place of ours.
 * Times of conditions that stay as they are stay too.
 */
export function mergeEntries<
  T extends { readonly controllerName: string; readonly conditions: readonly GatewayCondition[] },
>(before: readonly T[], ours: readonly T[], controllerName: string, same: (a: T, b: T) => boolean, now: string): T[] {
  const others = before.filter((entry) => entry.controllerName !== controllerName);
  const own = before.filter((entry) => entry.controllerName === controllerName);
  return [
    ...others,
    ...ours.map((entry) => ({
      ...entry,
      conditions: timed(entry.conditions, own.find((old) => same(old, entry))?.conditions, now),
    })),
  ];
}
