import {
  bitsOf,
  findCondition,
  parseCidr,
  parseIp,
  type Ip,
  type IpFamily,
  type Lease,
  type Node,
} from "../kube/index.ts";
import type { BgpPeer, BgpSession } from "./bgp/definitions.ts";
import { planBgp } from "./bgp/plan.ts";
import {
  announcedCondition,
  conflictCondition,
  type AddressClaim,
  type AddressPool,
  type AnnounceSpec,
} from "./definitions.ts";
import { isHeard, leaseSeconds } from "./node-lease.ts";
import { drainReason, mayAnnounce, nodeAddress, standingOf, type TrafficState } from "./eligibility.ts";

/** What announcing addresses depends on, as the API has it. */
export interface AnnounceObjects {
  readonly pools: readonly AddressPool[];
  readonly claims: readonly AddressClaim[];
  readonly peers: readonly BgpPeer[];
  readonly sessions: readonly BgpSession[];
  /** Signs of life of the agents. */
  readonly leases: readonly Lease[];
}

export interface AnnounceState extends Omit<TrafficState, "node"> {
  readonly objects: AnnounceObjects;
  readonly nodes: readonly Node[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Why an address is not announced as it should be. */
export interface AnnounceFault {
  readonly reason:
    | "NoNode"
    | "NoAgent"
    | "NotServed"
    | "NotHeld"
    | "ForeignHolder"
    | "HolderSilent"
    | "NoPeer"
    | "NoSession"
    | "SessionDown"
    | "NotAdvertised";
  /** Clients do not reach the address; else they do, but not for sure. */
  readonly isFatal: boolean;
  /** The object that has to be put right, and its field. */
  readonly object: string;
  readonly field: string;
  readonly problem: string;
  readonly evidence: readonly string[];
  readonly remedy: string;
}

/** How one address is known to the network. */
export interface Announcement {
  readonly address: string;
  readonly pool: string;
  readonly protocol: "VRRP" | "BGP";
  /** Who has it, as they say themselves: by VRRP one at most, by BGP a session in which it is told each, the better first. */
  readonly holders: readonly AddressHolder[];
  /** VRRP: how often the holder has changed. */
  readonly transitions?: number;
  /** BGP: sessions that are not up. */
  readonly down: readonly BgpSession[];
  /** The first cause, where something is wrong. */
  readonly fault?: AnnounceFault;
}

/** A node that leads packets for an address in. */
export interface AddressHolder {
  readonly node: string;
  /** RFC 3339: since when it holds the address, or since when the session is up. */
  readonly since?: string;
  /** BGP: the BGPPeer that was told. */
  readonly peer?: string;
  /** BGP: counts only where no other tells it. */
  readonly isFallback?: true;
  /** It has not been heard of for a while: it was the last that said so. */
  readonly isSilent?: true;
}

/**
 * How addresses are announced, and what is wrong with that: the answer to one at a time. Undefined: the address is of no pool that is announced. Pure;
 * the objects are gone through once, and an address costs little then.
 */
export function readAnnouncements(state: AnnounceState): (address: string) => Announcement | undefined {
  const claims = new Map(state.objects.claims.map((claim) => [claim.spec.address, claim]));
  const pools = new Map(state.objects.pools.map((pool) => [pool.metadata.name, pool]));
  let sessions: Sessions | undefined;
  return (address) => {
    const ip = parseIp(address);
    const claim = claims.get(address);
    const poolName = claim?.spec.pool ?? "";
    const pool = pools.get(poolName);
    // A pool of flags is no object: that its addresses are held by VRRP is seen by who holds them.
    const isSeen = findCondition(claim?.status?.conditions, announcedCondition) !== undefined;
    const announce = pool?.spec?.announce ?? (pool || !isSeen ? undefined : { protocol: "VRRP" as const });
    if (!ip || !claim || (announce?.protocol !== "VRRP" && announce?.protocol !== "BGP")) return undefined;
    const given: Given = { ...state, address, claim, announce, family: ip.family, poolName };
    return announce.protocol === "VRRP" ? byVrrp(given) : byBgp(given, ip, (sessions ??= readSessions(state)));
  };
}

interface Given extends AnnounceState {
  readonly address: string;
  readonly claim: AddressClaim;
  readonly announce: AnnounceSpec;
  readonly family: IpFamily;
  readonly poolName: string;
}

function byVrrp(given: Given): Announcement {
  const { claim, address, poolName, objects, now } = given;
  const { holder: node, holderSince: since, transitions } = claim.status ?? {};
  const fault = noNode(given) ?? foreignHolder(given) ?? notHeld(given);
  const holder = node !== undefined && {
    node,
    ...(since === undefined ? {} : { since }),
    ...(isHeard(objects.leases, "vip", node, now) ? {} : { isSilent: true as const }),
  };
  return {
    address,
    pool: poolName,
    protocol: "VRRP",
    holders: holder ? [holder] : [],
    ...(transitions === undefined ? {} : { transitions }),
    down: [],
    ...(fault ? { fault } : {}),
  };
}

/** No node may announce the address at all. */
function noNode({ nodes, family, announce, poolName }: Given): AnnounceFault | undefined {
  if (nodes.some((node) => mayAnnounce(node, family, announce))) return undefined;
  const why = nodes.map((node) => {
    const { name, labels, deletionTimestamp } = node.metadata;
    if (deletionTimestamp) return `node ${name} is being deleted`;
    if (labels?.["node.kubernetes.io/exclude-from-external-load-balancers"] !== undefined)
      return `node ${name} has the label node.kubernetes.io/exclude-from-external-load-balancers`;
    if (nodeAddress(node, family) === undefined) return `node ${name} has no ${family} address`;
    return `node ${name} does not match spec.announce.nodeSelector`;
  });
  return {
    reason: "NoNode",
    isFatal: true,
    object: `AddressPool ${poolName}`,
    field: "spec.announce.nodeSelector",
    problem: `no node may announce addresses of pool ${poolName}`,
    evidence: why.slice(0, 10),
    remedy: "correct the selector, label a node, or take the excluding label off",
  };
}

/** Another machine answers for the address as well, or has it alone. */
function foreignHolder({ claim, address }: Given): AnnounceFault | undefined {
  const said = findCondition(claim.status?.conditions, conflictCondition);
  if (said?.status !== "True") return undefined;
  const { holder } = claim.status ?? {};
  return {
    reason: "ForeignHolder",
    isFatal: holder === undefined,
    object: `AddressClaim ${claim.metadata.name}`,
    field: "status.conditions",
    problem:
      holder === undefined
        ? `another machine has ${address}, and no node takes it`
        : `another machine answers for ${address} beside node ${holder}: clients reach either`,
    evidence: [`${said.message ?? ""}, seen since ${said.lastTransitionTime ?? "a while"}`],
    remedy:
      "find the machine with this hardware address and take the address off it, or give the Service another address",
  };
}

function notHeld(given: Given): AnnounceFault | undefined {
  const { nodes, family, announce, claim, objects, now, poolName, address } = given;
  const eligible = nodes.filter((node) => mayAnnounce(node, family, announce));
  const lives = (node: string) => isHeard(objects.leases, "vip", node, now);
  const alive = eligible.filter(({ metadata }) => lives(metadata.name));
  const object = `AddressClaim ${claim.metadata.name}`;
  const { holder } = claim.status ?? {};
  if (alive.length === 0) {
    const names = eligible.map(({ metadata }) => metadata.name).join(", ");
    return {
      reason: "NoAgent",
      isFatal: holder === undefined,
      object: `AddressPool ${poolName}`,
      field: "spec.announce",
      problem: `\`fairlead vip\` runs on none of the nodes that may hold ${address}`,
      evidence: [`none has renewed its Lease kube-system/fairlead-vip-NODE for ${leaseSeconds} s: ${names}`],
      remedy: "run `fairlead vip` on these nodes",
    };
  }
  if (holder === undefined) {
    const barred = alive.map((node) => whyNot(given, node));
    const [first] = barred;
    if (first !== undefined && barred.every((why) => why !== undefined)) return notServed(given, barred);
    const said = findCondition(claim.status?.conditions, announcedCondition);
    return {
      reason: "NotHeld",
      isFatal: true,
      object,
      field: "status.holder",
      problem: `no node holds ${address}`,
      evidence: said?.message ? [said.message] : [],
      remedy: "look at the logs of `fairlead vip` and keepalived on these nodes",
    };
  }
  if (lives(holder)) return undefined;
  return {
    reason: "HolderSilent",
    isFatal: false,
    object,
    field: "status.holder",
    problem: `node ${holder} was the last that said it holds ${address}, and has not been heard of since`,
    evidence: [`Lease kube-system/fairlead-vip-${holder} is not renewed`],
    remedy: `start \`fairlead vip\` on node ${holder}; if the node is down, another holds the address and says so when it sees the API`,
  };
}

function whyNot(given: Given, node: Node): string | undefined {
  const { announce, claim, nodes, family } = given;
  const rivals = nodes.filter((other) => other !== node && mayAnnounce(other, family, announce));
  const away = drainReason(node, rivals);
  if (away !== undefined) return away;
  const standing = standingOf({ ...given, node: node.metadata.name }, [claim.spec], announce);
  return standing.is === "barred" ? standing.reason : undefined;
}

function notServed(given: Given, why: readonly (string | undefined)[]): AnnounceFault {
  const [owner] = given.claim.spec.owners ?? [];
  const isLocal =
    given.service(`${owner?.namespace ?? ""}/${owner?.name ?? ""}`)?.spec.externalTrafficPolicy === "Local";
  return {
    reason: "NotServed",
    isFatal: true,
    object: `${owner?.kind ?? "Service"} ${owner?.namespace ?? ""}/${owner?.name ?? ""}`,
    field: isLocal ? "spec.externalTrafficPolicy" : "spec.selector",
    problem: `${given.address} is withheld: no node that may announce it would serve it`,
    evidence: [...new Set(why.flatMap((one) => one ?? []))].slice(0, 10),
    remedy: isLocal
      ? "run a pod on a node that may announce the address, or use policy Cluster"
      : "bring up endpoints, or set spec.announce.withoutEndpoints to Refuse",
  };
}

function byBgp(given: Given, ip: Ip, { told, down }: Sessions): Announcement {
  const { address, poolName } = given;
  const holders = told(ip);
  const fault = noNode(given) ?? notTold(given, holders.length, down);
  return { address, pool: poolName, protocol: "BGP", holders, down, ...(fault ? { fault } : {}) };
}

/** All sessions, made ready to be asked. */
interface Sessions {
  readonly down: readonly BgpSession[];
  /** Sessions that are up and tell of an address, the better first. */
  readonly told: (ip: Ip) => readonly AddressHolder[];
}

function readSessions({ objects, now }: AnnounceState): Sessions {
  // What a node that has gone said last is not what is.
  const sessions = objects.sessions.map((one) =>
    isHeard(objects.leases, "bgp", one.spec.node, now)
      ? one
      : { ...one, status: { state: "Unknown", message: `\`fairlead bgp\` on node ${one.spec.node} is not heard of` } },
  );
  const isUp = ({ status }: BgpSession) => status?.state === "Established";
  const byPrefix = new Map<string, { session: BgpSession; isFallback: boolean }[]>();
  const lengths = new Set<number>();
  for (const session of sessions.filter(isUp)) {
    const fallback = new Set(session.status?.fallback ?? []);
    for (const text of session.status?.prefixes ?? []) {
      const block = parseCidr(text);
      if (!block) continue;
      const key = blockOf({ family: block.family, value: block.base }, block.prefix);
      lengths.add(block.prefix);
      const tellers = byPrefix.get(key);
      const teller = { session, isFallback: fallback.has(text) };
      if (tellers) tellers.push(teller);
      else byPrefix.set(key, [teller]);
    }
  }
  return {
    down: sessions.filter((one) => !isUp(one)),
    told(ip) {
      const found = new Map<string, AddressHolder>();
      for (const length of [...lengths].filter((one) => one <= bitsOf(ip.family)))
        for (const { session, isFallback } of byPrefix.get(blockOf(ip, length)) ?? []) {
          const { node, peer } = session.spec;
          const since = session.status?.since;
          const isSecond = isFallback || found.get(session.metadata.name)?.isFallback;
          found.set(session.metadata.name, {
            node,
            peer,
            ...(since === undefined ? {} : { since }),
            ...(isSecond ? { isFallback: true } : {}),
          });
        }
      return [...found.values()].sort(
        (a, b) => Number(a.isFallback ?? false) - Number(b.isFallback ?? false) || (a.node < b.node ? -1 : 1),
      );
    },
  };
}

/** The block of a length that an address is in, as a key. */
function blockOf({ family, value }: Ip, length: number): string {
  return `${family} ${length} ${value >> BigInt(bitsOf(family) - length)}`;
}

function notTold(given: Given, told: number, down: readonly BgpSession[]): AnnounceFault | undefined {
  const { objects, address, poolName, nodes, family, announce } = given;
  const pool = `AddressPool ${poolName}`;
  if (objects.peers.length === 0) {
    return {
      reason: "NoPeer",
      isFatal: true,
      object: pool,
      field: "spec.announce.protocol",
      problem: "no router is told of the address: there is no BGPPeer",
      evidence: [],
      remedy: "create a BGPPeer for each router",
    };
  }
  const eligible = nodes.filter((node) => mayAnnounce(node, family, announce));
  const names = new Set(eligible.map(({ metadata }) => metadata.name));
  const ours = objects.sessions.filter(({ spec }) => names.has(spec.node));
  if (ours.length === 0) {
    return {
      reason: "NoSession",
      isFatal: true,
      object: pool,
      field: "spec.announce",
      problem: `no node that may announce ${address} has a session: \`fairlead bgp\` runs on none of them, or no BGPPeer selects them`,
      evidence: [`nodes: ${[...names].slice(0, 10).join(", ")}`],
      remedy: "run `fairlead bgp` on these nodes, and look at spec.nodeSelector of the BGPPeers",
    };
  }
  const away = down.filter(({ spec }) => names.has(spec.node));
  const [first] = away;
  if (first && (told === 0 ? away.length === ours.length : true)) {
    return {
      reason: "SessionDown",
      isFatal: told === 0,
      object: `BGPSession ${first.metadata.name}`,
      field: "status.state",
      problem: `${away.length} of ${ours.length} sessions are down: ${first.status?.message ?? first.status?.state ?? "nothing is known of it"}`,
      evidence: away
        .slice(0, 10)
        .map(({ spec, status }) => `node ${spec.node} with BGPPeer ${spec.peer}: ${status?.state ?? "unknown"}`),
      remedy: "compare address, AS and password of the BGPPeer with the router's, and see whether port 179 is open",
    };
  }
  if (told > 0) return undefined;
  const why = eligible.map((node) => withheldOn(given, node));
  if (why.length > 0 && why.every((one) => one !== undefined)) return notServed(given, why);
  return {
    reason: "NotAdvertised",
    isFatal: true,
    object: pool,
    field: "spec.announce.advertisements",
    problem: `sessions are up, but none tells ${address}`,
    evidence: why.flatMap((one) => one ?? []),
    remedy: "look at peers and nodeSelector of the announcements, and at the log of `fairlead bgp`",
  };
}

/** Why a node would tell nothing of the address, as its own plan has it. */
function withheldOn(given: Given, { metadata: { name } }: Node): string | undefined {
  const { nodes, objects, claim, announce, service, slices, address } = given;
  const state = { node: name, nodes, peers: objects.peers, claims: [claim.spec], announce: () => announce };
  return planBgp({ ...state, service, slices }).withheld.get(address);
}
