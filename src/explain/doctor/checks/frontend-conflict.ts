import type { Check } from "../check.ts";

/** Two Services claim one address and port: the older has it. */
export const frontendConflict: Check = {
  code: "frontend-taken",
  about: "an address and port that an older Service has",
  reads: "Services, and what the node's proxy tells",
  *run({ services, cluster, frontends }) {
    const node = cluster.objects.nodes[0]?.metadata.name ?? "";
    for (const { key, object } of services) {
      const conflicts = cluster.modelOf(node).plan(key)?.conflicts ?? [];
      for (const { frontend, winner } of conflicts) {
        const where = `${frontend.address ?? "every node"} port ${frontend.port}/${frontend.protocol}`;
        yield {
          severity: "error",
          object,
          field: frontend.field,
          problem: `${where} belongs to Service ${winner}, which is older`,
          evidence: [`both ask for ${where}`],
          remedy: "change the address or the port of one of them",
        };
      }
      if (conflicts.length > 0) continue;
      for (const state of frontends.filter(({ service, problem }) => service === key && problem !== undefined)) {
        yield {
          severity: "error",
          object,
          field: "spec.ports",
          problem: `its ${state.kind} ${state.address ?? ""} port ${state.port}/${state.protocol} is not served: ${state.problem ?? ""}`,
          evidence: ["told by the node's proxy"],
          remedy: "free the port on the node, or give the Service another",
        };
      }
    }
  },
};
