import type { Balance, Timeouts } from "../../../routing/index.ts";

/** What is taken over of the annotation `config`: sections of HAProxy's configuration. */
export interface CustomConfig {
  readonly balance?: Balance;
  /** Of one port, by `frontend PORT`. */
  readonly balanceOfPort: ReadonlyMap<number, Balance>;
  readonly timeouts: Timeouts;
  /** What means nothing here, as it was written. */
  readonly ignored: readonly string[];
}

const sections = new Set(["backend", "frontend", "global", "defaults", "listen", "userlist", "peers", "mailers"]);
const algorithms = new Map<string, Balance>([
  ["roundrobin", "roundrobin"],
  ["static-rr", "roundrobin"],
  ["leastconn", "leastconn"],
  ["first", "first"],
  ["source", "source"],
]);
const mostLines = 1_000;
/** Milliseconds in HAProxy's units of time; without one it is milliseconds. */
const units = new Map([
  ["", 1],
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
]);

/**
 * Reads the annotation `config` of lb-controller. What it says about balancing and time-outs is understood and nothing of it reaches a configuration
 * as text: whoever may write an Ingress could otherwise write anything into the proxy of all. Pure.
 */
export function readCustomConfig(text: string): CustomConfig {
  let section = "";
  let balance: Balance | undefined;
  const balanceOfPort = new Map<number, Balance>();
  const timeouts: { connect?: number; read?: number } = {};
  const ignored: string[] = [];
  const lines = text.split("\n", mostLines + 1);
  for (const line of lines.slice(0, mostLines)) {
    const words = line.trim().split(/\s+/);
    const [word = "", ...rest] = words;
    if (word === "" || word.startsWith("#")) continue;
    if (sections.has(word.toLowerCase())) {
      section = [word.toLowerCase(), ...rest].join(" ");
      continue;
    }
    if (!understand(word, rest)) ignored.push(`${section ? `${section}: ` : ""}${words.join(" ")}`.slice(0, 80));
  }
  if (lines.length > mostLines) ignored.push(`all after line ${mostLines}`);
  return { ...(balance ? { balance } : {}), balanceOfPort, timeouts, ignored };

  function understand(word: string, rest: readonly string[]): boolean {
    const [first = "", second = ""] = rest;
    if (word === "balance") {
      const found = algorithms.get(first);
      const port = /^frontend (\d{1,5})$/.exec(section)?.[1];
      if (!found || rest.length > 1) return false;
      if (section === "defaults") balance = found;
      else if (port) balanceOfPort.set(Number(port), found);
      else return false;
      return true;
    }
    if (word === "timeout" && section === "defaults" && rest.length === 2) {
      const [, digits = "", unit = ""] = /^(\d{1,9})([a-z]*)$/.exec(second) ?? [];
      const scale = units.get(unit);
      if (digits === "" || scale === undefined) return false;
      const time = Math.min(Number(digits) * scale, 86_400_000);
      if (first === "connect") timeouts.connect = time;
      else if (first === "server") timeouts.read = time;
      else return false;
      return true;
    }
    return false;
  }
}
