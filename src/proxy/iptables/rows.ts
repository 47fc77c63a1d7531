import {
  loadBalancerAddresses,
  parseCidr,
  tellsPods,
  withoutNested,
  type Family,
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
 *     logged     address, protocol, port     told of before it is refused; logged-nodeports as well
 *     guarded    address, protocol, port     whoever has not come in by now may not
 *     vips       address                     a load balancer's: ports that nobody has are refused
 *
 * The tables of IPv6 end in 6.
 */
export function rowsOfPlan(plan: NodePlan, context: Pick<ProxyContext, "podCidrs" | "podInterfaces">): Row[] {
  const object = `Service ${plan.key}`;
  const rows: Row[] = [];
  const virtual = new Map<string, Family>();
  for (const port of plan.ports) {
    if (port.frontends.length === 0) continue;
    const pods = context.podInterfaces ?? ranges(context.podCidrs, port.family);
    rows.push(...rowsOfPort(port, object, pods));
    for (const address of loadBalancerAddresses(port)) virtual.set(address, port.family);
  }
  for (const [address, family] of virtual) {
    const owner = { object, field: "status.loadBalancer.ingress" };
    rows.push({ table: tableFor("vips", family), key: [address], value: [], owner });
  }
  return rows;
}

function tableFor(name: string, family: Family): string {
  return family === "IPv6" ? `${name}6` : name;
}

/** @param pods ranges or interfaces of pods */
function rowsOfPort(port: PortPlan, object: string, pods: readonly string[]): Row[] {
  const rows: Row[] = [];
  const chains = chainsOf(port.id);
  const owner: Owner = { object, field: "endpoints" };
  const inside = port.frontends.filter((frontend) => frontend.kind === "ClusterIP");
  const outside = port.frontends.filter((frontend) => frontend.kind !== "ClusterIP");
  const add = (table: string, key: Row["key"], value: Row["value"], from = owner): void => {
    rows.push({ table: tableFor(table, port.family), key, value, owner: from });
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
      [
        "pool",
        port.protocol.toLowerCase(),
        port.affinitySeconds ?? 0,
        frontends.length,
        ...entries,
        // A number after a chain is its share.
        ...endpoints.flatMap(({ weight }, i) => [members[i] ?? "", ...(weight === undefined ? [] : [weight])]),
        ...(port.log ? ["log"] : []),
      ],
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
        ? ["external-local", chains.cluster, hasLocal ? chains.local : "", ...pods]
        : ["external", chains.cluster],
    );
  }
  const allowed = outside.find(({ sourceRanges }) => sourceRanges)?.sourceRanges;
  if (allowed && hasCluster)
    add("chains", [chains.firewall], ["firewall", chains.external, ...allowed], {
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
      if (port.log) add(address === undefined ? "logged-nodeports" : "logged", where, [], from);
      if (address === undefined) add("refused-nodeports", where, [verdict], from);
      else for (const range of sourceRanges ?? [""]) add("refused", [...where, range], [verdict], from);
    }
    if (sourceRanges) add("guarded", where, [], from);
  }
}

/** Rows of the node itself: whose source is left, which addresses are Services', where NodePorts answer. */
export function rowsOfContext(context: ProxyContext): Row[] {
  const { podCidrs, podInterfaces, serviceCidrs, node } = context;
  const object = `Node ${node.name}`;
  return context.families.flatMap((family) => {
    const row = (table: string, text: string): Row => ({
      table: tableFor(table, family),
      key: [text],
      value: [],
      owner: { object, field: table },
    });
    const everywhere = family === "IPv4" ? "0.0.0.0/0" : "::/0";
    const pods = podInterfaces ?? ranges(podCidrs, family);
    const unmasked = context.masqueradeAll ? [] : tellsPods(context, family) ? pods : [everywhere];
    const answering =
      node.nodePortAddresses ?? node.addresses.map((address) => `${address}/${family === "IPv4" ? 32 : 128}`);
    return [
      ...unmasked.map((text) => row("unmasked", text)),
      ...ranges(serviceCidrs, family).map((text) => row("cidrs", text)),
      ...ranges(answering, family).flatMap((text) => [row("nodes", text), row("refusing-nodes", text)]),
    ];
  });
}

function ranges(texts: readonly string[], of: Family): string[] {
  return withoutNested(texts.flatMap((text) => parseCidr(text) ?? []).filter(({ family }) => family === of)).map(
    ({ text }) => text,
  );
}
