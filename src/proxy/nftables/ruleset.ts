import { clientSeed, type Family } from "../../services/index.ts";
import { logBurst, logGroup, logRate, logSize } from "../packet-log.ts";
import { chosen, endpointMask, hex, kindMask, kinds, localPool, masquerade, masqueradeBit, poolMask } from "./marks.ts";

/** How nft calls a family. */
export const familyName: Readonly<Record<Family, "ip" | "ip6">> = { IPv4: "ip", IPv6: "ip6" };

/** The table of a family that is ours; nothing outside these two is touched. */
export function tableOf(family: Family): string {
  return `${familyName[family]} fairlead`;
}

const pool = `meta mark & ${hex(poolMask)}`;
const poolAndEndpoint = `meta mark & ${hex(poolMask | endpointMask)}`;
/**
 * How a client of a pool is known for affinity. nft 1.0.6 ends with a failed assertion on keys of more than 16 bytes in rules that
 * add to a map, so an IPv6 client goes by 64 bits that are hashed from its address.
 */
const hashed = [0x7f4a_7c15, 0x2545_f491].map((seed) => `jhash ip6 saddr mod 4294967295 seed ${hex(seed)}`).join(" . ");
const clientKey: Readonly<Record<Family, string>> = {
  IPv4: `ip saddr . (${pool})`,
  IPv6: `(${pool}) . ${hashed}`,
};
const clientType: Readonly<Record<Family, string>> = {
  IPv4: "ip saddr . meta mark",
  IPv6: "meta mark . numgen random mod 65536 . numgen random mod 65536",
};

/** nft wants to know that there are ports before it translates to one. */
const translatable = "meta l4proto { tcp, udp, sctp }";
/** Clients remembered at once; a client beyond that gets an endpoint, but not surely the same again. */
const clients = 262_144;

/**
 * The program. It is the same for every configuration: what users configure is in its maps and sets only.
 *
 * `services` finds the frontend, `dispatch` applies the traffic policy, `choose` goes to the chain for the pool's size and
 * affinity, which rewrites the destination. `give-back` then restores the packet mark that others may have set.
 * Nat chains see only the first packet of a connection.
 */
function constant(family: Family): string {
  const ip = familyName[family];
  const [icmp, addressType, localhost] =
    family === "IPv4" ? ["icmp", "ipv4_addr", "127.0.0.0/8"] : ["icmpv6", "ipv6_addr", "::1"];
  return `
map frontends { typeof ${ip} daddr . meta l4proto . th dport : meta mark; }
map nodeports { typeof meta l4proto . th dport : meta mark; }
map pools { typeof meta mark : verdict; }
map slots { typeof meta mark . numgen random mod 65536 : ${ip} daddr . th dport; }
map ids { typeof meta mark . numgen random mod 65536 : meta mark; }
map endpoints { type mark : ${addressType} . inet_service; }
map affinity { typeof ${clientType[family]} : meta mark; size ${clients}; flags dynamic,timeout; }
map marks { typeof ct id : meta mark; size 65536; flags dynamic,timeout; timeout 2m; }
set ranges { typeof meta mark . ${ip} saddr; flags interval; }
set pods { typeof ${ip} saddr; flags interval; }
set unmasked { typeof ${ip} saddr; flags interval; }
set podlinks { type ifname; flags interval; }
set unmaskedlinks { type ifname; flags interval; }
set cidrs { typeof ${ip} daddr; flags interval; }
set nodes { typeof ${ip} daddr; flags interval; }
set vips { typeof ${ip} daddr; }
set hairpin { typeof ${ip} saddr . ${ip} daddr; }

chain refuse {
  meta l4proto tcp reject with tcp reset
  reject with ${icmp} type port-unreachable
}
chain choose {
  meta mark set meta mark | ${hex(chosen)}
  ${pool} vmap @pools
  drop
}
chain internal {
  ${ip} saddr @unmasked goto choose
  iifname @unmaskedlinks goto choose
  goto external
}
chain external {
  meta mark set meta mark | ${hex(masquerade)}
  goto choose
}
chain external-local {
  ${ip} saddr @pods goto choose
  iifname @podlinks goto choose
  fib saddr type local goto external
  meta mark set meta mark | ${hex(localPool)}
  goto choose
}
chain guarded {
  (meta mark & ${hex(kindMask | poolMask)}) . ${ip} saddr != @ranges drop
  meta mark & ${hex(kindMask)} vmap { ${hex(kinds.guardedExternal)} : goto external, ${hex(kinds.guardedLocal)} : goto external-local }
}
chain dispatch {
  meta mark & ${hex(kindMask)} vmap { ${hex(kinds.internal)} : goto internal, ${hex(kinds.external)} : goto external, ${hex(kinds.externalLocal)} : goto external-local, ${hex(kinds.guardedExternal)} : goto guarded, ${hex(kinds.guardedLocal)} : goto guarded }
}
chain address {
  meta mark != 0 update @marks { ct id : meta mark }
  meta mark set ${ip} daddr . meta l4proto . th dport map @frontends
  goto dispatch
}
chain nodeport {
  meta mark != 0 update @marks { ct id : meta mark }
  meta mark set meta l4proto . th dport map @nodeports
  goto dispatch
}
chain services {
  ${ip} daddr . meta l4proto . th dport @frontends goto address
  fib daddr type local ${ip} daddr != ${localhost} ${ip} daddr @nodes meta l4proto . th dport @nodeports goto nodeport
  ${ip} daddr @cidrs goto refuse
  ${translatable} ${ip} daddr @vips fib daddr type != local goto refuse
}
chain give-back {
  meta mark & ${hex(chosen)} != ${hex(chosen)} return
  ct status & dnat == 0 return
  ct state != new return
  meta mark & ${hex(masquerade)} != 0 goto give-back-masqueraded
  meta mark set 0
  meta mark set ct id map @marks
}
chain give-back-masqueraded {
  meta mark set 0
  meta mark set ct id map @marks
  meta mark set meta mark | ${hex(masqueradeBit)}
}
chain mask-source {
  meta mark set meta mark & ${hex(~masqueradeBit)}
  masquerade fully-random
}
chain nat-prerouting { type nat hook prerouting priority -100; goto services; }
chain nat-output { type nat hook output priority -100; goto services; }
chain after-prerouting { type filter hook prerouting priority -99; goto give-back; }
chain after-output { type filter hook output priority -99; goto give-back; }
chain nat-postrouting {
  type nat hook postrouting priority 100;
  meta mark & ${hex(masqueradeBit)} != 0 goto mask-source
  ct status & dnat != 0 ${ip} saddr . ${ip} daddr @hairpin masquerade fully-random
}
`;
}

/** Pools up to this size draw straight from `slots`, all others through `ids`. */
export const slotSizes = 64;

/** How a pool of `count` endpoints is drawn from. */
export interface Draw {
  /**
   * pick: from `slots`, up to `slotSizes`; spread: from `ids`; stick: from `ids`, and clients are remembered; hash: from `ids`, which has
   * a row for each of `count` buckets of client addresses.
   */
  readonly way: "pick" | "spread" | "stick" | "hash";
  readonly count: number;
  /** How long a client is remembered. */
  readonly seconds?: number;
}

/** Name of the chain that draws so; it serves all pools of that size. */
export function chainOf({ way, count, seconds }: Draw): string {
  return seconds === undefined ? `${way}-${count}` : `${way}-${count}-${seconds}`;
}

/**
 * The chains that draw so, to be added when the first pool of that size appears.
 *
 * Those for `pick` exist from the start: nft 1.0.6 refuses a rule with a map of type "th dport" that it has read back from the
 * kernel ("conflicting protocols"), and the key of `slots` can only be declared by typeof.
 */
export function drawChains(draw: Draw, family: Family): string {
  const name = chainOf(draw);
  // An element of ids replaces the whole mark, so the masquerade bit is set again where it is wanted.
  return (
    `chain ${name}-masqueraded {\n${body(draw, chosen | masquerade, family)}}\n` +
    `chain ${name} {\n  meta mark & ${hex(masquerade)} != 0 goto ${name}-masqueraded\n${body(draw, chosen, family)}}\n`
  );
}

function body({ way, count, seconds }: Draw, flags: number, family: Family): string {
  const ip = familyName[family];
  const index =
    way === "hash" ? `jhash ${ip} saddr mod ${count} seed ${hex(clientSeed)}` : `numgen random mod ${count}`;
  const draw = `meta mark set (${pool}) . ${index} map @ids`;
  const forward = `meta mark set meta mark | ${hex(flags)}\n  ${translatable} dnat ${ip} to ${poolAndEndpoint} map @endpoints`;
  if (seconds === undefined) return `  ${draw}\n  ${forward}\n  drop\n`;

  const client = clientKey[family];
  const remember = `update @affinity { ${client} timeout ${seconds}s : ${poolAndEndpoint} }`;
  // When the remembered endpoint is gone the first dnat finds no row, and the client is given another.
  return `  meta mark set ${client} map @affinity
  meta mark & ${hex(endpointMask)} == 0 ${draw}
  ${remember}
  ${forward}
  delete @affinity { ${client} : meta mark }
  ${draw}
  ${remember}
  ${forward}
  drop
`;
}

/** Name of the chain that tells of a packet and then does as `verdict` says: it is added when the first pool wants it. */
export function logChainOf(verdict: "refuse" | "drop" | Draw): string {
  return `log-${typeof verdict === "object" ? chainOf(verdict) : verdict}`;
}

export function logChain(verdict: "refuse" | "drop" | Draw): string {
  const then = typeof verdict === "object" ? `goto ${chainOf(verdict)}` : verdict === "refuse" ? "goto refuse" : "drop";
  return `chain ${logChainOf(verdict)} {\n  limit rate ${logRate}/second burst ${logBurst} packets log group ${logGroup} snaplen ${logSize}\n  ${then}\n}\n`;
}

function pickChain(count: number, family: Family): string {
  const slot = `${pool} . numgen random mod ${count}`;
  return `chain ${chainOf({ way: "pick", count })} {\n  ${translatable} dnat ${familyName[family]} to ${slot} map @slots\n  drop\n}\n`;
}

/** The program of a family as nft reads it, to be put into its table. */
export function programOf(family: Family): string {
  return constant(family) + Array.from({ length: slotSizes }, (_, i) => pickChain(i + 1, family)).join("");
}

/** The program with a chain of each kind that may be added to it later: what a kernel and an nft must be able to take. */
export function probeOf(family: Family): string {
  return (
    programOf(family) +
    drawChains({ way: "spread", count: 2 }, family) +
    drawChains({ way: "stick", count: 2, seconds: 60 }, family) +
    drawChains({ way: "hash", count: 1024 }, family)
  );
}
