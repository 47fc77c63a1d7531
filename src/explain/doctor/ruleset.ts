import type { ForeignChain } from "./node-facts.ts";

/** What of `nft -j list table` counts here. */
interface Entry {
  readonly chain?: {
    readonly name?: string;
    readonly type?: string;
    readonly hook?: string;
    readonly policy?: string;
  };
  readonly rule?: { readonly chain?: string; readonly expr?: readonly Readonly<Record<string, unknown>>[] };
}

/** Chains of a table that may stop packets, from the text of `nft -j list table`. Chains of iptables that are a proxy's are passed over. */
export function foreignChains(table: string, json: string): ForeignChain[] {
  const { nftables = [] } = JSON.parse(json) as { nftables?: readonly Entry[] };
  const drops = new Map<string, number>();
  const leads = new Map<string, Set<string>>();
  for (const { rule } of nftables) {
    if (rule?.chain === undefined) continue;
    for (const expression of rule.expr ?? []) {
      if ("drop" in expression || "reject" in expression) drops.set(rule.chain, (drops.get(rule.chain) ?? 0) + 1);
      const jump = (expression["jump"] ?? expression["goto"]) as { target?: string } | undefined;
      if (jump?.target === undefined) continue;
      const targets = leads.get(rule.chain) ?? new Set();
      leads.set(rule.chain, targets.add(jump.target));
    }
  }
  return nftables.flatMap(({ chain }) => {
    const { name, hook, type, policy } = chain ?? {};
    if (name === undefined || hook === undefined || type !== "filter") return [];
    const seen = new Set<string>();
    const count = (each: string): number => {
      if (seen.has(each) || each.startsWith("KUBE-")) return 0;
      seen.add(each);
      return [...(leads.get(each) ?? [])].reduce((sum, target) => sum + count(target), drops.get(each) ?? 0);
    };
    return [{ table, chain: name, hook, policy: policy === "drop" ? "drop" : "accept", dropping: count(name) }];
  });
}

/** Families and names from the text of `nft -j list tables`. */
export function tablesIn(json: string): { readonly family: string; readonly name: string }[] {
  const { nftables = [] } = JSON.parse(json) as {
    nftables?: readonly { table?: { family?: string; name?: string } }[];
  };
  return nftables.flatMap(({ table }) =>
    table?.family && table.name ? [{ family: table.family, name: table.name }] : [],
  );
}
