/** A chain of somebody else's that may stop packets before or after the proxy has led them. */
export interface ForeignChain {
  /** `inet filter`. */
  readonly table: string;
  readonly chain: string;
  /** `input`, `forward`, `prerouting`, `output` or `postrouting`. */
  readonly hook: string;
  readonly policy: "accept" | "drop";
  /** How many of its rules drop or reject, also in chains that it leads to. */
  readonly dropping: number;
}

/** What a node's own system tells. Whatever could not be read is absent. */
export interface NodeFacts {
  readonly node: string;
  readonly foreign?: readonly ForeignChain[];
  /** Programs for Services that are in the kernel: `fairlead (nftables)`, `kube-proxy (iptables)`. */
  readonly proxies?: readonly string[];
  readonly conntrack?: { readonly count: number; readonly most: number };
  /** Settings of the families that it has addresses of, by which it would forward packets and does not: `net.ipv4.ip_forward`. */
  readonly notForwarding?: readonly string[];
  /** Answer of the proxy's `/healthz`: its status; 0 where nothing answers. */
  readonly health?: { readonly status: number; readonly text: string };
  /** Open files of the proxy's process, and how many it may open. */
  readonly files?: { readonly open: number; readonly most: number };
}
