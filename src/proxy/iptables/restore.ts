import type { Row, Transaction } from "../../tables/index.ts";
import { chainOf, constant, ruleOf, type Rule } from "./serialise.ts";

/**
 * The transaction as `iptables-restore --noflush` reads it, and the rows that are left out because they do not fit. Each of the
 * two tables is taken as a whole or not at all. Of a chain that all Services share only the rules that change are named.
 * @param stale chains in the table nat that an earlier process left; they go when nothing leads to them any more
 */
export function restoreOf(
  transaction: Transaction,
  stale: Iterable<string>,
): { input: string; refused: readonly Row[] } {
  const refused: Row[] = [];
  const declared = new Set<string>();
  const gone = new Set<string>(transaction.reset ? stale : []);
  const filled: string[] = [];
  const removed: Rule[] = [];
  const added: Rule[] = [];
  for (const row of transaction.remove) {
    if (row.table === "chains") {
      const chain = chainOf(row);
      if (chain) gone.add(chain.name);
    } else {
      const rule = ruleOf(row);
      if (rule) removed.push(rule);
    }
  }
  for (const row of transaction.add) {
    const chain = row.table === "chains" ? chainOf(row) : undefined;
    const rule = row.table === "chains" ? undefined : ruleOf(row);
    if (chain) {
      declared.add(chain.name);
      gone.delete(chain.name);
      for (const text of chain.rules) filled.push(`-A ${chain.name} ${text}`);
    } else if (rule) added.push(rule);
    else refused.push(row);
  }
  const part = (table: Rule["table"]): string => {
    const own = transaction.reset ? Object.entries(constant[table]) : [];
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
    ];
    return lines.length === 0 ? "" : `*${table}\n${lines.join("\n")}\nCOMMIT\n`;
  };
  return { input: part("nat") + part("filter"), refused };
}

/** Where packets come into the program: chain of the kernel, what is looked at, and where it leads. In the order in which they are to be passed. */
const newOnly = "-m conntrack --ctstate NEW";
export const hooks: readonly { readonly table: Rule["table"]; readonly chain: string; readonly rule: string }[] = [
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
