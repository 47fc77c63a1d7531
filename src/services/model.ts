import { keyOf, type EndpointSlice, type Service } from "../kube/index.ts";
import { addressSet, readAddress, type Family } from "./address.ts";
import { createClassifier, decide, type ClientClass, type Decision } from "./decide.ts";
import { serviceOfSlice, type Protocol } from "./endpoints.ts";
import { planService, type Frontend, type PortPlan, type ProxyContext, type ServicePlan } from "./plan.ts";
import type { NodeView } from "./pools.ts";

/** A frontend that two Services claim: whose cluster IP it is has it, else the older one. */
export interface FrontendConflict {
  readonly frontend: Frontend;
  /** The Service that has it: `namespace/name`. */
  readonly winner: string;
  /** Why that one: a clause of a sentence. */
  readonly reason: string;
}

export interface NodePlan extends ServicePlan {
  /** Frontends of this Service that another one has; they are left out of `ports`. */
  readonly conflicts: readonly FrontendConflict[];
}

/** What the model says of one connection. */
export interface Route {
  readonly client: ClientClass;
  /** Absent when the destination is no frontend. */
  readonly hit?: { readonly service: string; readonly port: PortPlan; readonly frontend: Frontend };
  /** Absent when the destination is nothing of the proxy's: the packet goes its usual way. */
  readonly decision?: Decision;
}

/**
 * All Services of a node with their slices; answers which plans a change touches, at the cost of that change.
 * Each method that changes something returns the keys of the Services whose plan may now be another.
 */
export interface ServiceModel {
  upsertService(service: Service): ReadonlySet<string>;
  removeService(key: string): ReadonlySet<string>;
  upsertSlice(slice: EndpointSlice): ReadonlySet<string>;
  /** @param key `namespace/name` of the slice. */
  removeSlice(key: string): ReadonlySet<string>;
  /** Another node label, address or range: every Service may change. */
  setContext(context: ProxyContext): ReadonlySet<string>;
  readonly context: ProxyContext;
  keys(): Iterable<string>;
  service(key: string): Service | undefined;
  /** The plan as of now, computed when asked for; undefined for a Service that does not exist. */
  plan(key: string): NodePlan | undefined;
  /** What happens to the first packet of a connection that meets this node's proxy. */
  route(packet: Packet): Route;
}

/** The first packet of a connection. */
export interface Packet {
  readonly source: string;
  readonly destination: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** The interface it came in by, where pods are known by theirs (`ProxyContext.podInterfaces`). */
  readonly device?: string;
}

export function createServiceModel(initial: ProxyContext): ServiceModel {
  let context = initial;
  const services = new Map<string, Service>();
  const slices = new Map<string, Map<string, EndpointSlice>>();
  const serviceOf = new Map<string, string>();
  // Who claims a frontend, best first. Nearly always one Service.
  const claims = new Map<string, string[]>();
  const claimsOf = new Map<string, ReadonlyMap<string, number>>();
  // Load balancers' addresses, and how many Services have each.
  const virtual = new Map<string, number>();
  const virtualOf = new Map<string, readonly string[]>();

  /** Nobody takes another's cluster IP by naming it as an external address (CVE-2020-8554). Who has no age is the youngest. */
  function first(id: string, a: string, b: string): number {
    const [left = 0, right = 0] = [a, b].map((key) => claimsOf.get(key)?.get(id));
    if (left !== right) return left - right;
    const [x = "", y = ""] = [a, b].map((key) => services.get(key)?.metadata.creationTimestamp || "~");
    if (x !== y) return x < y ? -1 : 1;
    return a < b ? -1 : 1;
  }

  function whyFirst(id: string, winner: string, loser: string): string {
    const [own, other] = [winner, loser].map((key) => claimsOf.get(key)?.get(id));
    if (own !== other) return "it is that Service's cluster IP";
    const [older, younger] = [winner, loser].map((key) => services.get(key)?.metadata.creationTimestamp ?? "");
    return older === younger ? "that Service's name comes first, and both are of one age" : "that Service is older";
  }

  /** Brings the claims of one Service up to date; adds to `changed` those who win or lose an address by it. */
  function claim(key: string, wanted: ReadonlyMap<string, number>, changed: Set<string>): void {
    for (const id of claimsOf.get(key)?.keys() ?? []) {
      const others = (claims.get(id) ?? []).filter((other) => other !== key);
      if (others.length === 0) claims.delete(id);
      else {
        claims.set(id, others);
        for (const other of others) changed.add(other);
      }
    }
    if (wanted.size > 0) claimsOf.set(key, wanted);
    else claimsOf.delete(key);
    for (const id of wanted.keys()) {
      const others = claims.get(id);
      if (!others) claims.set(id, [key]);
      else {
        for (const other of others) changed.add(other);
        claims.set(
          id,
          [...others, key].sort((a, b) => first(id, a, b)),
        );
      }
    }
  }

  /** Brings what a Service claims up to date. */
  function register(key: string, changed: Set<string>): void {
    const service = services.get(key);
    const ports = service ? planService(service, [], context).ports : [];
    const wanted = new Map<string, number>();
    for (const { family, frontends } of ports)
      for (const one of frontends) {
        const id = claimId(one, family);
        wanted.set(id, Math.min(wanted.get(id) ?? 1, one.kind === "ClusterIP" ? 0 : 1));
      }
    claim(key, wanted, changed);
    haveVirtual(key, ports);
  }

  function haveVirtual(key: string, ports: readonly PortPlan[]): void {
    for (const address of virtualOf.get(key) ?? []) {
      const left = (virtual.get(address) ?? 1) - 1;
      if (left > 0) virtual.set(address, left);
      else virtual.delete(address);
    }
    const addresses = [...new Set(ports.flatMap(loadBalancerAddresses))];
    for (const address of addresses) virtual.set(address, (virtual.get(address) ?? 0) + 1);
    if (addresses.length > 0) virtualOf.set(key, addresses);
    else virtualOf.delete(key);
  }

  function slicesOf(key: string): Iterable<EndpointSlice> {
    return slices.get(key)?.values() ?? [];
  }

  function planOf(key: string): NodePlan | undefined {
    const service = services.get(key);
    if (!service) return undefined;
    const plan = planService(service, slicesOf(key), context);
    const conflicts: FrontendConflict[] = [];
    const has = (frontend: Frontend, family: Family): boolean => {
      const id = claimId(frontend, family);
      const winner = claims.get(id)?.[0] ?? key;
      if (winner !== key) conflicts.push({ frontend, winner, reason: whyFirst(id, winner, key) });
      return winner === key;
    };
    // The API refuses a place twice in one Service. From elsewhere, the first port has it.
    const taken = new Set<string>();
    const isFirst = (frontend: Frontend, family: Family): boolean => {
      const id = claimId(frontend, family);
      if (taken.has(id))
        conflicts.push({ frontend, winner: key, reason: "an earlier port or field of it has that place" });
      return !taken.has(id) && taken.add(id).size > 0;
    };
    const ports = plan.ports.map((port) => ({
      ...port,
      frontends: port.frontends.filter((one) => has(one, port.family) && isFirst(one, port.family)),
    }));
    return { ...plan, ports, conflicts };
  }

  function find(id: string): Route["hit"] {
    const service = claims.get(id)?.[0];
    for (const port of (service && planOf(service)?.ports) || []) {
      const frontend = port.frontends.find((one) => claimId(one, port.family) === id);
      if (service && frontend) return { service, port, frontend };
    }
    return undefined;
  }

  return {
    get context() {
      return context;
    },
    keys: () => services.keys(),
    service: (key) => services.get(key),
    plan: planOf,

    upsertService(service) {
      const key = keyOf(service);
      const changed = new Set([key]);
      services.set(key, service);
      register(key, changed);
      return changed;
    },
    removeService(key) {
      const changed = new Set<string>();
      if (!services.delete(key)) return changed;
      register(key, changed);
      return changed.add(key);
    },
    upsertSlice(slice) {
      const id = keyOf(slice);
      const before = serviceOf.get(id);
      const after = serviceOfSlice(slice);
      const changed = new Set<string>();
      if (before !== undefined && before !== after) {
        forget(before, id);
        changed.add(before);
      }
      if (after === undefined) {
        serviceOf.delete(id);
      } else {
        serviceOf.set(id, after);
        const siblings = slices.get(after) ?? new Map<string, EndpointSlice>();
        slices.set(after, siblings.set(id, slice));
        changed.add(after);
      }
      return changed;
    },
    removeSlice(id) {
      const service = serviceOf.get(id);
      if (service === undefined) return new Set();
      serviceOf.delete(id);
      forget(service, id);
      return new Set([service]);
    },
    setContext(next) {
      context = next;
      const changed = new Set(services.keys());
      for (const key of services.keys()) register(key, changed);
      return changed;
    },

    route(packet) {
      const { protocol, port } = packet;
      const source = readAddress(packet.source)?.address ?? packet.source;
      const classify = createClassifier(context);
      // Who comes from the address it goes to is this machine: that is how it reaches addresses of its own.
      const client = source === readAddress(packet.destination)?.address ? "node" : classify(source, packet.device);
      const read = readAddress(packet.destination);
      if (!read || !context.families.includes(read.family)) return { client };
      const { address: destination, family } = read;
      const onNode = context.node.addresses.includes(destination);
      const hit =
        find(claimId({ address: destination, protocol, port }, family)) ??
        (answersNodePorts(context.node, destination) ? find(claimId({ protocol, port }, family)) : undefined);
      if (hit) {
        const decision = decide(hit.port, hit.frontend, { address: source, class: client }, context);
        return { client, hit, decision };
      }
      if (!onNode && virtual.has(destination)) {
        const reason = `${destination} is a load balancer's address, but no Service has port ${port}/${protocol} there`;
        return { client, decision: { verdict: "reject", because: [{ field: "status.loadBalancer.ingress", reason }] } };
      }
      if (!addressSet(context.serviceCidrs).has(destination)) return { client };
      const reason = `${destination} is in the Service range, but no Service has port ${port}/${protocol} there`;
      return { client, decision: { verdict: "reject", because: [{ field: "spec.clusterIPs", reason }] } };
    },
  };

  function forget(service: string, slice: string): void {
    const siblings = slices.get(service);
    siblings?.delete(slice);
    if (siblings?.size === 0) slices.delete(service);
  }
}

/** The load balancers' addresses that a Service port answers on: other ports of them are refused. */
export function loadBalancerAddresses(port: PortPlan): string[] {
  return port.frontends.flatMap(({ kind, address }) => (kind === "LoadBalancer" && address ? [address] : []));
}

/** Other addresses of localhost are served apart: the kernel leads no packet from there to another machine. */
function answersNodePorts({ addresses, nodePortAddresses }: NodeView, destination: string): boolean {
  if (!addresses.includes(destination)) return false;
  return nodePortAddresses === undefined || addressSet(nodePortAddresses).has(destination);
}

function claimId(
  { address, protocol, port }: { address?: string; protocol: Protocol; port: number },
  family: Family,
): string {
  return `${address ?? family} ${protocol} ${port}`;
}
