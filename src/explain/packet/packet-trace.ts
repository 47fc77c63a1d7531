import type { ClientClass, Protocol } from "../../services/index.ts";

/** The object and the field behind a step. */
export interface HopOwner {
  /** `Service shop/web`. */
  readonly object: string;
  /** Path from the root of the object; "" for the object as a whole. */
  readonly field: string;
}

/** One step on the way of a packet. */
export interface Hop {
  readonly step: "name" | "client" | "frontend" | "policy" | "affinity" | "source" | "route";
  readonly text: string;
  readonly owner?: HopOwner;
}

/** An endpoint of the Service port, whether the packet may go there or not. */
export interface TracedEndpoint {
  readonly address: string;
  readonly port: number;
  /** How likely it is chosen for a new connection, 0 to 1. 0: it is passed over. */
  readonly odds: number;
  readonly node?: string;
  /** `namespace/name`. */
  readonly pod?: string;
  /** What its pod says of itself: `ready`, or why it is not. */
  readonly state: string;
  /** Why it is passed over. */
  readonly why?: string;
  readonly owner: HopOwner;
}

/**
 * forward: to one of the endpoints; direct: to the address itself, no Service takes part; alias: DNS gives another name; elsewhere: the
 * proxy has nothing to do with it, the packet goes its usual way; reject: the client is told at once; drop: silence.
 */
export type PacketVerdict = "forward" | "direct" | "alias" | "elsewhere" | "reject" | "drop";

/** What happens to the first packet of a connection, step by step. */
export interface PacketTrace {
  readonly from: {
    readonly text: string;
    readonly address: string;
    readonly class: ClientClass;
    readonly node?: string;
  };
  readonly to: {
    readonly text: string;
    readonly address: string;
    readonly port: number;
    readonly protocol: Protocol;
  };
  /** The node whose proxy decides. */
  readonly node: string;
  readonly hops: readonly Hop[];
  readonly endpoints: readonly TracedEndpoint[];
  /** Whether the endpoint sees the node's address in place of the client's; absent where no Service takes part. */
  readonly masquerade?: boolean;
  readonly verdict: PacketVerdict;
  readonly reason: string;
  /** Nodes on which the same packet would fare otherwise. */
  readonly otherNodes: readonly { readonly node: string; readonly verdict: PacketVerdict; readonly reason: string }[];
  /** What else is worth knowing. */
  readonly notes: readonly string[];
}
