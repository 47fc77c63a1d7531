import {
  parseCidr,
  withoutNested,
  type Frontend,
  type NodePlan,
  type Pool,
  type PortPlan,
  type ProxyContext,
} from "../../services/index.ts";
import type { Owner, Row } from "../../tables/index.ts";
import { chainsOf, endpointChain } from "./names.ts";

/**
 * The rows of one Service. A row of `chains` is a whole chain, written anew when it changes; rows of the other tables are one
 * rule each in a chain that all Services share:
 *
 *     chains     name                        what it does (see `serialise.ts`)
 *     services   address, protocol, port     chain to go to
 *     nodeports  protocol, port              chain to go to
 *     refused    address, protocol, port, sources ("" for all)    reject or drop: no endpoint
 *     refused-nodeports  protocol, port      reject or drop
 *     guarded    address, protocol, port     whoever has not come in by now may not
 */
export function rowsOfPlan(plan: NodePlan, { podCidrs }: Pick<ProxyContext, "podCidrs">): Row[] {
  const object = `Service ${plan.key}`;
  const rows: Row[] = [];
  for (const port of plan.ports) if (port.frontends.length > 0) rows.push(...rowsOfPort(port, object, ipv4(podCidrs)));
  return rows;
}

function rowsOfPort(port: PortPlan, object: string, podCidrs: readonly string[]): Row[] {
  const rows: Row[] = [];
  const chains = chainsOf(port.id);
  const owner: Owner = { object, field: "endpoints" };
  const inside = port.frontends.filter((frontend) => frontend.kind === "ClusterIP");
  const outside = port.frontends.filter((frontend) => frontend.kind !== "ClusterIP");
  const add = (table: string, key: Row["key"], value: Row["value"], from = owner): void => {
    rows.push({ table, key, value, owner: from });
  };

  const hasCluster = port.cluster.endpoints.length > 0;
  const hasLocal = port.usesLocal && port.local.endpoints.length > 0;
  const used = new Map<string, { address: string; port: number }>();
  const pool = (name: string, { endpoints }: Pool, local: boolean): void => {
    const frontends = inside.filter((frontend) => (frontend.policy === "Local") === local);
    const members = endpoints.map((endpoint) => endpointChain(port.id, endpoint.address, endpoint.port));
    for (const [i, endpoint] of endpoints.entries()) used.set(members[i] ?? "", endpoint);
    const entries = frontends.flatMap(({ address = "", port: at }) => [address, at]);
    add(
      "chains",
      [name],
      ["pool", port.protocol.toLowerCase(), port.affinitySeconds ?? 0, frontends.length, ...entries, ...members],
    );
  };
  if (hasCluster) pool(chains.cluster, port.cluster, false);
  if (hasLocal) pool(chains.local, port.local, true);
  for (const [name, endpoint] of used)
    add(
      "chains",
      [name],
      ["endpoint", port.protocol.toLowerCase(), endpoint.address, endpoint.port, port.affinitySeconds ?? 0],
    );

  if (outside.length > 0 && hasCluster) {
    const isLocal = outside.some(({ policy }) => policy === "Local");
    add(
      "chains",
      [chains.external],
      isLocal
        ? ["external-local", chains.cluster, hasLocal ? chains.local : "", ...podCidrs]
        : ["external", chains.cluster],
    );
  }
  const ranges = outside.find(({ sourceRanges }) => sourceRanges)?.sourceRanges;
  if (ranges && hasCluster)
    add("chains", [chains.firewall], ["firewall", chains.external, ...ranges], {
      object,
      field: "spec.loadBalancerSourceRanges",
    });
  for (const frontend of port.frontends) frontendRows(frontend);
  return rows;

  function frontendRows(frontend: Frontend): void {
    const { address, kind, policy, sourceRanges } = frontend;
    const from = { object, field: frontend.field };
    const protocol = frontend.protocol.toLowerCase();
    const where = address === undefined ? [protocol, frontend.port] : [address, protocol, frontend.port];
    const local = policy === "Local";
    // An outside address with policy Local leads clients within the cluster to all endpoints.
    const leads = kind === "ClusterIP" && local ? hasLocal : hasCluster;
    if (leads) {
      const chain =
        kind === "ClusterIP"
          ? local
            ? chains.local
            : chains.cluster
          : sourceRanges
            ? chains.firewall
            : chains.external;
      add(address === undefined ? "nodeports" : "services", where, [chain], from);
    }
    const served = local ? hasLocal : hasCluster;
    if (!served) {
      const verdict = port.anywhere ? "drop" : "reject";
      if (address === undefined) add("refused-nodeports", where, [verdict], from);
      else for (const range of sourceRanges ?? [""]) add("refused", [...where, range], [verdict], from);
    }
    if (sourceRanges) add("guarded", where, [], from);
  }
}

/** Rows of the node itself: where pods live, which addresses are Services', where NodePorts answer. */
export function rowsOfContext({ podCidrs, serviceCidrs, node }: ProxyContext): Row[] {
  const row = (table: string, text: string): Row => ({
    table,
    key: [text],
    value: [],
    owner: { object: `Node ${node.name}`, field: table },
  });
  return [
    ...ipv4(podCidrs).map((text) => row("pods", text)),
    ...ipv4(serviceCidrs).map((text) => row("cidrs", text)),
    ...node.addresses.flatMap((address) => [row("nodes", address), row("refusing-nodes", address)]),
  ];
}

function ipv4(texts: readonly string[]): string[] {
  return withoutNested(texts.flatMap((text) => parseCidr(text) ?? []).filter(({ family }) => family === "IPv4")).map(
    ({ text }) => text,
  );
}
