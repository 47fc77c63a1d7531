import { runOrThrow, type CommandRunner } from "../../system/index.ts";
import type { Program } from "../../tables/index.ts";
import { attribute, familyNumber, kinds, nameIn, type Message, type Netlink } from "../netlink.ts";
import { createTamperWatch } from "../tamper-watch.ts";
import { serviceChain } from "./names.ts";
import type { Family } from "../../services/index.ts";
import { foundIn, hooks, restoreOf, type FoundByFamily } from "./restore.ts";
import { constant, type Rule } from "./serialise.ts";
import { createSizeWatch, type TableSizes } from "./table-size.ts";

/** iptables-restore refused the rules. */
export class IptablesError extends Error {
  readonly code = "IPTABLES_REFUSED";

  constructor(said: string) {
    super(`iptables-restore: ${said.trim().split("\n").slice(0, 4).join(" | ")}`);
    this.name = "IptablesError";
  }
}

/** Seconds to wait for another program that changes rules. */
const patience = "5";
const timeout = 300_000;

const both: readonly Family[] = ["IPv4", "IPv6"];
/** The programs of a family begin so. */
const tool: Readonly<Record<Family, string>> = { IPv4: "iptables", IPv6: "ip6tables" };

/** A program that can tell whether others have changed it. */
export interface IptablesProgram extends Program {
  /** Whether somebody else has changed our chains, or what leads to them, since the last look. */
  isDamaged(): Promise<boolean>;
}

/**
 * Services by iptables: only what changes is handed to `iptables-restore --noflush`, and its like of IPv6.
 * @param netlink how changes by others are seen, where iptables is made of nftables; without it only that the hooks are gone is seen
 * @param sizes where there is no netlink: when it is worth while to look
 */
export function createIptablesProgram(
  commands: CommandRunner,
  families: readonly Family[],
  netlink?: Netlink,
  sizes?: TableSizes,
): IptablesProgram {
  const watch = netlink && createTamperWatch(netlink, touchedBy);
  const sizeWatch = createSizeWatch(() => sizes?.now(families));
  const ownChange = (change: () => Promise<number>, fresh: boolean) =>
    watch ? watch.ownChange(change, fresh) : sizeWatch.ownChange(() => change().then(() => {}));
  return {
    async isDamaged() {
      if (!watch) return sizeWatch.isDamaged(() => isIptablesProgramThere(commands, families));
      const touched = watch.touched();
      // What was not heard may be anything.
      if (touched === "lost" || touched.has(chains)) return true;
      return touched.size > 0 && !(await isIptablesProgramThere(commands, families));
    },
    async check(transaction) {
      const found = transaction.reset ? await lookAround(commands, families) : {};
      const { inputs } = restoreOf(transaction, found, families);
      for (const family of families) {
        const args = ["-w", patience, "--noflush", "--test"];
        if (inputs[family] === "") continue;
        const { code } = await commands.run(`${tool[family]}-restore`, args, { input: inputs[family], timeout });
        if (code !== 0) return false;
      }
      return true;
    },
    async apply(transaction) {
      const found = transaction.reset ? await lookAround(commands, families) : {};
      const { inputs, refused } = restoreOf(transaction, found, families);
      await ownChange(async () => {
        let made = 0;
        for (const family of families) {
          if (inputs[family] !== "") await restore(commands, family, inputs[family]);
          made += inputs[family].match(/^COMMIT$/gm)?.length ?? 0;
        }
        return made;
      }, transaction.reset);
      return refused;
    },
  };
}

async function restore(commands: CommandRunner, family: Family, input: string): Promise<void> {
  const result = await commands.run(`${tool[family]}-restore`, ["-w", patience, "--noflush"], { input, timeout });
  if (result.code !== 0) throw new IptablesError(result.stderr || `exit code ${result.code}`);
}

async function lookAround(commands: CommandRunner, families: readonly Family[]): Promise<FoundByFamily> {
  const found: { -readonly [family in Family]?: FoundByFamily[family] } = {};
  for (const family of families)
    found[family] = foundIn({
      nat: await saved(commands, family, "nat"),
      filter: await saved(commands, family, "filter"),
    });
  return found;
}

const saved = (commands: CommandRunner, family: Family, table: Rule["table"]): Promise<string> =>
  runOrThrow(commands, `${tool[family]}-save`, ["-t", table], { timeout });

/** Chains of Services that are in the kernel now. */
async function chainsThere(commands: CommandRunner, family: Family): Promise<readonly string[]> {
  return foundIn({ nat: await saved(commands, family, "nat"), filter: "" }).stale;
}

/** What a change touches: chains of ours, or those of the kernel that lead there. */
const [chains, leading] = ["chains", "leading"];
const constantChains = new Set(Object.values(constant("IPv4")).flatMap((of) => Object.keys(of)));

function touchedBy({ kind, family, attributes }: Message): string | undefined {
  if (family !== familyNumber.ip && family !== familyNumber.ip6) return undefined;
  const table = nameIn(attribute(attributes, 1));
  if (table !== "nat" && table !== "filter") return undefined;
  if (kind === kinds.delTable) return leading;
  const isRule = kind === kinds.newRule || kind === kinds.delRule;
  if (!isRule && kind !== kinds.newChain && kind !== kinds.delChain) return undefined;
  const chain = nameIn(attribute(attributes, isRule ? 2 : 3));
  if (constantChains.has(chain) || serviceChain.test(chain)) return chains;
  return isRule && kind === kinds.newRule ? undefined : leading;
}

const inFilter = (is: boolean) => hooks.filter(({ table }) => (table === "filter") === is);

/** Whether packets still come into the program: false after somebody else has flushed it. */
export async function isIptablesProgramThere(commands: CommandRunner, families: readonly Family[]): Promise<boolean> {
  for (const family of families) {
    const has = async (table: Rule["table"], chain: string, rule: string): Promise<boolean> =>
      (await commands.run(tool[family], ["-w", patience, "-t", table, "-C", chain, ...rule.split(" ")])).code === 0;
    const isThere =
      (await has("nat", "PREROUTING", "-j KUBE-SERVICES")) &&
      (await has("nat", "KUBE-POSTROUTING", "-m mark ! --mark 0x4000/0x4000 -j RETURN"));
    if (!isThere) return false;
  }
  return true;
}

/** Why iptables can not be used here; undefined when it can. Builds one chain with every match that is needed, and takes it away again. */
export async function whyNoIptables(commands: CommandRunner, families: readonly Family[]): Promise<string | undefined> {
  const name = "KUBE-PROBE";
  const inputOf = (target: string) => `*nat
:${name} - [0:0]
-A ${name} -m recent --name ${name} --rcheck --seconds 1 --reap --rsource -j RETURN
-A ${name} -m statistic --mode random --probability 0.5 -j RETURN
-A ${name} -m addrtype --src-type LOCAL -j MARK --or-mark 0x4000
-A ${name} -p tcp -m tcp -j DNAT --to-destination ${target}
COMMIT
*nat
:${name} - [0:0]
-X ${name}
COMMIT
`;
  try {
    for (const family of families)
      await restore(commands, family, inputOf(family === "IPv4" ? "192.0.2.1:1" : "[2001:db8::1]:1"));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Takes everything of the program out of the kernel. Rules of kube-proxy, which have the same names, stay. */
export async function removeIptablesProgram(commands: CommandRunner): Promise<void> {
  for (const family of both) await removeFamily(commands, family);
}

async function removeFamily(commands: CommandRunner, family: Family): Promise<void> {
  // A chain that only this program has.
  const own = await commands.run(tool[family], ["-w", patience, "-S", "KUBE-UNKNOWN-SERVICES"]).catch(() => undefined);
  if (own?.code !== 0) return;
  // First what refuses, then what leads: another mode may serve already.
  for (const { table, chain, rule } of [...inFilter(true), ...inFilter(false)])
    await commands
      .run(tool[family], ["-w", patience, "-t", table, "-D", chain, ...rule.split(" ")])
      .catch(() => undefined);
  const services = await chainsThere(commands, family).catch(() => []);
  const part = (table: Rule["table"], names: readonly string[]): string =>
    `*${table}\n${names.map((name) => `:${name} - [0:0]\n`).join("")}${names.map((name) => `-X ${name}\n`).join("")}COMMIT\n`;
  const { nat, filter } = constant(family);
  const input = part("nat", [...Object.keys(nat), ...services]) + part("filter", Object.keys(filter));
  await restore(commands, family, input).catch(() => {});
}
