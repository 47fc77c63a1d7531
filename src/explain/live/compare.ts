import { at } from "../packet/client.ts";
import type { PacketTrace } from "../packet/packet-trace.ts";
import type { Flow } from "./flow.ts";
import type { KernelPath, TraceStep } from "./nft-trace.ts";

/** What became of a connection that was really made. */
export interface Observation {
  /** As the client sees it; silent UDP may have arrived. */
  readonly outcome: "connected" | "answered" | "refused" | "silent" | "unreachable";
  /** Absent: the kernel has no such connection, or could not be asked. */
  readonly flow?: Flow;
  /** Absent: the rules could not be followed. */
  readonly path?: KernelPath;
  /** What could not be seen, and why. */
  readonly unseen: readonly string[];
}

export interface Comparison {
  /** Absent: too little could be seen. */
  readonly agrees?: boolean;
  /** What the kernel did, in a sentence. */
  readonly kernel: string;
  /** Where the two differ, and what is to be known beside; rules of others that stopped the packet first. */
  readonly findings: readonly string[];
  /** The rule that stopped it, when it is none of the proxy's. */
  readonly foreign?: TraceStep;
  readonly unseen: readonly string[];
}

/** Whether the kernel did what the model says. Pure. */
export function compareWithKernel(trace: PacketTrace, seen: Observation): Comparison {
  const { path, outcome, unseen } = seen;
  const flow = seen.flow ?? flowOfPath(trace, path);
  const stop = path?.stop;
  const translated =
    flow !== undefined && (flow.endpoint !== trace.to.address || flow.endpointPort !== trace.to.port)
      ? flow
      : undefined;
  const kernel = tell(trace, seen, translated);
  const done = (agrees: boolean | undefined, ...findings: string[]): Comparison => ({
    ...(agrees === undefined ? {} : { agrees }),
    kernel,
    findings,
    unseen,
  });

  if (stop && !isOwn(stop)) {
    const wanted = trace.verdict === "drop" || trace.verdict === "reject";
    const finding = `a rule that is not the proxy's stops it: table ${stop.table}, chain ${stop.chain}: ${stop.rule}`;
    return { ...done(wanted && !translated ? undefined : false, finding), foreign: stop };
  }
  switch (trace.verdict) {
    case "forward":
      return forwarded(trace, seen, translated, done);
    case "reject":
    case "drop": {
      if (translated) return done(false, `the model says ${trace.verdict}, but it was sent to ${translated.endpoint}`);
      const expected = trace.verdict === "reject" ? "refused" : "silent";
      if (outcome === expected) return done(true);
      // A rejection that the client's machine does not hear of is silence: the rule tells.
      if (stop && /\breject\b/i.test(stop.rule) === (trace.verdict === "reject")) return done(true);
      return done(false, `the model says ${trace.verdict}, but the client saw: ${outcome}`);
    }
    default:
      if (translated) return done(false, `no Service takes part, but someone translates it to ${translated.endpoint}`);
      return flow || outcome !== "silent" ? done(true) : done(undefined, "no answer came, and no rule stopped it");
  }
}

/** A connection that was refused leaves no entry in conntrack: where its packet was seen last tells the same. */
function flowOfPath({ from, to }: PacketTrace, path: KernelPath | undefined): Flow | undefined {
  const { destination, masked } = path ?? {};
  if (!destination || (destination.address === to.address && destination.port === to.port)) return undefined;
  return {
    endpoint: destination.address,
    endpointPort: destination.port,
    seenAs: masked ? "the node" : from.address,
  };
}

type Done = (agrees: boolean | undefined, ...findings: string[]) => Comparison;

function forwarded(trace: PacketTrace, { outcome, path }: Observation, flow: Flow | undefined, done: Done): Comparison {
  if (!flow) {
    if (path?.stop) return done(false, `the proxy itself stops it: chain ${path.stop.chain}: ${path.stop.rule}`);
    if (outcome === "connected" || outcome === "answered")
      return done(undefined, "it arrived; which endpoint answered cannot be seen from outside");
    return path === undefined
      ? done(outcome === "silent" ? undefined : false)
      : done(false, "the kernel translates nothing: the rows of this Service are not there");
  }
  const known = trace.endpoints.find(({ address, port }) => address === flow.endpoint && port === flow.endpointPort);
  if (!known || known.odds === 0)
    return done(
      false,
      `it was sent to ${at(flow.endpoint, flow.endpointPort)}, which the model passes over${known?.why ? ` (${known.why})` : ""}`,
    );
  const masked = flow.seenAs !== trace.from.address;
  const wanted = trace.masquerade === true || flow.endpoint === trace.from.address;
  if (masked !== wanted)
    return done(
      false,
      masked
        ? `it is masked as ${flow.seenAs}, and the model says that the client's address is kept`
        : "the client's address is kept, and the model says that it is masked",
    );
  const where = at(flow.endpoint, flow.endpointPort);
  if (outcome === "refused") return done(true, `the endpoint itself refuses: no process listens on ${where}`);
  if (outcome === "silent" && trace.to.protocol === "TCP")
    return done(true, `it was sent on to ${where}, and no answer came: look at the pod, and at the way to its node`);
  return done(true);
}

/** Rules of the proxy: its table, or in iptables the chains that kube-proxy's names begin. */
export function isOwn({ table, chain }: TraceStep): boolean {
  const name = table.split(" ")[1] ?? "";
  return name.startsWith("fairlead") || chain.startsWith("KUBE-");
}

function tell(trace: PacketTrace, { outcome, path }: Observation, flow: Flow | undefined): string {
  const parts: string[] = [];
  if (flow) {
    parts.push(`sent to ${at(flow.endpoint, flow.endpointPort)}`);
    parts.push(flow.seenAs === trace.from.address ? "client address kept" : `masked as ${flow.seenAs}`);
  }
  if (path?.stop) parts.push(`stopped in table ${path.stop.table}, chain ${path.stop.chain}`);
  parts.push(`the client saw: ${outcome}`);
  return parts.join("; ");
}
