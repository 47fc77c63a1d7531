import type { Condition, CustomResourceDefinition, KubeObject, LabelSelector, Resource } from "../../kube/index.ts";
import { column, conditions, definitionOf, labelSelector, list, oneOf, record, text, whole } from "../schema.ts";

/** A router that nodes speak BGP with (RFC 4271). Cluster-scoped. */
export interface BgpPeer extends KubeObject {
  readonly spec?: BgpPeerSpec;
}

export interface BgpPeerSpec {
  readonly peerAddress: string;
  readonly peerASN: number;
  /** AS of the nodes. The same as `peerASN`: internal BGP. */
  readonly localASN: number;
  /** Default 179. */
  readonly peerPort?: number;
  /** Nodes that speak with it. Absent: all. */
  readonly nodeSelector?: LabelSelector;
  /** At least 3, or 0 for none. Default 90. */
  readonly holdTimeSeconds?: number;
  /** Default: a third of the hold time. */
  readonly keepaliveTimeSeconds?: number;
  /** Between two attempts to connect. Default 5. */
  readonly connectRetrySeconds?: number;
  /** The router is not on a network of the node. Default false. */
  readonly multiHop?: boolean;
  /** Secret with the key `password` for TCP MD5 signatures (RFC 2385). */
  readonly passwordSecret?: { readonly namespace: string; readonly name: string };
  /** Absent: no BFD (RFC 5880). Empty: 90 ms, three times. */
  readonly bfd?: {
    readonly receiveIntervalMs?: number;
    readonly transmitIntervalMs?: number;
    readonly multiplier?: number;
    readonly passive?: boolean;
  };
  /** Absent: the router forgets a node's routes when its session ends. Else it keeps them so long (RFC 4724). */
  readonly gracefulRestart?: { readonly restartTimeSeconds?: number };
}

/** What routers are told of a pool's addresses. */
export interface BgpAdvertisement {
  /** Length of the prefix that is announced for an IPv4 address. Default 32. */
  readonly aggregationLength?: number;
  /** The same for IPv6. Default 128. */
  readonly aggregationLengthV6?: number;
  /** `64512:100`, `large:64512:1:2` (RFC 8092) or a well-known name, as `no-export`. */
  readonly communities?: readonly string[];
  /** Seen by routers of the same AS only. Default 100. */
  readonly localPreference?: number;
  /** Names of BGPPeers. Absent: all. */
  readonly peers?: readonly string[];
  /** Nodes that make this announcement. Absent: all of the pool. */
  readonly nodeSelector?: LabelSelector;
}

/** One session of one node, as it really is. Written by that node. Cluster-scoped, owned by its Node. */
export interface BgpSession extends KubeObject {
  readonly spec: { readonly node: string; readonly peer: string };
  readonly status?: BgpSessionStatus;
}

export interface BgpSessionStatus {
  /** As RFC 4271, 8.2.2 names it, or Invalid where there is no session to speak of. */
  readonly state: string;
  /** RFC 3339: since when it is so. */
  readonly since?: string;
  /** Why it is not Established. */
  readonly message?: string;
  readonly bfd?: "Up" | "Down";
  /** Prefixes that the router was told, and how many. */
  readonly prefixes?: readonly string[];
  readonly advertised?: number;
  /** Prefixes that only count where no other node tells them. */
  readonly fallback?: readonly string[];
  /** How often it was established. */
  readonly transitions?: number;
  readonly conditions?: readonly Condition[];
}

/** Condition of a BGPSession. */
export const establishedCondition = "Established";

/** Prefixes that are listed in a status; the count is of all. */
export const mostListed = 1_000;

const common = { group: "fairlead.dev", version: "v1alpha1", namespaced: false, categories: [] };

export const bgpPeers: Resource<BgpPeer> = {
  ...common,
  kind: "BGPPeer",
  plural: "bgppeers",
  singular: "bgppeer",
  shortNames: [],
  subresources: ["status"],
};

export const bgpSessions: Resource<BgpSession> = {
  ...common,
  kind: "BGPSession",
  plural: "bgpsessions",
  singular: "bgpsession",
  shortNames: [],
  subresources: ["status"],
};

const asn = { type: "integer", format: "int64", minimum: 1, maximum: 4_294_967_295 };
const rule = (text: string, message: string) => ({ "x-kubernetes-validations": [{ rule: text, message }] });

/** Schema of `BgpAdvertisement`. */
export const advertisementSchema = record({
  aggregationLength: whole(1, 32),
  aggregationLengthV6: whole(1, 128),
  communities: list(text(64), 32),
  localPreference: { type: "integer", format: "int64", minimum: 0, maximum: 4_294_967_295 },
  peers: list(text(), 64),
  nodeSelector: labelSelector,
});

const peer = record(
  {
    spec: {
      ...record(
        {
          peerAddress: { ...text(45), ...rule("isIP(self)", "an IP address is needed") },
          peerASN: asn,
          localASN: asn,
          peerPort: whole(1, 65_535),
          nodeSelector: labelSelector,
          holdTimeSeconds: {
            ...whole(0, 65_535),
            ...rule("self == 0 || self >= 3", "at least 3 seconds are needed, or 0"),
          },
          keepaliveTimeSeconds: whole(1, 21_845),
          connectRetrySeconds: whole(1, 65_535),
          multiHop: { type: "boolean" },
          passwordSecret: record({ namespace: text(63), name: text() }, ["namespace", "name"]),
          bfd: record({
            receiveIntervalMs: whole(10, 60_000),
            transmitIntervalMs: whole(10, 60_000),
            multiplier: whole(1, 255),
            passive: { type: "boolean" },
          }),
          gracefulRestart: record({ restartTimeSeconds: whole(1, 4_095) }),
        },
        ["peerAddress", "peerASN", "localASN"],
      ),
      ...rule(
        "!has(self.keepaliveTimeSeconds) || (has(self.holdTimeSeconds) ? self.holdTimeSeconds : 90) >= 3 * self.keepaliveTimeSeconds || (has(self.holdTimeSeconds) && self.holdTimeSeconds == 0)",
        "keepaliveTimeSeconds is at most a third of holdTimeSeconds",
      ),
    },
    status: record({ conditions }),
  },
  ["spec"],
);

const session = record(
  {
    spec: record({ node: text(), peer: text() }, ["node", "peer"]),
    status: record({
      state: text(63),
      since: { type: "string", format: "date-time" },
      message: text(4_096),
      bfd: oneOf("Up", "Down"),
      prefixes: list(text(64), mostListed),
      fallback: list(text(64), mostListed),
      advertised: { type: "integer" },
      transitions: { type: "integer" },
      conditions,
    }),
  },
  ["spec"],
);

/** The definitions of BGPPeer and BGPSession. */
export function bgpDefinitions(): Partial<CustomResourceDefinition>[] {
  return [
    definitionOf(bgpPeers, peer, [
      column("Address", ".spec.peerAddress"),
      column("ASN", ".spec.peerASN", "integer"),
      column("Local ASN", ".spec.localASN", "integer"),
      column("Age", ".metadata.creationTimestamp", "date"),
    ]),
    definitionOf(bgpSessions, session, [
      column("Node", ".spec.node"),
      column("Peer", ".spec.peer"),
      column("State", ".status.state"),
      column("BFD", ".status.bfd"),
      column("Advertised", ".status.advertised", "integer"),
      column("Since", ".status.since", "date"),
      column("Message", ".status.message"),
    ]),
  ];
}
