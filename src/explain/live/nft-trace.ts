/** One step of a packet through the rules of a machine, as `nft monitor trace` tells it. */
export interface TraceStep {
  /** Family and name of the table: `inet filter`. */
  readonly table: string;
  readonly chain: string;
  /** The rule as nft writes it, or `policy`. */
  readonly rule: string;
  readonly verdict: string;
}

/** What the rules of a machine did with the first packet of a connection. */
export interface KernelPath {
  readonly steps: readonly TraceStep[];
  /** The step that stopped the packet; absent: none did. */
  readonly stop?: TraceStep;
  /** Where it went when it was seen last. */
  readonly destination?: { readonly address: string; readonly port: number };
  readonly masked: boolean;
}

const line = /^trace id ([0-9a-f]+) (\S+ \S+) (\S+) (packet:|rule|policy|verdict)\s*(.*)$/;

/**
 * Picks the packets of one connection from the text of `nft monitor trace`: those with this source port. A packet between processes of
 * one machine passes twice, out and in, and counts as one. A packet that is sent again does not count.
 */
export function readTrace(text: string, protocol: "TCP" | "UDP", sourcePort: number): KernelPath | undefined {
  const port = new RegExp(`\\b${protocol.toLowerCase()} sport ${sourcePort}\\b`);
  const ids = new Map<string, boolean>();
  const steps: TraceStep[] = [];
  let entries = 0;
  let destination: KernelPath["destination"];
  for (const each of text.split("\n")) {
    const [, id, table, chain, kind, rest = ""] = line.exec(each.trim()) ?? [];
    if (id === undefined || table === undefined || chain === undefined) continue;
    if (kind === "packet:") {
      if (!ids.has(id)) ids.set(id, port.test(rest));
      // The first chain of ours sees each sending once: the second is a repetition.
      const begins = table === traceTable && chain === "output";
      const arrives = table === traceTable && chain === "prerouting" && !rest.includes('iif "lo"');
      if (ids.get(id) && (begins || arrives) && ++entries > 1) break;
      const [, address, to] = /\bip6? daddr (\S+).*\bdport (\d+)/.exec(rest) ?? [];
      if (ids.get(id) && address !== undefined) destination = { address, port: Number(to) };
      continue;
    }
    if (!ids.get(id) || table === traceTable) continue;
    const step = stepOf(table, chain, kind ?? "", rest);
    if (step) steps.push(step);
  }
  if (entries === 0) return undefined;
  const stop = steps.find(({ verdict }) => verdict === "drop");
  const masked = steps.some(({ rule }) => /\b(?:masquerade|snat)\b/i.test(rule));
  return { steps, ...(stop ? { stop } : {}), ...(destination ? { destination } : {}), masked };
}

function stepOf(table: string, chain: string, kind: string, rest: string): TraceStep | undefined {
  if (kind === "policy") return { table, chain, rule: "policy", verdict: rest.trim() };
  const [, rule, verdict] = /^(.*) \(verdict ([^)]*)\)$/.exec(rest.trim()) ?? [];
  if (kind !== "rule" || rule === undefined || verdict === undefined) return undefined;
  return { table, chain, rule: rule.replaceAll(/\s+/g, " ").replace(/counter packets \d+ bytes \d+ ?/, ""), verdict };
}

/** The table that marks packets to be traced, while they are. */
export const traceTable = "inet fairlead_trace";

export interface TracedPacket {
  readonly source: string;
  readonly destination: string;
  readonly protocol: "TCP" | "UDP";
  readonly port: number;
}

/**
 * The script that has the kernel trace the packets of one kind. Addresses have been read before: they hold nothing but digits,
 * letters, dots and colons.
 */
export function traceScript({ source, destination, protocol, port }: TracedPacket): string {
  const family = destination.includes(":") ? "ip6" : "ip";
  const rule = `${family} saddr ${source} ${family} daddr ${destination} ${protocol.toLowerCase()} dport ${port} meta nftrace set 1`;
  // Before everything but the reassembly of fragments.
  const chain = (hook: string) =>
    `chain ${hook} {\ntype filter hook ${hook} priority -350; policy accept;\n${rule}\n}\n`;
  return `${removeScript}table ${traceTable} {\n${chain("prerouting")}${chain("output")}}\n`;
}

/** Takes it away again; also what a process that was killed has left. */
export const removeScript = `add table ${traceTable}\ndelete table ${traceTable}\n`;
