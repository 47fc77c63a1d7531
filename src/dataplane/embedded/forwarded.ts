import { isIP, isIPv6 } from "node:net";
import { addressSet, parseCidr } from "../../services/index.ts";

/** Addresses whose `X-Forwarded-*` headers are believed. */
export interface TrustedForwarders {
  has(address: string): boolean;
}

/** `cidrs` like `10.0.0.0/8` or single addresses. Throws `TypeError` for what is neither. */
export function trustedForwarders(cidrs: readonly string[]): TrustedForwarders {
  if (cidrs.length === 0) return { has: () => false };
  const parsed = cidrs.map((text) => {
    const cidr = parseCidr(text.includes("/") ? text : `${text}/${isIPv6(text) ? 128 : 32}`);
    if (!cidr) throw new TypeError(`${JSON.stringify(text)} is not a CIDR such as 10.0.0.0/8`);
    return cidr.text;
  });
  return addressSet(parsed);
}

/** What a backend is told about the client. */
export interface ForwardedFor {
  readonly for: string;
  readonly realIp: string;
  readonly proto: string;
  readonly host: string;
  readonly port: string;
}

export interface Arrival {
  /** Address of the peer, as the socket has it. */
  readonly peer: string;
  readonly protocol: "http" | "https";
  /** Host header as sent. */
  readonly host: string;
  /** Port that the client connected to. */
  readonly port: number;
  /** A header of the request that the peer sent. */
  readonly header: (name: string) => string | undefined;
}

const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/;

/**
 * The values of `X-Forwarded-For`, `X-Real-IP` and so on. From a peer that is not trusted nothing is taken over:
 * anyone can write these headers. A trusted peer's list is continued, and the client is its last untrusted address.
 */
export function forwardedFor(arrival: Arrival, trusted: TrustedForwarders): ForwardedFor {
  const peer = mapped.exec(arrival.peer)?.[1] ?? arrival.peer;
  const own = { proto: arrival.protocol, host: arrival.host, port: String(arrival.port) };
  if (!trusted.has(peer)) return { for: peer, realIp: peer, ...own };
  const before = arrival.header("x-forwarded-for");
  const hops = (before ?? "")
    .split(",")
    .map((hop) => hop.trim())
    .filter((hop) => isIP(hop) !== 0);
  const realIp = hops.findLast((hop) => !trusted.has(hop)) ?? hops[0] ?? peer;
  return {
    for: [...hops, peer].join(", "),
    realIp,
    proto: arrival.header("x-forwarded-proto") ?? own.proto,
    host: arrival.header("x-forwarded-host") ?? own.host,
    port: arrival.header("x-forwarded-port") ?? own.port,
  };
}
