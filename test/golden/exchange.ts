import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { parse, stringify } from "yaml";

/** What a client sends, and what it gets. `{{name.path}}` in a request stands for a value of the answer that was saved as `name`. */
export interface Exchange {
  readonly what: string;
  /** The place in Kubernetes' documents that says so. */
  readonly follows: string;
  /** Method and path with query. */
  readonly request: string;
  /** Who asks, and the groups; absent: an administrator. */
  readonly as?: { readonly user: string; readonly groups?: readonly string[] };
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is. */
  readonly text?: string;
  /** A body of this many bytes: a ConfigMap with one long value. */
  readonly bytes?: number;
  /** How many frames of a watch to wait for. */
  readonly frames?: number;
  readonly save?: string;
  /** Whether managed fields are compared, too. */
  readonly managedFields?: boolean;
  /** Without the administrator's credentials. Can not be asked in process. */
  readonly anonymous?: boolean;
  /** Before it is asked, the store forgets all versions but the present one. */
  readonly forget?: boolean;
  /** Where the answer of this server is known to be another; a test that comes to pass says that this is to go. */
  readonly differs?: string;
  /** Why it is to stay another. */
  readonly why?: string;
  readonly answer: Answer;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Parsed where it is JSON; the frames where it is a watch. */
  readonly body?: unknown;
}

export interface Family {
  readonly family: string;
  /** The store had a past before the server was started, and has forgotten it. Answers are written from the specification. */
  readonly late?: boolean;
  /** Requests that must succeed before. */
  readonly setup?: readonly Pick<Exchange, "request" | "body" | "headers">[];
  readonly exchanges: readonly Exchange[];
}

const folder = new URL("exchanges/", import.meta.url);

export function familyFiles(): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".yaml"))
    .sort();
}

export function readFamily(file: string): Family {
  return parse(readFileSync(new URL(file, folder), "utf8")) as Family;
}

/** Writes a family: names and requests as YAML, objects as JSON that is broken into lines. */
export function writeFamily(file: string, { family, late, setup = [], exchanges }: Family): void {
  const lines = [`family: ${family}`, ...(late ? ["late: true"] : [])];
  if (setup.length > 0) lines.push("setup:", ...setup.flatMap((request) => item(request)));
  lines.push("exchanges:");
  for (const exchange of exchanges) lines.push("", ...item(exchange));
  writeFileSync(new URL(file, folder), `${lines.join("\n")}\n`);
}

const indented = (lines: readonly string[]): string[] => lines.map((line) => `    ${line}`);

function item(values: object): string[] {
  const [first = "", ...rest] = indented(entries(values));
  return [`  - ${first.trimStart()}`, ...rest];
}

function entries(values: object): string[] {
  return Object.entries(values).flatMap(([key, value]: [string, unknown]) => {
    if (key === "answer") return [`${key}:`, ...entries(value as object).map((line) => `  ${line}`)];
    if (typeof value !== "object" || value === null)
      return stringify({ [key]: value }, { lineWidth: 0 })
        .trimEnd()
        .split("\n");
    const filled = fill(JSON.stringify(value));
    return filled.length === 1 ? [`${key}: ${filled[0]}`] : [`${key}:`, ...filled.map((line) => `  ${line}`)];
  });
}

/** JSON in lines of some 140 characters, broken between values. */
function fill(json: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const part of json.match(/"(?:[^"\\]|\\.)*"|[^",]+|,/g) ?? []) {
    if (line.length + part.length > 140 && line.endsWith(",")) {
      lines.push(line);
      line = "";
    }
    line += part;
  }
  return [...lines, line];
}
