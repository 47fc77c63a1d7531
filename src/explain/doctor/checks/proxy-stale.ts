import type { Check } from "../check.ts";

/** The proxy's own health: rows that are not up to date serve what was true once. */
export const proxyStale: Check = {
  code: "proxy-not-synced",
  about: "a proxy that does not answer, or whose rows are not up to date",
  reads: "the proxy's /healthz",
  *run({ nodes }) {
    for (const { node, health } of nodes) {
      if (!health || health.status === 200) continue;
      yield {
        severity: "error",
        object: `Node ${node}`,
        field: "",
        problem:
          health.status === 0
            ? "its Service proxy does not answer: changes do not come into force"
            : `its Service proxy says ${health.status}: changes wait for more than a minute`,
        evidence: [`/healthz: ${health.text}`],
        remedy: "look at the proxy's log; the rows that it made before still serve",
      };
    }
  },
};
