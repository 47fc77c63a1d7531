import { includesLabels, keyOf, type Pod, type Secret } from "../../kube/index.ts";
import { type InspectKeyPair, translateIngresses } from "../../routing/index.ts";
import type { FrontendState } from "../../proxy/index.ts";
import { endpointsOfPort, type Family, usableEndpoints } from "../../services/index.ts";
import { type Cluster, isOver } from "../cluster.ts";
import type { GatewayView } from "../gateway-faults.ts";
import { announcementsIn } from "../held.ts";
import { protocolOf } from "../packet/destination.ts";
import type { Facts, ServiceView } from "./check.ts";
import type { NodeFacts } from "./node-facts.ts";

export interface FactsOptions {
  readonly inspect: InspectKeyPair;
  /** `spec.controller` of the IngressClasses that Fairlead serves. */
  readonly controllerName: string;
  readonly frontends: readonly FrontendState[];
  readonly nodes: readonly NodeFacts[];
  readonly now: number;
  readonly gateways?: GatewayView;
  /** Ports that the HTTP data plane listens on. Default: 80 and 443. */
  readonly ports?: { readonly http: number; readonly https: number };
}

/** Works out what all checks share. Pure; costs what the objects are. */
export function factsOf(cluster: Cluster, options: FactsOptions): Facts {
  const { objects } = cluster;
  const pods = new Map<string, Pod[]>();
  for (const pod of objects.pods) {
    if (isOver(pod)) continue;
    const namespace = pod.metadata.namespace ?? "";
    const list = pods.get(namespace);
    if (list) list.push(pod);
    else pods.set(namespace, [pod]);
  }
  const secrets = new Map<string, Secret>(objects.secrets.map((secret) => [keyOf(secret), secret]));
  const services = objects.services.map((service): ServiceView => {
    const key = keyOf(service);
    const slices = cluster.slices(key);
    const { selector, ipFamilies, ports = [] } = service.spec;
    const family: Family = ipFamilies?.[0] === "IPv6" ? "IPv6" : "IPv4";
    const selects = Object.keys(selector ?? {}).length > 0;
    const views = ports.map((port) => ({
      port,
      endpoints: endpointsOfPort(slices, { family, name: port.name ?? "", protocol: protocolOf(port.protocol) }),
    }));
    return {
      service,
      key,
      object: `Service ${key}`,
      pods: selects
        ? (pods.get(service.metadata.namespace ?? "") ?? []).filter((pod) =>
            includesLabels(selector, pod.metadata.labels),
          )
        : [],
      slices,
      ports: views,
      ready: views.flatMap(({ endpoints }) => usableEndpoints(endpoints)),
    };
  });
  const routing = translateIngresses({
    ingresses: objects.ingresses,
    classes: objects.classes,
    service: (key) => cluster.service(key),
    slices: (key) => cluster.slices(key),
    secret: (key) => secrets.get(key),
    inspect: options.inspect,
    controllerName: options.controllerName,
    // Whoever serves them: what they mean is the same.
    nginx: { controllers: ["fairlead.dev/ingress-nginx", "k8s.io/ingress-nginx"], options: {} },
    ports: options.ports ?? { http: 80, https: 443 },
  });
  return {
    cluster,
    services,
    routing,
    ...(options.gateways ? { gateways: options.gateways } : {}),
    announcement: announcementsIn(cluster, options.now),
    secret: (key) => secrets.get(key),
    inspect: options.inspect,
    frontends: options.frontends,
    nodes: options.nodes,
    now: options.now,
  };
}
