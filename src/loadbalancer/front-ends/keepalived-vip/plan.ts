import { findCondition, keyOf, type EndpointSlice, type Service } from "../../../kube/index.ts";
import {
  poolOf,
  type Listener,
  type Owner,
  type Pool,
  type PoolTarget,
  type RoutingModel,
  type StreamRoute,
} from "../../../routing/index.ts";
import { assignedCondition } from "../../status.ts";
import { familyOf, twinOf, twinSlices, whyNoTwin } from "../twin.ts";
import type { WantedTwin } from "../twin-keeper.ts";
import type { Method, Vip, VipFault, VipTarget } from "./config-map.ts";

/** Name of the front end, on its twins. */
export const frontEnd = "keepalived-vip";
/** Class of its twins: no other controller gives them an address. */
export const vipClass = "fairlead.dev/keepalived-vip";

export interface PlanInput {
  /** `namespace/name` of the ConfigMap. */
  readonly source: string;
  readonly vips: readonly Vip[];
  /** AddressPool that the addresses are of. */
  readonly pool: string;
  /** The proxy leads all packets, not only where it says PROXY (`--proxy-protocol-mode`). */
  readonly proxyMode: boolean;
  /** An address goes while its Service has no endpoint, rather than that connections are refused. */
  readonly withdraw?: boolean;
  /** The only namespace whose Services are looked at. */
  readonly namespace?: string;
  readonly service: (key: string) => Service | undefined;
  readonly slices: (key: string) => readonly EndpointSlice[];
}

/** An address that is held for the ConfigMap itself: whoever binds it serves it. */
export interface HeldAddress {
  readonly address: string;
  readonly ports: readonly string[];
}

export interface VipPlan {
  readonly twins: readonly (WantedTwin & { readonly vip: Vip; readonly target: VipTarget })[];
  readonly held: readonly HeldAddress[];
  /** What keeps a target from being served, by the ConfigMap's key. */
  readonly problems: readonly { readonly key: string; readonly reason: string; readonly message: string }[];
}

/** What an address of the ConfigMap asks of the cluster. Pure. */
export function planVips(input: PlanInput): VipPlan {
  const { source, pool, slices } = input;
  const twins: VipPlan["twins"][number][] = [];
  const held: HeldAddress[] = [];
  const problems: VipPlan["problems"][number][] = [];
  for (const vip of input.vips) {
    const ports: string[] = [];
    for (const target of vip.targets) {
      const found = lookUp(input, target);
      if ("message" in found) {
        problems.push({ key: vip.key, ...found });
        continue;
      }
      if (methodOf(input, target) === "PROXY") {
        for (const port of found.spec.ports ?? []) {
          const text = `${port.port}/${port.protocol ?? "TCP"}`;
          if ((port.protocol ?? "TCP") !== "TCP")
            problems.push({
              key: vip.key,
              reason: "UnsupportedPort",
              message: `port ${text} of Service ${keyOf(found)}: the PROXY protocol is for TCP; use NAT`,
            });
          else if (ports.includes(text))
            problems.push({
              key: vip.key,
              reason: "PortTaken",
              message: `port ${text} of Service ${keyOf(found)} is another's at ${vip.address}`,
            });
          else ports.push(text);
        }
        continue;
      }
      const twin = twinOf({
        target: found,
        wantedBy: `${frontEnd} ${source} ${vip.address}`,
        frontEnd,
        loadBalancerClass: vipClass,
        annotations: {
          "fairlead.dev/address": vip.address,
          "fairlead.dev/address-pool": pool,
          "fairlead.dev/allow-shared-address": sharingKey(source),
        },
        family: familyOf(vip.address),
      });
      twins.push({ twin, slices: twinSlices(twin, found, slices(keyOf(found))), vip, target });
    }
    // It is held whatever becomes of its Services, as a firewall must not see it come and go; unless it depends on them who may hold it.
    const mine = twins.filter((one) => one.vip === vip);
    const depends = mine.some(({ twin }) => input.withdraw || twin.spec.externalTrafficPolicy === "Local");
    if (!depends) held.push({ address: vip.address, ports });
  }
  return { twins, held, problems };
}

/** All who are behind an address of one ConfigMap may share it. */
export const sharingKey = (source: string): string => `${frontEnd} ${source}`;

const methodOf = ({ proxyMode }: PlanInput, { method }: VipTarget): Method => (proxyMode ? "PROXY" : method);

function lookUp(input: PlanInput, { namespace, name }: VipTarget): Service | { reason: string; message: string } {
  const key = `${namespace}/${name}`;
  if (input.namespace !== undefined && namespace !== input.namespace)
    return { reason: "NamespaceNotWatched", message: `only Services of namespace ${input.namespace} are looked at` };
  const found = input.service(key);
  if (!found) return { reason: "ServiceNotFound", message: `Service ${key} does not exist` };
  const why = whyNoTwin(found);
  return why === undefined ? found : { reason: "UnsupportedService", message: why };
}

/** What the data plane of a node serves: a listener for each address and port that is led by the proxy. Pure. */
export function proxyModel(
  input: PlanInput,
  version: 1 | 2,
): { model: RoutingModel; targets: Map<string, PoolTarget> } {
  const listeners = new Map<string, Listener>();
  const pools = new Map<string, Pool>();
  const targets = new Map<string, PoolTarget>();
  const [namespace = "", name = ""] = input.source.split("/");
  for (const vip of input.vips)
    for (const target of vip.targets) {
      if (methodOf(input, target) !== "PROXY") continue;
      const service = lookUp(input, target);
      if ("message" in service) continue;
      for (const port of service.spec.ports ?? []) {
        const at = `${vip.address}:${port.port}`;
        if ((port.protocol ?? "TCP") !== "TCP" || listeners.has(at)) continue;
        const sends = target.method === "PROXY";
        const wanted: PoolTarget = {
          namespace: target.namespace,
          service: target.name,
          port: port.name === undefined || port.name === "" ? { number: port.port } : { name: port.name },
          protocol: "tcp",
          variant: sends ? `proxy${version}` : "tcp",
          balance: service.spec.sessionAffinity === "ClientIP" ? "source" : "roundrobin",
          ...(sends ? { proxyProtocol: version } : {}),
        };
        const { pool } = poolOf(wanted, service, input.slices(keyOf(service)));
        pools.set(pool.key, pool);
        targets.set(pool.key, wanted);
        const owner: Owner = { object: { kind: "ConfigMap", namespace, name }, field: `data[${vip.key}]` };
        const backends = [{ pool: pool.key, weight: 1, filters: [], owner }];
        const rule = { id: at, filters: [], backends, timeouts: {}, owner };
        const any: StreamRoute = { id: at, host: "", rule, owner };
        const streams = { exact: new Map(), wildcard: new Map(), any };
        listeners.set(at, {
          name: at,
          address: vip.address,
          port: port.port,
          // No other port stands for it: clients know this one.
          bindPort: port.port,
          protocol: "TCP",
          servers: new Map([["", { kind: "stream", hostname: "", streams, owner }]]),
        });
      }
    }
  return { model: { listeners: [...listeners.values()], pools }, targets };
}

/** What the user is told of one key of the ConfigMap. */
export interface VipState {
  readonly state: "Serving" | "Held" | "Waiting" | "Invalid";
  readonly address?: string;
  /** Node that has the address now. */
  readonly holder?: string;
  readonly reason?: string;
  readonly message?: string;
}

export interface StateInput {
  readonly vips: readonly Vip[];
  readonly plan: VipPlan;
  readonly faults: readonly VipFault[];
  /** Why the API refused a twin, by its key. */
  readonly refused: ReadonlyMap<string, string>;
  readonly twin: (key: string) => Service | undefined;
  /** Why an address is not held for the ConfigMap. */
  readonly unheld: ReadonlyMap<string, string>;
  readonly holder: (address: string) => string | undefined;
}

/** One line for each key. Pure. */
export function statesOf(input: StateInput): Record<string, VipState> {
  const states: [string, VipState][] = input.faults.map(({ key, reason, message }) => [
    key,
    { state: "Invalid", reason, message },
  ]);
  for (const vip of input.vips) {
    const { address, key } = vip;
    const holder = input.holder(address);
    const about = { address, ...(holder === undefined ? {} : { holder }) };
    const problem = input.plan.problems.find((one) => one.key === key) ?? problemOf(input, vip);
    if (problem) {
      const { reason, message } = problem;
      states.push([key, { state: "Waiting", ...about, reason, message }]);
    } else states.push([key, { state: vip.targets.length > 0 ? "Serving" : "Held", ...about }]);
  }
  return Object.fromEntries(states.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function problemOf(input: StateInput, vip: Vip): { reason: string; message: string } | undefined {
  const unheld = input.unheld.get(vip.address);
  if (unheld !== undefined) return { reason: "AddressTaken", message: unheld };
  for (const { twin, vip: of } of input.plan.twins) {
    if (of !== vip) continue;
    const refused = input.refused.get(keyOf(twin));
    if (refused !== undefined) return { reason: "Refused", message: refused };
    const { status } = input.twin(keyOf(twin)) ?? {};
    if (status?.loadBalancer?.ingress?.some(({ ip }) => ip === vip.address)) continue;
    const condition = findCondition(status?.conditions, assignedCondition);
    return {
      reason: condition?.reason ?? "Pending",
      message: condition?.message ?? `Service ${keyOf(twin)} has no address yet`,
    };
  }
  return undefined;
}
