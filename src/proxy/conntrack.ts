import { CommandError, type CommandRunner, type Logger } from "../system/index.ts";
import type { NodePlan } from "../services/index.ts";

/**
 * Keeps UDP from sticking to endpoints that are gone. The kernel asks the nat chains only for the first packet of a flow,
 * so a client that goes on sending from one port would be led to a dead address for ever. TCP is left alone: established
 * connections end by themselves. Only flows of Services are ever touched.
 */
export interface ConntrackCleaner {
  /** What the Service is from now on. */
  update(key: string, plan: NodePlan | undefined): void;
  /** Cleans, when some update since the last time asks for it. Called when the rows are in force. */
  run(): void;
}

/** One flow in the kernel's table, as far as it matters here. */
export interface Flow {
  readonly destination: string;
  readonly port: number;
  /** Where answers come from: the endpoint, or the destination itself when nothing was translated. */
  readonly replySource: string;
}

export function createConntrackCleaner(options: {
  readonly commands: CommandRunner;
  readonly log: Logger;
  readonly signal: AbortSignal;
}): ConntrackCleaner {
  const { commands, log, signal } = options;
  /** UDP frontends by `address port`, NodePorts by `* port`, with the endpoints that may be behind them. */
  const allowed = new Map<string, ReadonlySet<string>>();
  const ofService = new Map<string, ReadonlyMap<string, ReadonlySet<string>>>();
  /** Frontends that are gone: flows to them are stale whatever they lead to. Forgotten after the cleaning. */
  let gone = new Set<string>();
  let wanted = false;
  let running = false;
  let missing = false;

  async function clean(): Promise<void> {
    const left = gone;
    gone = new Set();
    const listed = await commands.run("conntrack", ["-L", "-f", "ipv4", "-p", "udp"], { signal });
    if (listed.code !== 0) throw new Error(`conntrack -L: ${listed.stderr.trim()}`);
    for (const flow of staleFlows(parseFlows(listed.stdout), allowed, left)) {
      const { destination, port, replySource } = flow;
      const filter = ["--orig-dst", destination, "--orig-port-dst", String(port), "--reply-src", replySource];
      // Exit code 1 only says that the flow ended in the meantime.
      await commands.run("conntrack", ["-D", "-f", "ipv4", "-p", "udp", ...filter], { signal });
    }
  }

  async function work(): Promise<void> {
    running = true;
    while (wanted && !missing && !signal.aborted) {
      wanted = false;
      try {
        await clean();
      } catch (error) {
        if (signal.aborted) break;
        missing = error instanceof CommandError;
        const then = missing
          ? "UDP clients of removed endpoints wait until their flow times out"
          : "stale UDP flows stay";
        log.warn({ error: String(error) }, then);
      }
    }
    running = false;
  }

  return {
    update(key, plan) {
      const before = ofService.get(key);
      const after = udpFrontends(plan);
      if (!before && after.size === 0) return;
      for (const [frontend, endpoints] of before ?? []) {
        const now = after.get(frontend);
        if (!now) {
          allowed.delete(frontend);
          gone.add(frontend);
          wanted = true;
        } else if (endpoints.size === 0 || [...endpoints].some((one) => !now.has(one))) wanted = true;
      }
      for (const [frontend, endpoints] of after) {
        allowed.set(frontend, endpoints);
        gone.delete(frontend);
        if (!before?.has(frontend)) wanted = true;
      }
      if (after.size > 0) ofService.set(key, after);
      else ofService.delete(key);
    },
    run() {
      if (wanted && !running) void work();
    },
  };
}

function udpFrontends(plan: NodePlan | undefined): Map<string, ReadonlySet<string>> {
  const frontends = new Map<string, ReadonlySet<string>>();
  for (const port of plan?.ports ?? []) {
    if (port.protocol !== "UDP") continue;
    const endpoints = new Set(port.serving.map(({ address }) => address));
    for (const frontend of port.frontends) frontends.set(`${frontend.address ?? "*"} ${frontend.port}`, endpoints);
  }
  return frontends;
}

/** The flows to Services whose answers come from no endpoint of theirs, each kind once. */
export function staleFlows(
  flows: Iterable<Flow>,
  allowed: ReadonlyMap<string, ReadonlySet<string>>,
  gone: ReadonlySet<string>,
): Flow[] {
  const stale = new Map<string, Flow>();
  for (const flow of flows) {
    const { destination, port, replySource } = flow;
    const own = `${destination} ${port}`;
    const nodePort = `* ${port}`;
    const endpoints = allowed.get(own) ?? (gone.has(own) ? undefined : allowed.get(nodePort));
    const ours = endpoints !== undefined || gone.has(own) || (gone.has(nodePort) && replySource !== destination);
    // A packet to a NodePort's number on some other machine is none of ours: it was not translated.
    const foreign = !allowed.has(own) && !gone.has(own) && replySource === destination;
    if (ours && !foreign && !endpoints?.has(replySource)) stale.set(`${own} ${replySource}`, flow);
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
