import { readdir } from "node:fs/promises";
import type { CommandResult, CommandRunner } from "../../system/index.ts";

/** A network namespace of this machine by its path; undefined: this process's own. */
export type Place = string | undefined;

const folder = "/run/netns";

/** Names of the network namespaces that `ip netns` knows. */
async function namedNamespaces(): Promise<readonly string[]> {
  return readdir(folder).catch(() => []);
}

/** Which namespace has each address; this process's own before others. Loopback is its own. */
export async function holders(
  commands: CommandRunner,
  namespaces: () => Promise<readonly string[]> = namedNamespaces,
): Promise<ReadonlyMap<string, { readonly place: Place }>> {
  const places: Place[] = [undefined, ...(await namespaces()).map((name) => `${folder}/${name}`)];
  const held = new Map<string, { place: Place }>();
  for (const place of places) {
    const { code, stdout } = await run(commands, place, "ip", ["-j", "address", "show"]).catch(() => none);
    if (code !== 0) continue;
    const devices = JSON.parse(stdout || "[]") as { addr_info?: { local?: string }[] }[];
    for (const { addr_info: all = [] } of devices)
      for (const { local } of all) if (local !== undefined && !held.has(local)) held.set(local, { place });
  }
  return held;
}

const none = { code: 1, stdout: "" };

/** Runs a program in a network namespace. */
export function run(
  commands: CommandRunner,
  place: Place,
  file: string,
  args: readonly string[],
  input = "",
  timeout = 30_000,
): Promise<CommandResult> {
  const [first, words] = place === undefined ? [file, args] : ["nsenter", [`--net=${place}`, "--", file, ...args]];
  return commands.run(first, words, { input, timeout });
}
