import {
  formatIp,
  keyOf,
  matchesLabels,
  parseIp,
  bitsOf,
  type Ip,
  type IpFamily,
  type Node,
} from "../../kube/index.ts";
import type { AddressClaimSpec, AnnounceSpec } from "../definitions.ts";
import { drainReason, mayAnnounce, nodeAddress, standingOf, type TrafficState } from "../eligibility.ts";
import { parseCommunity, type Community } from "./community.ts";
import type { BgpAdvertisement, BgpPeer, BgpPeerSpec } from "./definitions.ts";

/** A prefix that a router is told. */
export interface BgpRoute {
  /** `192.0.2.10/32`. */
  readonly prefix: string;
  readonly communities: readonly Community[];
  readonly localPreference?: number;
  /** Counts only where no other node tells it. */
  readonly isFallback: boolean;
}

/** A session of this node. */
export interface BgpNeighbor {
  /** Name of the BGPPeer. */
  readonly name: string;
  readonly spec: BgpPeerSpec;
  readonly family: IpFamily;
  /** The node's own end. */
  readonly source: string;
  /** In the order of prefixes. */
  readonly routes: readonly BgpRoute[];
}

/** What a node does about BGP. */
export interface BgpPlan {
  /** Absent: there is nothing to do. */
  readonly routerId?: string;
  readonly neighbors: readonly BgpNeighbor[];
  /** Peers that this node should speak with and cannot, with the reason. */
  readonly faults: ReadonlyMap<string, string>;
  /** Why the node announces nothing of an address, by address. */
  readonly withheld: ReadonlyMap<string, string>;
}

export interface BgpState extends TrafficState {
  readonly nodes: readonly Node[];
  readonly peers: readonly BgpPeer[];
  readonly claims: readonly AddressClaimSpec[];
  /** How the addresses of a pool are announced, by the pool's name. */
  readonly announce: (pool: string) => AnnounceSpec | undefined;
  /** Why the data plane of this node cannot take traffic. Undefined: it can. */
  readonly unhealthy?: string;
}

const everything: readonly BgpAdvertisement[] = [{}];

/** Decides which sessions a node has, and which prefixes it announces in each. Pure. */
export function planBgp(state: BgpState): BgpPlan {
  const self = state.nodes.find(({ metadata }) => metadata.name === state.node);
  const withheld = new Map<string, string>();
  const faults = new Map<string, string>();
  const routerId = self && routerIdOf(self);
  if (!self || !routerId) return { neighbors: [], faults, withheld };
  const announced = routesOf(state, self, withheld);
  const taken = new Map<string, string>();
  const neighbors = [...state.peers]
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .flatMap(({ metadata: { name }, spec }): BgpNeighbor[] => {
      if (!spec) return [];
      if (spec.nodeSelector && !matchesLabels(spec.nodeSelector, self.metadata.labels)) return [];
      const ip = parseIp(spec.peerAddress);
      if (!ip) {
        faults.set(name, `spec.peerAddress ${JSON.stringify(spec.peerAddress)} is not an IP address`);
        return [];
      }
      const source = nodeAddress(self, ip.family);
      if (source === undefined) {
        faults.set(name, `node ${state.node} has no ${ip.family} address to reach ${spec.peerAddress} from`);
        return [];
      }
      const key = `${formatIp(ip)} ${spec.peerPort ?? 179}`;
      const other = taken.get(key);
      if (other !== undefined) {
        faults.set(name, `BGPPeer ${other} has the same address and port; remove one of the two`);
        return [];
      }
      taken.set(key, name);
      const routes = mergeRoutes(announced.filter((one) => one.family === ip.family && isFor(one, name)));
      return [{ name, spec, family: ip.family, source, routes }];
    });
  return { routerId, neighbors, faults, withheld };
}

/** One announcement of one address, before those of the same prefix are merged. */
interface Announced extends BgpRoute {
  readonly family: IpFamily;
  readonly peers?: readonly string[];
}

const isFor = ({ peers }: Announced, name: string) => peers === undefined || peers.includes(name);

function routesOf(state: BgpState, self: Node, withheld: Map<string, string>): Announced[] {
  const others = state.nodes.filter((node) => node !== self);
  return state.claims.flatMap((claim): Announced[] => {
    const announce = claim.pool === undefined ? undefined : state.announce(claim.pool);
    const ip = parseIp(claim.address);
    if (announce?.protocol !== "BGP" || !ip || !claim.owners?.length) return [];
    const withhold = (reason: string): Announced[] => {
      withheld.set(claim.address, reason);
      return [];
    };
    if (!mayAnnounce(self, ip.family, announce)) {
      return withhold(`node ${state.node} is none of the nodes of pool ${claim.pool ?? ""}`);
    }
    const rivals = others.filter((node) => mayAnnounce(node, ip.family, announce));
    const away = state.unhealthy ?? drainReason(self, rivals);
    if (away !== undefined) return withhold(away);
    const standing = standingOf(state, [claim], announce);
    const isLocal = claim.owners.some(
      ({ kind, namespace, name }) =>
        kind === "Service" &&
        state.service(keyOf({ metadata: { namespace, name } }))?.spec.externalTrafficPolicy === "Local",
    );
    const falls = standing.is === "barred" && isLocal && announce.localFallback === true;
    if (standing.is === "barred" && !falls) return withhold(standing.reason);
    const isFallback = standing.is !== "first";
    return (announce.advertisements?.length ? announce.advertisements : everything)
      .filter(({ nodeSelector }) => !nodeSelector || matchesLabels(nodeSelector, self.metadata.labels))
      .map(({ communities = [], localPreference, peers, ...rest }) => ({
        family: ip.family,
        prefix: prefixOf(ip, ip.family === "IPv4" ? rest.aggregationLength : rest.aggregationLengthV6),
        communities: communities.flatMap((text) => parseCommunity(text) ?? []),
        ...(localPreference === undefined ? {} : { localPreference }),
        ...(peers ? { peers } : {}),
        isFallback,
      }));
  });
}

/** The block of a length that an address is in. */
function prefixOf({ family, value }: Ip, length = bitsOf(family)): string {
  const free = BigInt(bitsOf(family) - length);
  return `${formatIp({ family, value: (value >> free) << free })}/${length}`;
}

/** One route a prefix: all communities, the highest preference, and a fallback only where all are. */
function mergeRoutes(announced: readonly Announced[]): BgpRoute[] {
  const routes = new Map<string, BgpRoute>();
  for (const { prefix, communities, localPreference, isFallback } of announced) {
    const known = routes.get(prefix);
    const marks = new Map([...(known?.communities ?? []), ...communities].map((one) => [markOf(one), one]));
    const preference = Math.max(known?.localPreference ?? -1, localPreference ?? -1);
    routes.set(prefix, {
      prefix,
      communities: [...marks].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one),
      ...(preference < 0 ? {} : { localPreference: preference }),
      isFallback: isFallback && (known?.isFallback ?? true),
    });
  }
  return [...routes.values()].sort((a, b) => (a.prefix < b.prefix ? -1 : 1));
}

const markOf = ({ kind, parts }: Community) => `${kind} ${parts.join(":")}`;

/** A number that tells the node from others (RFC 6286): its IPv4 address, or 32 bits of its IPv6 address. */
function routerIdOf(node: Node): string | undefined {
  const own = nodeAddress(node, "IPv4");
  if (own !== undefined) return own;
  const six = parseIp(nodeAddress(node, "IPv6") ?? "");
  if (!six) return undefined;
  const value = six.value & 0xffff_ffffn;
  return formatIp({ family: "IPv4", value: value === 0n ? 1n : value });
}
