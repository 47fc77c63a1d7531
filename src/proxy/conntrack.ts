import { CommandError, type CommandRunner, type Logger } from "../system/index.ts";
import type { Family, NodePlan, ProxyContext } from "../services/index.ts";

/**
 * Keeps UDP and SCTP from sticking to endpoints that are gone. The kernel asks the nat chains only for the first packet of a flow,
 * so a client that goes on sending from one port would be led to a dead address for ever, or to whoever has that address next. TCP
 * is left alone, as established connections end by themselves, unless the Service asks for their end: then the client's next packet is led
 * to another endpoint, which does not know the connection and resets it. Only flows of Services are ever touched.
 */
export interface ConntrackCleaner {
  /** What the Service is from now on. */
  update(key: string, plan: NodePlan | undefined): void;
  setContext(context: ProxyContext): void;
  /** Cleans, when some update since the last time asks for it. Called when the rows are in force. */
  run(): void;
}

/** Those that have no end of their own, or none that this kernel waits for; and TCP, where a Service asks for that. */
const protocols = ["UDP", "SCTP", "TCP"] as const;
type Watched = (typeof protocols)[number];

/** One flow in the kernel's table, as far as it matters here. */
export interface Flow {
  readonly destination: string;
  readonly port: number;
  /** Where answers come from: the endpoint, or the destination itself when nothing was translated. */
  readonly replySource: string;
}

/** What is known of a protocol's frontends, by `address port`, and of NodePorts by `IPv4 port` and `IPv6 port`. */
export interface Frontends {
  /** With the endpoints that may be behind them. */
  readonly allowed: ReadonlyMap<string, ReadonlySet<string>>;
  /** Those that are gone: flows to them are stale whatever they lead to. */
  readonly gone: ReadonlySet<string>;
}

interface Known {
  readonly allowed: Map<string, ReadonlySet<string>>;
  gone: Set<string>;
  wanted: boolean;
}

export function createConntrackCleaner(options: {
  readonly context: ProxyContext;
  readonly commands: CommandRunner;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Told of each cleaning: how long it took, and how many entries went. */
  readonly cleaned?: (seconds: number, deleted: number) => void;
}): ConntrackCleaner {
  const { commands, log, signal } = options;
  let { context } = options;
  const known: Readonly<Record<Watched, Known>> = { UDP: nothingKnown(), SCTP: nothingKnown(), TCP: nothingKnown() };
  const ofService = new Map<string, ReadonlyMap<string, Claim>>();
  let running = false;
  let missing = false;

  const isWanted = () => protocols.some((protocol) => known[protocol].wanted);

  async function clean(protocol: Watched): Promise<void> {
    const { allowed, gone } = known[protocol];
    known[protocol].wanted = false;
    known[protocol].gone = new Set();
    const nodeAddresses = new Set(context.node.addresses);
    const begun = performance.now();
    let deleted = 0;
    for (const family of context.families) {
      const kind = ["-f", family.toLowerCase(), "-p", protocol.toLowerCase()];
      const listed = await commands.run("conntrack", ["-L", ...kind], { signal });
      if (listed.code !== 0) throw new Error(`conntrack -L: ${listed.stderr.trim()}`);
      for (const flow of staleFlows(parseFlows(listed.stdout), { allowed, gone }, family, nodeAddresses)) {
        const { destination, port, replySource } = flow;
        const filter = ["--orig-dst", destination, "--orig-port-dst", String(port), "--reply-src", replySource];
        // Exit code 1 only says that the flow ended in the meantime.
        const { stderr } = await commands.run("conntrack", ["-D", ...kind, ...filter], { signal });
        deleted += Number(/(\d+) flow entries have been deleted/.exec(stderr)?.[1] ?? 0);
      }
    }
    options.cleaned?.((performance.now() - begun) / 1000, deleted);
  }

  async function work(): Promise<void> {
    running = true;
    while (isWanted() && !missing && !signal.aborted) {
      try {
        for (const protocol of protocols) if (known[protocol].wanted) await clean(protocol);
      } catch (error) {
        if (signal.aborted) break;
        missing = error instanceof CommandError;
        const then = missing ? "clients of removed endpoints wait until their flow times out" : "stale flows stay";
        log.warn({ error: String(error) }, then);
      }
    }
    running = false;
  }

  return {
    setContext(next) {
      context = next;
    },
    update(key, plan) {
      const before = ofService.get(key);
      const after = claimsOf(plan);
      if (!before && after.size === 0) return;
      for (const [id, { protocol, frontend, endpoints }] of before ?? []) {
        const of = known[protocol];
        const now = after.get(id);
        if (!now) {
          of.allowed.delete(frontend);
          // Connections of a Service that is gone, or asks no more for their end, end by themselves.
          if (protocol === "TCP") continue;
          of.gone.add(frontend);
          of.wanted = true;
        } else if (endpoints.size === 0 || [...endpoints].some((one) => !now.endpoints.has(one))) of.wanted = true;
      }
      for (const [id, { protocol, frontend, endpoints }] of after) {
        const of = known[protocol];
        of.allowed.set(frontend, endpoints);
        of.gone.delete(frontend);
        if (!before?.has(id)) of.wanted = true;
      }
      if (after.size > 0) ofService.set(key, after);
      else ofService.delete(key);
    },
    run() {
      if (isWanted() && !running) void work();
    },
  };
}

function nothingKnown(): Known {
  return { allowed: new Map(), gone: new Set(), wanted: false };
}

interface Claim {
  readonly protocol: Watched;
  readonly frontend: string;
  readonly endpoints: ReadonlySet<string>;
}

function claimsOf(plan: NodePlan | undefined): Map<string, Claim> {
  const claims = new Map<string, Claim>();
  for (const { protocol, serving, frontends, family, resetRemoved } of plan?.ports ?? []) {
    if (protocol === "TCP" && !resetRemoved) continue;
    const endpoints = new Set(serving.map(({ address }) => address));
    for (const { address, port } of frontends) {
      const frontend = `${address ?? family} ${port}`;
      claims.set(`${protocol} ${frontend}`, { protocol, frontend, endpoints });
    }
  }
  return claims;
}

/**
 * The flows to Services whose answers come from no endpoint of theirs, each kind once. Those that were not translated because they
 * began while their Service had no rows are among them: they would keep the client's port from its first endpoint.
 */
export function staleFlows(
  flows: Iterable<Flow>,
  { allowed, gone }: Frontends,
  family: Family,
  nodeAddresses: ReadonlySet<string>,
): Flow[] {
  const stale = new Map<string, Flow>();
  for (const flow of flows) {
    const { destination, port, replySource } = flow;
    const own = `${destination} ${port}`;
    const nodePort = `${family} ${port}`;
    const claimed = allowed.has(own) || gone.has(own);
    // The number of a NodePort at some other machine, or of one that is gone at a program of this node, is none of ours.
    const atNode = !claimed && nodeAddresses.has(destination);
    const endpoints = claimed ? allowed.get(own) : atNode ? allowed.get(nodePort) : undefined;
    const ended = gone.has(own) || (atNode && gone.has(nodePort) && replySource !== destination);
    if ((endpoints || ended) && !endpoints?.has(replySource)) stale.set(`${own} ${replySource}`, flow);
  }
  return [...stale.values()];
}

/** Reads `conntrack -L`. Lines that are not flows are passed over. */
export function* parseFlows(text: string): Generator<Flow> {
  for (const line of text.split("\n")) {
    const sources = [...line.matchAll(/\bsrc=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)/g)];
    const [original, reply] = sources;
    if (original?.[2] && reply?.[1])
      yield { destination: original[2], port: Number(original[4]), replySource: reply[1] };
  }
}
