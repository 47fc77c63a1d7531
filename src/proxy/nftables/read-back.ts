import { createHash } from "node:crypto";
import type { Family } from "../../services/index.ts";
import type { Row } from "../../tables/index.ts";
import { hasChain, hasTable, ownSets, rowsInKernel, rulesInKernel } from "./kernel-rows.ts";
import { NetlinkError, type Netlink } from "../netlink.ts";
import { programOf, tableOf } from "./ruleset.ts";
import { placeOf } from "./serialise.ts";

/** What a table of ours holds. */
export interface KernelState {
  readonly rows: readonly Row[];
  /** Chains that were added to the program, as `addedChains` names them. */
  readonly chains: ReadonlySet<string>;
}

/**
 * Name of a chain without rules that says by which program, and with which rules in the kernel, a table was built: one that somebody has
 * changed since, or that another version made, has another.
 */
function stampOf(family: Family, digest: string): string {
  return `made-${createHash("sha256").update(programOf(family)).update(digest).digest("hex").slice(0, 16)}`;
}

/** Looks that are repeated when rules change meanwhile. */
const attempts = 5;

async function steadily<T>(look: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await look();
    } catch (error) {
      if (attempt === attempts || !(error instanceof NetlinkError) || error.code !== "EINTR") throw error;
    }
  }
}

/** The chains that were added, when the rules are those of this program and nobody has changed them; else undefined. Throws `NetlinkError`. */
export async function intactChains(netlink: Netlink, families: readonly Family[]): Promise<Set<string> | undefined> {
  const chains = new Set<string>();
  for (const family of families) {
    const rules = await steadily(() => rulesInKernel(netlink, family));
    if (!rules || !(await hasChain(netlink, family, stampOf(family, rules.digest)))) return undefined;
    for (const draw of rules.draws) chains.add(`${family} ${draw}`);
  }
  return chains;
}

/** Whether there is nothing of ours: neither table exists. Throws `NetlinkError`. */
export async function isEmpty(netlink: Netlink, families: readonly Family[]): Promise<boolean> {
  for (const family of families) if (await hasTable(netlink, family)) return false;
  return true;
}

/** The script that stamps tables that have just been built. Throws `NetlinkError`. */
export async function stampScript(netlink: Netlink, families: readonly Family[]): Promise<string> {
  let script = "";
  for (const family of families) {
    const rules = await steadily(() => rulesInKernel(netlink, family));
    if (rules) script += `add chain ${tableOf(family)} ${stampOf(family, rules.digest)}\n`;
  }
  return script;
}

/** The rows of these tables (as rows name them) in the kernel; undefined when they cannot be told. Throws `NetlinkError`. */
export async function readTables(netlink: Netlink, tables: readonly string[]): Promise<Row[] | undefined> {
  const all: Row[] = [];
  for (const table of tables) {
    const { name, family } = placeOf(table);
    const rows = await steadily(() => rowsInKernel(netlink, name, family));
    if (!rows) return undefined;
    for (const row of rows) all.push(row);
  }
  return all;
}

/** Names of all tables of rows. */
export function tablesOf(families: readonly Family[]): string[] {
  return families.flatMap((family) => ownSets.map((name) => (family === "IPv6" ? `${name}6` : name)));
}

/** What an earlier process left, when it can be taken over as it is. */
export async function readBack(netlink: Netlink, families: readonly Family[]): Promise<KernelState | undefined> {
  try {
    const chains = await intactChains(netlink, families);
    const rows = chains && (await readTables(netlink, tablesOf(families)));
    return chains && rows && { chains, rows };
  } catch (error) {
    if (error instanceof NetlinkError) return undefined;
    throw error;
  }
}
