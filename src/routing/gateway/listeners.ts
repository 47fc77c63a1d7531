import { keyOf, type KubeObject, matchesLabels } from "../../kube/index.ts";
import { isProvedByTls } from "../challenge.ts";
import type { Certificate, ClientValidation, ListenerProtocol, Owner } from "../model.ts";
import { oldestFirst, refOf } from "../owner.ts";
import { no, type RefFault, resolvedRefs, yes } from "./conditions.ts";
import { readAuthorities, readCertificate, type References } from "./references.ts";
import {
  type FrontendValidation,
  type Gateway,
  type GatewayCondition,
  gatewayGroup,
  type ListenerSet,
  type ListenerSpec,
  type RouteKind,
  type RouteKindName,
} from "./types.ts";

/** One listener of a Gateway or of a ListenerSet, as it is understood. */
export interface ListenerEntry {
  readonly spec: ListenerSpec;
  /** The Gateway or ListenerSet that has it. */
  readonly holder: KubeObject;
  readonly owner: Owner;
  /** "" for any. */
  readonly hostname: string;
  readonly transport: "TCP" | "UDP";
  readonly kinds: readonly RouteKindName[];
  readonly certificates: readonly Certificate[];
  readonly clients?: ClientValidation;
  readonly accepted: GatewayCondition;
  readonly resolved: GatewayCondition;
  readonly conflicted: GatewayCondition;
  /** It ends TLS on the port that authorities ask (RFC 8737 section 3), and its holder wants its names to be proved by TLS-ALPN-01. */
  readonly proved: boolean;
  /** It can be served. */
  readonly usable: boolean;
  /** Routes that are attached, and accepted. */
  attached: number;
}

export interface ListenerSetReading {
  readonly set: ListenerSet;
  /** The Gateway takes it. */
  readonly allowed: boolean;
  readonly entries: readonly ListenerEntry[];
}

/** All listeners of a Gateway. */
export interface GatewayListeners {
  readonly own: readonly ListenerEntry[];
  readonly sets: readonly ListenerSetReading[];
}

const kindsOf: Readonly<Record<string, readonly RouteKindName[]>> = {
  HTTP: ["HTTPRoute", "GRPCRoute"],
  HTTPS: ["HTTPRoute", "GRPCRoute"],
  TLS: ["TLSRoute"],
  TCP: ["TCPRoute"],
  UDP: ["UDPRoute"],
};

export interface ListenerInput extends References {
  readonly namespaceLabels: (name: string) => Readonly<Record<string, string>> | undefined;
  /** Protocols that the data plane can do. */
  readonly protocols: ReadonlySet<string>;
  /** It can end TLS on one server name of a port and pass it through on another. */
  readonly mixedTls: boolean;
  /** It can end the TLS of listeners for TLS, and not only pass it through. Default: it can. */
  readonly endsTls?: boolean;
}

/** Reads the listeners of a Gateway and of the ListenerSets that name it, and settles who has which port and host name. */
export function readListeners(gateway: Gateway, sets: readonly ListenerSet[], input: ListenerInput): GatewayListeners {
  const drafts = (gateway.spec.listeners ?? []).map((spec, index) =>
    draftOf(spec, gateway, `spec.listeners[${index}]`, gateway, input),
  );
  const taken = new Map<string, Draft[]>();
  const conflicts = new Map<Draft, GatewayCondition>();
  const portOf = (draft: Draft): string => `${draft.transport} ${draft.spec.port}`;

  // Of a Gateway's own listeners nobody comes first: all that conflict with each other are out.
  for (const draft of drafts) {
    if (draft.accepted.status !== "True" && draft.accepted.reason === "UnsupportedProtocol") continue;
    const others = drafts.filter((other) => other !== draft && portOf(other) === portOf(draft));
    const conflict = conflictWith(draft, others, input.mixedTls);
    if (conflict) conflicts.set(draft, conflict);
  }
  for (const draft of drafts) if (!conflicts.has(draft)) take(draft);

  // ListenerSets come after it, the oldest first; who comes first keeps what it has.
  const readings = oldestFirst(sets).map((set) => {
    const allowed = isAllowed(gateway, set, input);
    const entries = set.spec.listeners.map((spec, index) =>
      draftOf(spec, set, `spec.listeners[${index}]`, gateway, input),
    );
    if (allowed)
      for (const draft of entries) {
        const conflict = conflictWith(draft, taken.get(portOf(draft)) ?? [], input.mixedTls);
        if (conflict) conflicts.set(draft, conflict);
        else take(draft);
      }
    return { set, allowed, entries };
  });

  return {
    own: drafts.map(finish),
    sets: readings.map(({ set, allowed, entries }) => ({ set, allowed, entries: entries.map(finish) })),
  };

  function take(draft: Draft): void {
    const list = taken.get(portOf(draft));
    if (list) list.push(draft);
    else taken.set(portOf(draft), [draft]);
  }

  function finish(draft: Draft): ListenerEntry {
    const conflict = conflicts.get(draft);
    // A protocol that is not served here and has no place on this port either: the port is what can be changed.
    const replaceable = draft.accepted.status === "True" || draft.accepted.reason === "UnsupportedProtocol";
    const accepted = conflict && replaceable ? no("Accepted", conflict.reason, conflict.message) : draft.accepted;
    return {
      ...draft,
      accepted,
      conflicted: conflict ?? no("Conflicted", "NoConflicts", ""),
      usable: accepted.status === "True" && draft.servable,
      attached: 0,
    };
  }
}

interface Draft extends Omit<ListenerEntry, "conflicted" | "usable" | "attached"> {
  /** Certificates and all are there. */
  readonly servable: boolean;
}

/** Which listeners can share a port: those of one family, each with its own host name. */
function familyOf({ spec }: Draft): string {
  return spec.protocol === "HTTPS" ? "TLS" : spec.protocol;
}

function conflictWith(draft: Draft, others: readonly Draft[], mixedTls: boolean): GatewayCondition | undefined {
  const conflicted = (reason: string, message: string): GatewayCondition => ({
    ...yes("Conflicted", reason, message),
  });
  const { port, protocol } = draft.spec;
  const stranger = others.find((other) => familyOf(other) !== familyOf(draft));
  if (stranger)
    return conflicted(
      "ProtocolConflict",
      `port ${port} is ${stranger.spec.protocol} for ${nameOf(stranger)}, not ${protocol}`,
    );
  if (!mixedTls && protocol === "TLS") {
    const other = others.find((each) => each.spec.protocol === "TLS" && modeOf(each) !== modeOf(draft));
    if (other) return conflicted("ProtocolConflict", `on port ${port} TLS is ${modeOf(other)} for ${nameOf(other)}`);
  }
  const twin = others.find((other) => other.hostname === draft.hostname);
  return (
    twin &&
    conflicted("HostnameConflict", `port ${port} and host name ${draft.hostname || "*"} belong to ${nameOf(twin)}`)
  );
}

const modeOf = ({ spec }: Draft): string => spec.tls?.mode ?? "Terminate";
const nameOf = ({ spec, holder }: Draft): string => `listener ${spec.name} of ${holder.kind} ${holder.metadata.name}`;

function isAllowed(gateway: Gateway, set: ListenerSet, input: ListenerInput): boolean {
  const { from = "None", selector } = gateway.spec.allowedListeners?.namespaces ?? {};
  const namespace = set.metadata.namespace ?? "";
  if (from === "All") return true;
  if (from === "Same") return namespace === gateway.metadata.namespace;
  return from === "Selector" && matchesLabels(selector, input.namespaceLabels(namespace) ?? {});
}

function draftOf(spec: ListenerSpec, holder: KubeObject, field: string, gateway: Gateway, input: ListenerInput): Draft {
  const owner: Owner = { object: refOf(holder), field };
  const referrer = { kind: holder.kind, namespace: holder.metadata.namespace ?? "" };
  const faults: RefFault[] = [];
  const supported = input.protocols.has(spec.protocol) ? (kindsOf[spec.protocol] ?? []) : [];
  const asked = spec.allowedRoutes?.kinds ?? [];
  const kinds = asked.length === 0 ? supported : supported.filter((kind) => asked.some((each) => isKind(each, kind)));
  const strange = asked.filter((each) => !supported.some((kind) => isKind(each, kind)));
  for (const { kind } of strange)
    faults.push({
      reason: "InvalidRouteKinds",
      message: `${kind} cannot be attached to a listener for ${spec.protocol}`,
    });

  const certificates: Certificate[] = [];
  const terminates =
    spec.protocol === "HTTPS" || (spec.protocol === "TLS" && (spec.tls?.mode ?? "Terminate") === "Terminate");
  if (terminates) {
    const refs = spec.tls?.certificateRefs ?? [];
    if (refs.length === 0)
      faults.push({ reason: "InvalidCertificateRef", message: `${field}.tls has no certificateRefs` });
    for (const [index, ref] of refs.entries()) {
      const found = readCertificate(input, referrer, ref, {
        ...owner,
        field: `${field}.tls.certificateRefs[${index}]`,
      });
      if ("reason" in found) faults.push(found);
      else certificates.push(found);
    }
  }
  const validation = spec.protocol === "HTTPS" ? validationFor(gateway, spec.port) : undefined;
  const clients = validation && readClients(gateway, validation, input);
  if (clients) faults.push(...clients.faults);

  const hasHost = spec.protocol !== "TCP" && spec.protocol !== "UDP";
  const onlyPassed = spec.protocol === "TLS" && terminates && input.endsTls === false;
  const accepted = !input.protocols.has(spec.protocol)
    ? no("Accepted", "UnsupportedProtocol", `protocol ${spec.protocol} is not supported`)
    : onlyPassed
      ? no("Accepted", "UnsupportedValue", `${field}.tls.mode Terminate is not supported for TLS: use Passthrough`)
      : clients && !clients.validation
        ? no("Accepted", "NoValidCACertificate", clients.faults.map(({ message }) => message).join("; "))
        : yes("Accepted");
  return {
    spec,
    holder,
    owner,
    hostname: hasHost ? (spec.hostname ?? "").toLowerCase() : "",
    transport: spec.protocol === "UDP" ? "UDP" : "TCP",
    kinds: onlyPassed ? [] : kinds,
    certificates,
    ...(clients?.validation ? { clients: clients.validation } : {}),
    accepted,
    resolved: resolvedRefs(faults),
    proved: terminates && spec.port === 443 && isProvedByTls(holder),
    servable: !terminates || certificates.length > 0,
  };
}

const isKind = ({ group = gatewayGroup, kind }: RouteKind, name: RouteKindName): boolean =>
  group === gatewayGroup && kind === name;

function validationFor({ spec }: Gateway, port: number): { spec: FrontendValidation; field: string } | undefined {
  const { default: standard, perPort = [] } = spec.tls?.frontend ?? {};
  const index = perPort.findIndex((each) => each.port === port);
  const own = perPort[index];
  const found = own ? own.tls.validation : standard?.validation;
  const where = own ? `perPort[${index}].tls` : "default";
  return found && { spec: found, field: `spec.tls.frontend.${where}.validation` };
}

function readClients(
  gateway: Gateway,
  { spec, field }: { spec: FrontendValidation; field: string },
  input: ListenerInput,
): { validation?: ClientValidation; faults: readonly RefFault[] } {
  const referrer = { kind: "Gateway", namespace: gateway.metadata.namespace ?? "" };
  const reasons = { kind: "InvalidCACertificateKind", ref: "InvalidCACertificateRef" };
  const { pem, faults } = readAuthorities(
    input,
    referrer,
    spec.caCertificateRefs,
    `${field}.caCertificateRefs`,
    reasons,
  );
  if (pem === "") return { faults };
  return { validation: { mode: spec.mode ?? "AllowValidOnly", authorities: pem }, faults };
}

/** Protocol of a port in the model, from the listeners that share it. */
export function protocolOf(entries: readonly ListenerEntry[]): ListenerProtocol {
  const protocols = new Set(entries.map(({ spec }) => spec.protocol));
  if (protocols.has("TLS")) return "TLS";
  const [only] = protocols;
  return only as ListenerProtocol;
}

/** `Gateway ns/name` or `ListenerSet ns/name`. */
export const holderKey = (holder: KubeObject): string => `${holder.kind} ${keyOf(holder)}`;
