import { isIPv4, isIPv6 } from "node:net";
import type { Protocol } from "../../services/index.ts";
import { ExplainError } from "../error.ts";

/** How a user names one end of a connection. */
export type Reference =
  | { readonly kind: "address"; readonly address: string }
  | { readonly kind: "pod" | "service"; readonly namespace: string; readonly name: string }
  | { readonly kind: "node"; readonly name: string }
  /** A name for DNS. */
  | { readonly kind: "name"; readonly name: string }
  /** Some client that is neither pod nor node. */
  | { readonly kind: "outside" };

/** The end a connection goes to. `port` may be the name of a Service's port; absent: the only one there is. */
export interface Target {
  readonly reference: Reference;
  readonly port?: number | string;
  readonly protocol?: Protocol;
}

const kinds: Readonly<Record<string, "pod" | "service" | "node">> = {
  pod: "pod",
  pods: "pod",
  po: "pod",
  service: "service",
  services: "service",
  svc: "service",
  node: "node",
  nodes: "node",
  no: "node",
};

const label = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/;
const hostname = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*\.?$/;

/**
 * Reads `10.0.0.7`, `pod/NAMESPACE/NAME`, `service/NAME`, `node/NAME`, `web.shop.svc` or `outside`. Where a namespace can be left
 * out it is `namespace`. Throws ExplainError BAD_REFERENCE.
 */
export function parseReference(text: string, namespace: string): Reference {
  const bare = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
  if (isIPv4(bare) || isIPv6(bare)) return { kind: "address", address: bare.toLowerCase() };
  if (text === "outside") return { kind: "outside" };
  const [first = "", ...rest] = text.split("/");
  const kind = kinds[first.toLowerCase()];
  if (rest.length > 0) {
    if (!kind) throw bad(text, `there is no kind ${JSON.stringify(first)} here`);
    if (!rest.every((part) => label.test(part))) throw bad(text, "a name has small letters, digits, '-' and '.'");
    const [a = "", b, ...more] = rest;
    if (more.length > 0 || (kind === "node" && b !== undefined)) throw bad(text, "there is a slash too many");
    if (kind === "node") return { kind, name: a };
    return b === undefined ? { kind, namespace, name: a } : { kind, namespace: a, name: b };
  }
  const lower = text.toLowerCase();
  if (!hostname.test(lower)) throw bad(text, "it is no address, no object and no name");
  return { kind: "name", name: lower.replace(/\.$/, "") };
}

/** Reads `DESTINATION[:PORT][/PROTOCOL]`. Throws ExplainError BAD_REFERENCE. */
export function parseTarget(text: string, namespace: string): Target {
  const { rest, protocol } = withoutProtocol(text);
  // A bare IPv6 address has colons of its own; with a port it has to be in brackets.
  const split = isIPv6(rest) ? undefined : /^(?<where>.*):(?<port>[^:/\]]*)$/.exec(rest)?.groups;
  const reference = parseReference(split?.["where"] ?? rest, namespace);
  const port = split?.["port"];
  return {
    reference,
    ...(port === undefined ? {} : { port: parsePort(port, text) }),
    ...(protocol ? { protocol } : {}),
  };
}

function withoutProtocol(text: string): { rest: string; protocol?: Protocol } {
  const found = /^(.*)\/(tcp|udp|sctp)$/i.exec(text);
  if (!found) return { rest: text };
  const [, rest = "", name = ""] = found;
  // `service/tcp` and `service/shop/tcp` are Services called tcp.
  const parts = rest.split("/");
  if (kinds[parts[0]?.toLowerCase() ?? ""] && parts.length < 3 && !rest.includes(":")) return { rest: text };
  return { rest, protocol: name.toUpperCase() as Protocol };
}

function parsePort(port: string, text: string): number | string {
  if (/^[0-9]+$/.test(port)) {
    const number = Number(port);
    if (number < 1 || number > 65_535) throw bad(text, `${port} is no port`);
    return number;
  }
  if (!/^[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?$/.test(port)) throw bad(text, `${JSON.stringify(port)} is no port`);
  return port;
}

function bad(text: string, why: string): ExplainError {
  return new ExplainError(
    "BAD_REFERENCE",
    `${JSON.stringify(text)} cannot be read: ${why}`,
    "give an address, pod/NAMESPACE/NAME, service/NAMESPACE/NAME, node/NAME or a DNS name, with :PORT where it is the destination",
  );
}
