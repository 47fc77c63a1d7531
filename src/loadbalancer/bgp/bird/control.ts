import { connect } from "node:net";
import type { SpokenSession } from "../speaker.ts";

/** BIRD's control socket did not answer, or refused. */
export class BirdError extends Error {
  readonly code = "BIRD";
}

const patience = 5_000;
const answerLimit = 16 << 20;

/**
 * Asks BIRD one thing through its control socket and answers with the lines, without their codes. Throws BirdError when it does not answer, or
 * answers with an error (codes 8000 and up). The command is never made of a user's text.
 */
export function askBird(path: string, command: string): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const lines: string[] = [];
    let rest = "";
    let greeted = false;
    let size = 0;
    const socket = connect(path);
    socket.setEncoding("utf8");
    const fail = (message: string) => {
      socket.destroy();
      reject(new BirdError(message));
    };
    socket.setTimeout(patience, () => fail(`BIRD has not answered for ${patience / 1000} s`));
    socket.on("error", (error) => fail(`BIRD does not answer: ${error.message}`));
    socket.on("close", () => fail("BIRD has closed its control socket"));
    socket.on("data", (chunk: string) => {
      size += chunk.length;
      if (size > answerLimit) return fail("BIRD's answer is too long");
      const found = (rest + chunk).split("\n");
      rest = found.pop() ?? "";
      for (const line of found) {
        const [, code, mark, text = ""] = /^(\d{4})([ -])(.*)$/.exec(line) ?? [];
        if (code === undefined) {
          lines.push(line.replace(/^[ +]/, ""));
          continue;
        }
        if (mark === "-") {
          lines.push(text);
          continue;
        }
        // A line with a code and no hyphen is the last of an answer; the first such line is the greeting.
        if (!greeted) {
          greeted = true;
          socket.write(`${command}\n`);
          continue;
        }
        if (Number(code) >= 8000) return fail(text || `error ${code}`);
        if (code !== "0000" && text) lines.push(text);
        resolve(lines);
        socket.destroy();
        return;
      }
    });
  });
}

/** Reads `show protocols all`: sessions by name of the protocol. */
export function readProtocols(lines: readonly string[]): ReadonlyMap<string, SpokenSession> {
  const sessions = new Map<string, SpokenSession>();
  let name: string | undefined;
  for (const line of lines) {
    const [, head] = /^(b_[0-9a-f]{16})\s+BGP\s/.exec(line) ?? [];
    if (head !== undefined) {
      name = head;
      sessions.set(name, { state: "Down", exported: 0 });
      continue;
    }
    // Another protocol begins.
    if (/^\S/.test(line)) name = undefined;
    const known = name === undefined ? undefined : sessions.get(name);
    if (name === undefined || !known) continue;
    const [, key, value = ""] = /^\s+(BGP state|Last error|Routes):\s+(.*?)\s*$/.exec(line) ?? [];
    if (key === "BGP state") sessions.set(name, { ...known, state: value });
    if (key === "Last error") sessions.set(name, { ...known, error: value });
    if (key === "Routes") {
      const [, exported = "0"] = /(\d+) exported/.exec(value) ?? [];
      sessions.set(name, { ...known, exported: Number(exported) });
    }
  }
  return sessions;
}

/** Reads `show bfd sessions`: whether the way to a neighbour is up, by its address. */
export function readBfd(lines: readonly string[]): ReadonlyMap<string, "Up" | "Down"> {
  const found = new Map<string, "Up" | "Down">();
  for (const line of lines) {
    const [, address, state] = /^([0-9a-fA-F:.]+)\s+\S+\s+(Up|Down|Init|AdminDown)\s/.exec(line) ?? [];
    if (address !== undefined) found.set(address, state === "Up" ? "Up" : "Down");
  }
  return found;
}

/** Reads `show route export NAME`: the prefixes, in order. */
export function readPrefixes(lines: readonly string[]): string[] {
  const found = lines.flatMap((line) => /^([0-9a-fA-F:.]+\/\d+)\s/.exec(line)?.[1] ?? []);
  return [...new Set(found)].sort();
}
