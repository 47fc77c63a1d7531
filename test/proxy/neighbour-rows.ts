import type { ProxyMode } from "../../src/proxy/index.ts";
import { runOrThrow, systemCommands } from "../../src/system/index.ts";

const run = (file: string, ...args: string[]): Promise<string> => runOrThrow(systemCommands, file, args);
/** Their frontends and endpoints, as they are written in rows. */
const ofNeighbours = /\b(?:10\.96\.4\.[12]|10\.42\.2\.[34]|30900)\b/;

/** What the kernel has for the sound Services of the suite of malformed objects, line by line: of a socket its inode too. */
export function neighbourRows(mode: ProxyMode): Promise<string[]> {
  return rowsIn[mode]();
}

const rowsIn: Readonly<Record<ProxyMode, () => Promise<string[]>>> = {
  async nftables() {
    type Holder = { readonly name: string; readonly elem?: readonly unknown[] };
    const { nftables } = JSON.parse(await run("nft", "-j", "list", "ruleset")) as {
      nftables: { readonly map?: Holder; readonly set?: Holder }[];
    };
    return nftables
      .flatMap(({ map, set }) => {
        const holder = map ?? set;
        return (holder?.elem ?? []).map((element) => `${holder?.name} ${JSON.stringify(element)}`);
      })
      .filter((line) => ofNeighbours.test(line))
      .toSorted();
  },
  async iptables() {
    const rules = (await run("iptables-save")).split("\n").filter((line) => line.startsWith("-A"));
    const direct = rules.filter((line) => ofNeighbours.test(line));
    // And what is in the chains of these Services and their endpoints.
    const chains = new Set(direct.flatMap((line) => line.match(/\bKUBE-(?:SVC|SVL|EXT|SEP)-\w+/g) ?? []));
    return rules.filter((line) => direct.includes(line) || chains.has(line.split(" ")[1] ?? ""));
  },
  async userspace() {
    const lines = (await run("ss", "-Hltne"))
      .split("\n")
      .filter((line) => ofNeighbours.test(line.split(/\s+/)[3] ?? ""));
    return lines.map((line) => `${line.split(/\s+/)[3]} ${/ino:\d+/.exec(line)?.[0]}`).toSorted();
  },
};
