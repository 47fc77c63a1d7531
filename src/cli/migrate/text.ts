import type {
  Assessment,
  ControllerReading,
  ProbeReport,
  ReplayReport,
  SettingVerdict,
  Surprise,
  Verdict,
  WritingNote,
} from "../../routing/index.ts";

/** What becomes of a line of `tcp-services` or `udp-services`; its name is `TCP 5432`. */
export type StreamVerdict = SettingVerdict;

export interface MigrationReport extends Assessment {
  /** How ingress-nginx is started, flag by flag. */
  readonly controllers: readonly Pick<ControllerReading, "object" | "flags">[];
  readonly streams: readonly StreamVerdict[];
  readonly others: readonly { readonly object: string; readonly why: string }[];
  readonly warnings: readonly string[];
  readonly replay?: ReplayReport;
  /** What the Gateway API cannot say, and requests that would fare otherwise by its objects. */
  readonly gateway?: { readonly notes: readonly WritingNote[]; readonly probes: ProbeReport };
}

const words: Readonly<Record<Verdict, string>> = {
  same: "same",
  unneeded: "not needed",
  differs: "DIFFERS",
  unreadable: "UNREADABLE",
  refused: "REFUSED",
};

/** Lines of one kind beyond which only their number is told. */
const most = 50;

/** A report for people: what is not the same first and in full, then the rest by name. */
export function migrationText(report: MigrationReport): string {
  const { ingresses, options, surprises, controllers, streams, others, replay, gateway } = report;
  const blocks: string[] = [];
  const count = (verdict: Verdict): number => ingresses.filter((each) => each.verdict === verdict).length;
  const same = count("same") + count("unneeded");
  blocks.push(
    `${ingresses.length} ${ingresses.length === 1 ? "Ingress" : "Ingresses"} of ingress-nginx: ${same} will behave the same, ${count("differs")} differ, ${count("unreadable")} cannot be read in full, ${count("refused")} would answer 500.`,
  );
  for (const verdict of ["refused", "unreadable", "differs"] as const)
    for (const { object, annotations, problems } of ingresses.filter((each) => each.verdict === verdict)) {
      const lines = [`${object}: ${words[verdict]}`, ...annotations.flatMap(settingLines)];
      for (const { field, message, remedy } of problems)
        lines.push(`  ${"PROBLEM".padEnd(10)}  ${field}: ${message}\n${indent}${remedy}`);
      blocks.push(lines.join("\n"));
    }
  const well = ingresses.filter(({ verdict }) => verdict === "same" || verdict === "unneeded");
  if (well.length > 0)
    blocks.push(
      [
        "The same:",
        ...limited(
          well.map(({ object, annotations }) => {
            const names = annotations.map(({ name }) => name).join(", ");
            return `  ${object}${names === "" ? "" : `: ${names}`}`;
          }),
        ),
      ].join("\n"),
    );
  for (const { object, flags } of controllers) {
    const told = flags.filter(({ why }) => why !== undefined);
    blocks.push([`How ingress-nginx is started (${object}):`, ...byVerdict(told).flatMap(settingLines)].join("\n"));
  }
  if (options.length > 0) blocks.push(["The ConfigMap:", ...byVerdict(options).flatMap(settingLines)].join("\n"));
  if (streams.length > 0) blocks.push(["Ports of TCP and UDP:", ...streams.flatMap(settingLines)].join("\n"));
  blocks.push(["What is surprising in ingress-nginx, and kept:", ...surprises.flatMap(surpriseLines)].join("\n"));
  if (replay) blocks.push(replayText(replay));
  if (gateway) blocks.push(gatewayText(gateway));
  if (others.length > 0)
    blocks.push(["Left alone:", ...limited(others.map(({ object, why }) => `  ${object}: ${why}`))].join("\n"));
  return `${blocks.join("\n\n")}\n`;
}

const indent = " ".repeat(14);

/** A setting, and beneath it why it is so and what to do. */
function settingLines({ name, value, verdict, why, remedy }: SettingVerdict): string[] {
  const more = [why, remedy].flatMap((text) => (text === undefined ? [] : [`${indent}${text}`]));
  return [`  ${words[verdict].padEnd(10)}  ${name}${value === "" ? "" : `: ${shortened(value)}`}`, ...more];
}

const worst: readonly Verdict[] = ["refused", "unreadable", "differs", "same", "unneeded"];

function byVerdict(settings: readonly SettingVerdict[]): SettingVerdict[] {
  return [...settings].sort((a, b) => worst.indexOf(a.verdict) - worst.indexOf(b.verdict));
}

function surpriseLines({ number, title, affects }: Surprise): string[] {
  const lines = affects.map(
    ({ object, host, effect, example }) => `     ${object} (${host || "any host"}): ${effect}\n       ${example}`,
  );
  return [`  ${number}. ${title}: ${affects.length === 0 ? "no path" : `${affects.length} paths`}`, ...limited(lines)];
}

function replayText({ lines, unread, same, different, unclear, normalised, differences, more }: ReplayReport): string {
  const head = `The access log: ${lines} lines, ${same} requests fare the same, ${different} do not, ${unclear} say too little to compare, ${unread} lines are in no known format. ${normalised} depend on their path being normalised.`;
  const rows = differences.map(
    ({ method, host, path, was, is, by, requests, line }) =>
      `  ${method} ${host}${path}  (${requests} ${requests === 1 ? "request" : "requests"}, line ${line})\n    was  ${was}\n    is   ${is}${by ? `\n    by   ${by.object}: ${by.field}` : ""}`,
  );
  return [head, ...limited(rows), ...(more > 0 ? [`  and ${more} more`] : [])].join("\n");
}

function gatewayText({ notes, probes }: NonNullable<MigrationReport["gateway"]>): string {
  return [
    `As Gateway API objects: ${notes.filter(({ kind }) => kind === "left out").length} routes are left out; of ${probes.requests} requests that stand for all paths ${probes.differences.length} fare otherwise.`,
    ...limited(
      notes.map(({ kind, object, field, message }) => `  ${kind.padEnd(8)}  ${object} (${field}): ${message}`),
    ),
    ...limited(
      probes.differences.map(
        ({ request, was, is, object }) => `  ${request}  (${object})\n    was  ${was}\n    is   ${is}`,
      ),
    ),
  ].join("\n");
}

function limited(lines: readonly string[]): string[] {
  return lines.length > most
    ? [...lines.slice(0, most), `  and ${lines.length - most} more (all of them with -o json)`]
    : [...lines];
}

/** The first line of a value: snippets have many. */
function shortened(value: string): string {
  const line = value.trim().replaceAll(/\s+/g, " ");
  return line.length > 100 ? `${line.slice(0, 97)}...` : line;
}
