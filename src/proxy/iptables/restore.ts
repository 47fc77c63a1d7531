import type { Row, Transaction } from "../../tables/index.ts";
import type { Family } from "../../services/index.ts";
import { serviceChain } from "./names.ts";
import { chainOf, constant, isChain, ruleOf, type Rule } from "./serialise.ts";

/** What is in the kernel before everything is built anew. */
export interface Found {
  /** Chains of Services in the table nat that an earlier process left; they go when nothing leads to them any more. */
  readonly stale: readonly string[];
  /** Of `hooks`, those that are missing. */
  readonly missing: readonly Hook[];
}
/** By family; of a change that builds on what is there, nothing. */
export type FoundByFamily = Readonly<Partial<Record<Family, Found>>>;

/**
 * The transaction as `iptables-restore --noflush` and `ip6tables-restore --noflush` read it ("" when there is nothing to do), and
 * the rows that are left out because they do not fit. Each table of a family is taken as a whole or not at all. Of a chain that
 * all Services share only the rules that change are named.
 */
export function restoreOf(
  transaction: Transaction,
  found: FoundByFamily,
  families: readonly Family[],
): { inputs: Readonly<Record<Family, string>>; refused: readonly Row[] } {
  const refused: Row[] = [];
  const parts = { IPv4: createPart(found.IPv4), IPv6: createPart(found.IPv6) };
  for (const row of transaction.remove) {
    if (isChain(row)) {
      const chain = chainOf(row);
      if (chain) parts[chain.family].gone.add(chain.name);
    } else {
      const rule = ruleOf(row);
      if (rule) parts[rule.family].removed.push(rule);
    }
  }
  for (const row of transaction.add) {
    const chain = isChain(row) ? chainOf(row) : undefined;
    const rule = isChain(row) ? undefined : ruleOf(row);
    if (chain) {
      const { declared, gone, filled } = parts[chain.family];
      declared.add(chain.name);
      gone.delete(chain.name);
      for (const text of chain.rules) filled.push(`-A ${chain.name} ${text}`);
    } else if (rule) parts[rule.family].added.push(rule);
    else refused.push(row);
  }
  const inputOf = (family: Family): string =>
    families.includes(family) ? textOf(parts[family], transaction.reset ? constant(family) : undefined) : "";
  return { inputs: { IPv4: inputOf("IPv4"), IPv6: inputOf("IPv6") }, refused };
}

/** What a transaction does in one family. */
interface Part {
  readonly declared: Set<string>;
  readonly gone: Set<string>;
  readonly filled: string[];
  readonly removed: Rule[];
  readonly added: Rule[];
  readonly missing: readonly Hook[];
}

function createPart({ stale, missing }: Found = { stale: [], missing: [] }): Part {
  return { declared: new Set(), gone: new Set(stale), filled: [], removed: [], added: [], missing };
}

/** @param program the chains that do not change, where they are to be built anew */
function textOf(
  { declared, gone, filled, removed, added, missing }: Part,
  program: ReturnType<typeof constant> | undefined,
): string {
  const part = (table: Rule["table"]): string => {
    const own = program ? Object.entries(program[table]) : [];
    const chains = table === "nat" ? [...declared, ...gone] : [];
    const lines = [
      // To declare a chain empties it: what is no more in use can then go.
      ...[...own.map(([name]) => name), ...chains].map((name) => `:${name} - [0:0]`),
      ...removed.filter((rule) => rule.table === table).map(({ chain, rule }) => `-D ${chain} ${rule}`),
      ...own.flatMap(([name, rules]) => rules.map((rule) => `-A ${name} ${rule}`)),
      ...(table === "nat" ? filled : []),
      ...added
        .filter((rule) => rule.table === table)
        .map(({ chain, rule, first }) => `${first ? "-I" : "-A"} ${chain} ${rule}`),
      ...(table === "nat" ? [...gone].map((name) => `-X ${name}`) : []),
      // Before all other rules: the last that is put first is first.
      ...missing
        .filter((hook) => hook.table === table)
        .toReversed()
        .map(({ chain, rule }) => `-I ${chain} ${rule}`),
    ];
    return lines.length === 0 ? "" : `*${table}\n${lines.join("\n")}\nCOMMIT\n`;
  };
  // Translation comes first: until it works, `filter` would refuse what another mode still serves.
  return part("nat") + part("filter");
}

/** Where packets come into the program: chain of the kernel, what is looked at, and where it leads. */
export interface Hook {
  readonly table: Rule["table"];
  readonly chain: string;
  readonly rule: string;
}
const newOnly = "-m conntrack --ctstate NEW";
/** In the order in which they are to be passed. */
export const hooks: readonly Hook[] = [
  { table: "nat", chain: "PREROUTING", rule: "-j KUBE-SERVICES" },
  { table: "nat", chain: "OUTPUT", rule: "-j KUBE-SERVICES" },
  { table: "nat", chain: "POSTROUTING", rule: "-j KUBE-POSTROUTING" },
  { table: "filter", chain: "FORWARD", rule: "-j KUBE-FORWARD" },
  ...["INPUT", "FORWARD", "OUTPUT"].flatMap((chain) =>
    ["KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL", "KUBE-UNKNOWN-SERVICES"].map((target) => ({
      table: "filter" as const,
      chain,
      rule: `${newOnly} -j ${target}`,
    })),
  ),
];

/** What is there by the output of `iptables-save` for both tables: each call of iptables instead, to look for one hook, reads all rules. */
export function foundIn(saved: Readonly<Record<Rule["table"], string>>): Found {
  const stale = [...saved.nat.matchAll(/^:(\S+) /gm)].map(([, name = ""]) => name);
  const lines = { nat: new Set(saved.nat.split("\n")), filter: new Set(saved.filter.split("\n")) };
  return {
    stale: stale.filter((name) => serviceChain.test(name)),
    missing: hooks.filter(({ table, chain, rule }) => !lines[table].has(`-A ${chain} ${rule}`)),
  };
}
