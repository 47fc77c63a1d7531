import type { Client, Informer } from "../../client/index.ts";
import {
  type Endpoint,
  type EndpointSlice,
  findCondition,
  isStatus,
  jsonEqual,
  keyOf,
  resources,
  type Service,
} from "../../kube/index.ts";
import type { Confirmation, Gateway, GatewayAddress, GatewayReport } from "../../routing/index.ts";
import { familyOf, type Frontend, frontendsOf, isOwnedBy } from "./frontends.ts";
import { alone, meaningOf } from "./replicas.ts";

export interface FrontendOptions {
  readonly client: Client;
  readonly services: Informer<Service>;
  readonly slices: Informer<EndpointSlice>;
  /** Name of the index by Gateway, in both. */
  readonly index: string;
  /** Addresses of this host. */
  readonly addresses: () => readonly string[];
  /** Who serves Gateways, if that is known. */
  readonly replicas: () => readonly Endpoint[] | undefined;
  readonly signal: AbortSignal;
}

/** The Services by which Gateways have addresses. */
export interface Frontends {
  /** Makes them, or changes what differs, and removes those that are too many. */
  apply(report: GatewayReport): Promise<void>;
  /** Lets what is there lead to who serves now, if that is known, and nothing else: what it is, is for who leads to say. */
  follow(gateway: Gateway): Promise<void>;
  /** The addresses that a Gateway has by them. */
  confirm(gateway: Gateway): Pick<Confirmation, "addresses" | "addressProblem">;
}

/** Set by Fairlead's own load balancer; elsewhere an address is there or not. */
const assigned = "fairlead.dev/AddressAssigned";

export function createFrontends(options: FrontendOptions): Frontends {
  const { client, services, slices, index, signal } = options;
  /** Gateways whose Service's name belongs to somebody else. */
  const blocked = new Map<string, string>();

  async function apply(report: GatewayReport): Promise<void> {
    const { gateway, ports } = report;
    const key = keyOf(gateway);
    const wanted = frontendsOf(gateway, ports, options.replicas() ?? alone(options.addresses()));
    const names = new Set(wanted.map(({ service }) => service.metadata.name));
    for (const service of services.by(index, key))
      if (isOwnedBy(service, gateway) && !names.has(service.metadata.name))
        await client
          .delete(
            resources.Service,
            { namespace: service.metadata.namespace ?? "", name: service.metadata.name },
            { signal },
          )
          .catch(unlessGone);
    blocked.delete(key);
    for (const each of wanted) {
      for (const slice of each.slices) await applySlice(slice, gateway);
      await applyService(each, gateway);
    }
  }

  async function applyService({ service }: Frontend, gateway: Gateway): Promise<void> {
    const { namespace = "", name = "" } = service.metadata;
    const found = services.get({ namespace, name });
    if (!found) {
      await client.create(resources.Service, service, { signal }).catch(unlessKnown);
      return;
    }
    if (!isOwnedBy(found, gateway)) {
      blocked.set(keyOf(gateway), `Service ${namespace}/${name} exists and was not made for this Gateway`);
      return;
    }
    const spec = { ...found.spec, ...service.spec };
    if (!service.spec.loadBalancerIP) delete spec.loadBalancerIP;
    const metadata = merged(found, service.metadata);
    if (sameSpec(found, service.spec) && jsonEqual(metadata, found.metadata)) return;
    await client.update(resources.Service, { ...found, metadata, spec }, { signal });
  }

  async function applySlice(slice: Frontend["slices"][number], gateway: Gateway): Promise<void> {
    const { namespace = "", name = "" } = slice.metadata;
    const found = slices.get({ namespace, name });
    if (!found) {
      await client.create(resources.EndpointSlice, slice, { signal }).catch(unlessKnown);
      return;
    }
    if (!isOwnedBy(found, gateway)) return;
    const metadata = merged(found, slice.metadata);
    const { endpoints, ports } = slice;
    const same =
      jsonEqual(meaningOf(found.endpoints), meaningOf(endpoints)) &&
      jsonEqual(portsText(found.ports), portsText(ports)) &&
      jsonEqual(metadata, found.metadata);
    if (same) return;
    await client.update(resources.EndpointSlice, { ...found, metadata, endpoints, ports } as EndpointSlice, { signal });
  }

  async function follow(gateway: Gateway): Promise<void> {
    const replicas = options.replicas();
    if (!replicas) return;
    for (const slice of slices.by(index, keyOf(gateway))) {
      if (!isOwnedBy(slice, gateway)) continue;
      const endpoints = replicas.filter((replica) => familyOf(replica) === slice.addressType);
      if (jsonEqual(meaningOf(slice.endpoints), meaningOf(endpoints))) continue;
      await client.update(resources.EndpointSlice, { ...slice, endpoints }, { signal });
    }
  }

  return {
    apply,
    follow,
    confirm(gateway) {
      const problem = blocked.get(keyOf(gateway));
      const own = services.by(index, keyOf(gateway)).filter((service) => isOwnedBy(service, gateway));
      const byName = [...own].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
      const addresses = byName.flatMap(({ status }) =>
        (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }): GatewayAddress =>
          ip ? { type: "IPAddress", value: ip } : { type: "Hostname", value: hostname ?? "" },
        ),
      );
      const refused = byName
        .map(({ status }) => findCondition(status?.conditions, assigned))
        .find((condition) => condition?.status === "False");
      const said = problem ?? refused?.message;
      return { addresses, ...(said === undefined ? {} : { addressProblem: said }) };
    },
  };
}

type Meta = Service["metadata"];

/** What is there, with our labels and annotations. */
function merged(found: { metadata: Meta }, wanted: Frontend["service"]["metadata"]): Meta {
  return {
    ...found.metadata,
    labels: { ...found.metadata.labels, ...wanted.labels },
    ...(Object.keys(wanted.annotations ?? {}).length > 0
      ? { annotations: { ...found.metadata.annotations, ...wanted.annotations } }
      : {}),
  };
}

function sameSpec({ spec }: Service, wanted: Service["spec"]): boolean {
  const text = (each: Service["spec"]): unknown =>
    (each.ports ?? []).map(({ name, protocol, port, targetPort }) => [name, protocol, port, targetPort]);
  const samePolicy = wanted.ipFamilyPolicy === undefined || wanted.ipFamilyPolicy === spec.ipFamilyPolicy;
  return (
    samePolicy && jsonEqual(text(spec), text(wanted)) && (spec.loadBalancerIP ?? "") === (wanted.loadBalancerIP ?? "")
  );
}

const portsText = (ports: EndpointSlice["ports"]): unknown =>
  (ports ?? []).map(({ name, protocol, port }) => [name, protocol, port]);

function unlessGone(error: unknown): void {
  if (!isStatus(error, "NotFound")) throw error;
}

/** The informer is behind: its next word leads here again. */
function unlessKnown(error: unknown): void {
  if (!isStatus(error, "AlreadyExists")) throw error;
}
