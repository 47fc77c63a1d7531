/**
 * The pods' side of the network on one node: gives each sandbox an address from the node's pod range and connects it.
 * Ids are those of sandboxes. Methods throw `CommandError` or `NetworkError`.
 */
export interface PodNetwork {
  /**
   * Prepares the node for its pod ranges (CIDRs, at most one of a family). Finds what an earlier run left, and keeps it. Idempotent.
   * Answers what pods will have to do without here, and why: a sentence each.
   */
  setUp(podCIDRs: readonly string[]): Promise<readonly string[]>;
  /**
   * Connects a sandbox and leads its ports of the node to it; called again for the same id it answers the same. Where pods share the node's
   * network, ports of the node are not led anywhere.
   */
  attach(id: string, hostPorts: readonly HostPort[]): Promise<Attachment>;
  /** Gives everything back. Unknown ids are fine. */
  detach(id: string): Promise<void>;
  /** Whether what `attach` made is still there; it is not after a reboot. */
  isAttached(id: string): Promise<boolean>;
  /** Detaches every sandbox that is not among `ids`. */
  retain(ids: ReadonlySet<string>): Promise<void>;
  /** Makes the pods of other nodes reachable. The list is complete: routes to nodes not in it go. */
  routeTo(nodes: readonly NodeRoute[]): Promise<void>;
  /** Whether what `setUp` made for the node is still there. Someone may have taken it away, or flushed all rules. */
  isIntact(): Promise<boolean>;
  /** Takes away everything, also what other runs left: for `fairlead down`. */
  tearDown(): Promise<void>;
}

export interface Attachment {
  /** One of each range, in their order. */
  readonly addresses: readonly string[];
  /** Name of the network namespace as `ip netns` has it; absent where pods share the node's. */
  readonly netns?: string;
}

/** A port of the node that leads to a pod. */
export interface HostPort {
  readonly protocol: "TCP" | "UDP" | "SCTP";
  readonly hostPort: number;
  readonly containerPort: number;
  /** The node's address; absent: all of them. */
  readonly hostIP?: string;
}

export interface NodeRoute {
  readonly podCIDR: string;
  /** The node's InternalIP of the same family. */
  readonly via: string;
}

/** The pod network cannot do what was asked, for a reason that is not a failed command. */
export class NetworkError extends Error {
  readonly code: "BAD_CIDR" | "NO_CIDR" | "NO_FREE_ADDRESS" | "NO_IPV6" | "BAD_HOST_IP" | "HOST_PORT_TAKEN";

  constructor(code: NetworkError["code"], message: string) {
    super(message);
    this.name = "NetworkError";
    this.code = code;
  }
}
