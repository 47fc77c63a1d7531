import type { Assessment, ProbeReport, ReplayReport, Surprise, Verdict, WritingNote } from "../../routing/index.ts";

export interface MigrationReport extends Assessment {
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

/** A report for people: what is not the same first. */
export function migrationText(report: MigrationReport): string {
  const { ingresses, options, surprises, others, replay, gateway } = report;
  const blocks: string[] = [];
  const count = (verdict: Verdict): number => ingresses.filter((each) => each.verdict === verdict).length;
  const same = count("same") + count("unneeded");
  blocks.push(
    `${ingresses.length} ${ingresses.length === 1 ? "Ingress" : "Ingresses"} of ingress-nginx: ${same} will behave the same, ${count("differs")} differ, ${count("unreadable")} cannot be read in full, ${count("refused")} would answer 500.`,
  );
  for (const { object, verdict, annotations, problems } of ingresses) {
    const lines = [`${object}: ${words[verdict]}`];
    for (const { name, value, verdict: one, why } of annotations)
      lines.push(
        `  ${words[one].padEnd(10)}  ${name}: ${shortened(value)}${why === undefined ? "" : `\n${" ".repeat(14)}${why}`}`,
      );
    for (const { field, message, remedy } of problems)
      lines.push(`  ${"PROBLEM".padEnd(10)}  ${field}: ${message}\n${" ".repeat(14)}${remedy}`);
    blocks.push(lines.join("\n"));
  }
  if (options.length > 0)
    blocks.push(
      [
        "The ConfigMap:",
        ...options.map(
          ({ name, value, verdict, why }) =>
            `  ${words[verdict].padEnd(10)}  ${name}: ${shortened(value)}${why === undefined ? "" : ` (${why})`}`,
        ),
      ].join("\n"),
    );
  blocks.push(["What is surprising in ingress-nginx, and kept:", ...surprises.flatMap(surpriseLines)].join("\n"));
  if (replay) blocks.push(replayText(replay));
  if (gateway) blocks.push(gatewayText(gateway));
  if (others.length > 0)
    blocks.push(["Left alone:", ...limited(others.map(({ object, why }) => `  ${object}: ${why}`))].join("\n"));
  return `${blocks.join("\n\n")}\n`;
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
