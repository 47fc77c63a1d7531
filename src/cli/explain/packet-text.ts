import type { Comparison, Hop, PacketTrace, PacketVerdict, TracedEndpoint } from "../../explain/index.ts";
import { at } from "../../explain/index.ts";
import { table } from "../output.ts";

const words: Readonly<Record<PacketVerdict, string>> = {
  forward: "FORWARD",
  direct: "DIRECT",
  alias: "ALIAS",
  elsewhere: "NOT OURS",
  reject: "REJECT",
  drop: "DROP",
};

/** A trace for people, one step a line with its object and field beneath. */
export function packetTraceText(trace: PacketTrace): string {
  const { from, to, node } = trace;
  const named = to.text !== to.address;
  const where =
    to.address === "" ? `port ${to.port}` : trace.verdict === "alias" ? to.address : at(to.address, to.port);
  const lines = [
    `from  ${from.text === from.address ? from.address : `${from.text} (${from.address})`}${from.node ? ` on ${from.node}` : ""}`,
    `to    ${named ? `${to.text} (${where}/${to.protocol})` : `${where}/${to.protocol}`}`,
    `node  ${node}`,
    "",
    ...trace.hops.flatMap(hopLines),
  ];
  if (trace.endpoints.length > 0) lines.push("", ...endpointLines(trace.endpoints));
  lines.push("", `=> ${words[trace.verdict]}: ${trace.reason}`);
  for (const other of trace.otherNodes) lines.push(`   on ${other.node} ${words[other.verdict]}: ${other.reason}`);
  for (const note of trace.notes) lines.push(`   note: ${note}`);
  return `${lines.join("\n")}\n`;
}

function hopLines({ step, text, owner }: Hop): string[] {
  const first = `${step.padEnd(9)} ${text}`;
  return owner ? [first, `${" ".repeat(12)}${owner.object}${owner.field ? `: ${owner.field}` : ""}`] : [first];
}

function endpointLines(endpoints: readonly TracedEndpoint[]): string[] {
  const shown = endpoints.slice(0, 20);
  const rows = shown.map(({ address, port, odds, node, pod, state, why }) => [
    odds > 0 ? percent(odds) : "-",
    at(address, port),
    node ?? "-",
    pod ?? "-",
    why === undefined || why === state ? state : `${state}; ${why}`,
  ]);
  const text = table(["ODDS", "ENDPOINT", "NODE", "POD", "STATE"], rows).trimEnd().split("\n");
  const rest = endpoints.length - shown.length;
  return rest > 0 ? [...text, `... and ${rest} more`] : text;
}

const percent = (odds: number): string => `${(odds * 100).toFixed(odds === 1 ? 0 : 1)} %`;

/** What the kernel did beside what the model says. */
export function comparisonText({ agrees, kernel, findings, unseen }: Comparison): string {
  const word = agrees === undefined ? "NOT CLEAR" : agrees ? "AGREES" : "DIFFERS";
  const lines = [`kernel ${word}: ${kernel}`, ...findings.map((each) => `   ${each}`)];
  lines.push(...unseen.map((each) => `   not seen: ${each}`));
  return `\n${lines.join("\n")}\n`;
}
