import type { CommandRunner, Metrics } from "../../system/index.ts";

/** Rules by table: how many there are, and how many the last restore wrote. */
export interface RuleCount {
  /** `iptables-restore --noflush` has taken this. */
  note(input: string): void;
  readonly total: Readonly<Record<string, number>>;
  readonly last: Readonly<Record<string, number>>;
}

/** Follows what is given to iptables-restore, so that nobody has to list the rules to count them. */
export function createRuleCount(): RuleCount {
  const tables = new Map<string, Map<string, number>>();
  const total: Record<string, number> = { nat: 0, filter: 0 };
  const last: Record<string, number> = { nat: 0, filter: 0 };
  return {
    total,
    last,
    note(input) {
      let table = "";
      let chains = new Map<string, number>();
      const change = (chain: string, by: number): void => {
        chains.set(chain, (chains.get(chain) ?? 0) + by);
        total[table] = (total[table] ?? 0) + by;
      };
      for (const line of input.split("\n")) {
        const [verb = "", chain = ""] = line.split(" ", 2);
        if (verb.startsWith("*")) {
          table = verb.slice(1);
          chains = tables.get(table) ?? new Map<string, number>();
          tables.set(table, chains);
          last[table] = 0;
        } else if (verb.startsWith(":")) {
          // To declare a chain empties it.
          change(verb.slice(1), -(chains.get(verb.slice(1)) ?? 0));
        } else if (verb === "-A" || verb === "-I") {
          change(chain, 1);
          last[table] = (last[table] ?? 0) + 1;
        } else if (verb === "-D") change(chain, -1);
        else if (verb === "-X") chains.delete(chain);
      }
    },
  };
}

const families: Readonly<Record<string, string>> = { "iptables-restore": "IPv4", "ip6tables-restore": "IPv6" };

/** The same commands; what goes through iptables-restore is counted under kube-proxy's names. */
export function countingRules(commands: CommandRunner, metrics: Metrics): CommandRunner {
  const counts = new Map<string, RuleCount>();
  const gauge = (name: string, help: string) =>
    metrics.gauge(`kubeproxy_sync_proxy_rules_iptables_${name}`, help, ["ip_family", "table"]);
  const total = gauge("total", "Rules of iptables that the proxy has.");
  const last = gauge("last", "Rules that the last step wrote.");
  return {
    async run(file, args, options) {
      const result = await commands.run(file, args, options);
      const family = families[file];
      if (family === undefined || result.code !== 0 || typeof options?.input !== "string") return result;
      const count = counts.get(family) ?? createRuleCount();
      counts.set(family, count);
      count.note(options.input);
      for (const table of ["nat", "filter"]) {
        total(family, table).set(count.total[table] ?? 0);
        last(family, table).set(count.last[table] ?? 0);
      }
      return result;
    },
  };
}
