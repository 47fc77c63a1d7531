import {
  canonicalIp,
  findCondition,
  keyOf,
  type ConfigMap,
  type EndpointSlice,
  type Service,
} from "../../../kube/index.ts";
import { providerCondition } from "../../provider/index.ts";
import { assignedCondition } from "../../status.ts";
import { familyOf, twinOf, twinSlices, whyNoTwin } from "../twin.ts";
import type { WantedTwin } from "../twin-keeper.ts";

/** Name of the front end, on its twins. */
export const frontEnd = "hp-loadbalancer";

/** Who makes the load balancers (`--backend`). */
export type HpBackend = "loadbalancer-daemon" | "f5" | "openstack-lbaasv2";

/** Classes of the twins, by backend. */
export const classOf: Readonly<Record<HpBackend, string>> = {
  "loadbalancer-daemon": "fairlead.dev/hp-loadbalancer",
  f5: "fairlead.dev/f5",
  "openstack-lbaasv2": "fairlead.dev/openstack",
};

export interface HpInput {
  readonly configMaps: readonly ConfigMap[];
  readonly backend: HpBackend;
  /** AddressPool of the twins, where addresses come from a pool. */
  readonly pool?: string;
  readonly service: (key: string) => Service | undefined;
  readonly slices: (key: string) => readonly EndpointSlice[];
}

export interface HpPlan {
  /** By `namespace/name` of the ConfigMap. */
  readonly twins: ReadonlyMap<string, WantedTwin>;
  /** Why a ConfigMap has none. */
  readonly faults: ReadonlyMap<string, string>;
  /** Services that are looked at. */
  readonly targets: ReadonlySet<string>;
}

const name = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;

/**
 * What ConfigMaps of HP's service-loadbalancer ask for: `namespace` and `target-service-name` in, and in `bind-ip` the address that it has,
 * which it keeps. Pure.
 */
export function planHp(input: HpInput): HpPlan {
  const twins = new Map<string, WantedTwin>();
  const faults = new Map<string, string>();
  const targets = new Set<string>();
  for (const configMap of input.configMaps) {
    const key = keyOf(configMap);
    const found = readTarget(configMap);
    if (typeof found === "string") {
      faults.set(key, found);
      continue;
    }
    targets.add(found.target);
    const target = input.service(found.target);
    const why = target ? whyNoTwin(target) : `Service ${found.target} does not exist`;
    if (!target || why !== undefined) {
      faults.set(key, why ?? "");
      continue;
    }
    const twin = twinOf({
      target,
      wantedBy: `${frontEnd} ${key}`,
      frontEnd,
      loadBalancerClass: classOf[input.backend],
      annotations: {
        ...(found.address === undefined ? {} : { "fairlead.dev/address": found.address }),
        ...(input.pool === undefined ? {} : { "fairlead.dev/address-pool": input.pool }),
      },
      ...(found.address === undefined ? {} : { family: familyOf(found.address) }),
      nodePorts: input.backend !== "loadbalancer-daemon",
    });
    twins.set(key, { twin, slices: twinSlices(twin, target, input.slices(found.target)) });
  }
  return { twins, faults, targets };
}

function readTarget({ metadata, data = {} }: ConfigMap): { target: string; address?: string } | string {
  const namespace = data["namespace"]?.trim() || (metadata.namespace ?? "");
  const service = data["target-service-name"]?.trim() ?? "";
  if (!service) return "data[target-service-name] is missing: name the Service";
  if (!name.test(service))
    return `data[target-service-name] ${JSON.stringify(service.slice(0, 80))} is no Service's name`;
  if (!name.test(namespace)) return `data[namespace] ${JSON.stringify(namespace.slice(0, 80))} is no namespace's name`;
  const wanted = data["bind-ip"]?.trim();
  const address = wanted ? canonicalIp(wanted) : undefined;
  if (wanted && address === undefined)
    return `data[bind-ip] ${JSON.stringify(wanted.slice(0, 80))} is not an address: remove it`;
  return { target: `${namespace}/${service}`, ...(address === undefined ? {} : { address }) };
}

/** What is written back to a ConfigMap. */
export interface HpOutcome {
  readonly "bind-ip"?: string;
  readonly status: string;
}

/** How the statuses of the original begin when something is wrong. */
export const errorPrefix = "ERROR : ";
/** Of what is only not there yet. */
export const beingMade = `${errorPrefix}the address is being made`;

/** `SUCCESS` with the address, or `ERROR : ` and why not. Pure. */
export function outcomeOf(fault: string | undefined, twin: Service | undefined): HpOutcome {
  if (fault !== undefined) return { status: `${errorPrefix}${fault}` };
  const [first] = twin?.status?.loadBalancer?.ingress ?? [];
  const address = first?.ip ?? first?.hostname;
  const conditions = twin?.status?.conditions;
  const condition = findCondition(conditions, providerCondition) ?? findCondition(conditions, assignedCondition);
  const isMet = condition === undefined || condition.reason === "Assigned" || condition.status === "True";
  if (address !== undefined && isMet && condition?.message?.includes("; keeps ") !== true)
    return { "bind-ip": address, status: "SUCCESS" };
  const kept = address === undefined ? {} : { "bind-ip": address };
  return { ...kept, status: condition?.message === undefined ? beingMade : `${errorPrefix}${condition.message}` };
}
