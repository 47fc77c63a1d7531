import { keyOf, type KubeObject } from "../kube/index.ts";
import {
  type Gateway,
  gatewayResources as kinds,
  type GatewayReport,
  type GatewayTranslation,
  type Listener,
  type Owner,
  type Rule,
  routesOf,
  streamsOf,
} from "../routing/index.ts";
import type { Exposure, Way } from "./exposure.ts";
import { addressesOf, faultsOfGateway, faultsOfRoute, type GatewayFault, type GatewayView } from "./gateway-faults.ts";

/** What each Gateway exposes, and each route that has to do with one of ours: a row for each path, as the routing model has it. Pure. */
export function gatewayExposures({ objects: { objects }, meaning }: GatewayView): Exposure[] {
  const reports = new Map(meaning.gateways.map((report) => [keyOf(report.gateway), report]));
  const gateways = objects.filter(({ kind }) => kind === kinds.Gateway.kind) as Gateway[];
  return [
    ...gateways.map((gateway) => gatewayRow(gateway, reports.get(keyOf(gateway)))),
    ...routeRows(meaning, reports),
  ];
}

const bare = ({ kind, metadata }: KubeObject) => ({
  namespace: metadata.namespace ?? "",
  kind: kind as Exposure["kind"],
  name: metadata.name,
  way: kind as Way,
  addresses: [],
  names: [],
});

const textOf = ({ field, problem }: GatewayFault): string =>
  field.startsWith("status.") ? problem : `${field}: ${problem}`;

const at = (address: string, port: number): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;

function gatewayRow(gateway: Gateway, report: GatewayReport | undefined): Exposure {
  if (!report) {
    const reason = `class ${JSON.stringify(gateway.spec.gatewayClassName)} is served by another controller`;
    return { ...bare(gateway), reason };
  }
  const addresses = addressesOf(gateway).flatMap((address) =>
    report.ports.map(({ port, transport }) => `${at(address, port)}/${transport}`),
  );
  const hostnames = report.listeners.own.flatMap(({ hostname }) => (hostname === "" ? [] : [hostname]));
  const [fault] = faultsOfGateway(gateway, report);
  const reason = fault && textOf(fault);
  return {
    ...bare(gateway),
    addresses,
    names: [...new Set(hostnames)],
    ...(reason === undefined ? {} : { reason }),
  };
}

/** One route of the model at all of the places where it answers. */
interface Draft {
  readonly object: KubeObject;
  readonly host: string;
  readonly rule: Rule;
  readonly addresses: string[];
}

function routeRows(
  { model, routes }: GatewayTranslation,
  gateways: ReadonlyMap<string, GatewayReport>,
): readonly Exposure[] {
  const drafts = new Map<string, Draft>();
  const add = ({ object, field }: Owner, host: string, rule: Rule, addresses: readonly string[]): void => {
    const key = `${object.kind} ${keyOf({ metadata: object })}`;
    const route = routes.get(key)?.route;
    if (!route) return;
    const id = `${key} ${field} ${host}`;
    const draft = drafts.get(id) ?? { object: { ...route, kind: object.kind }, host, rule, addresses: [] };
    for (const address of addresses) if (!draft.addresses.includes(address)) draft.addresses.push(address);
    drafts.set(id, draft);
  };
  for (const listener of model.listeners) {
    const gateway = gateways.get(listener.name.split(" ")[0] ?? "")?.gateway;
    const addresses = gateway ? addressesOf(gateway) : [];
    for (const { owner, host, path, rule } of routesOf(listener))
      add(owner, host, rule, urls(listener, host || addresses, path?.value));
    for (const { owner, host, rule } of streamsOf(listener)) {
      const transport = listener.protocol === "UDP" ? "UDP" : "TCP";
      add(
        owner,
        host,
        rule,
        addresses.map((address) => `${at(address, listener.port)}/${transport}`),
      );
    }
  }
  const rows = [...drafts.values()].map(({ object, host, rule, addresses }): Exposure => {
    const pools = rule.backends.flatMap(({ pool }) => (pool === undefined ? undefined : model.pools.get(pool)) ?? []);
    const endpoints = pools.flatMap((pool) => pool.endpoints);
    const ready = endpoints.filter((endpoint) => endpoint.ready).length;
    const services = pools.map(({ service }) => `Service ${service.name}`).join(", ");
    const reason =
      pools.length > 0 && ready === 0 ? `${services} has no ready endpoint: its own row says why` : undefined;
    return {
      ...bare(object),
      addresses,
      names: host === "" ? [] : [host],
      ...(pools.length === 0 ? {} : { endpoints: { ready, total: endpoints.length } }),
      ...(reason === undefined ? {} : { reason }),
    };
  });
  // What a Gateway does not take has no route in the model, or only a part of what was meant.
  const refused = [...routes.values()].flatMap((report) =>
    faultsOfRoute(report).map(({ problem }) => ({ ...bare({ ...report.route, kind: report.kind }), reason: problem })),
  );
  return [...rows, ...refused];
}

function urls({ protocol, port }: Listener, hosts: string | readonly string[], path = "/"): string[] {
  const scheme = protocol === "HTTP" ? "http" : "https";
  const usual = protocol === "HTTP" ? 80 : 443;
  return [hosts].flat().map((host) => {
    const name = host.includes(":") ? `[${host}]` : host;
    return `${scheme}://${name}${port === usual ? "" : `:${port}`}${path || "/"}`;
  });
}
