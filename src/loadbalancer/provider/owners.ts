import type { Informers } from "../../client/index.ts";
import {
  keyOf,
  nameOfKey,
  resources,
  semanticEqual,
  type Condition,
  type Ingress,
  type Node,
  type ObjectName,
  type Resource,
  type Service,
} from "../../kube/index.ts";
import { classSelector } from "../../routing/index.ts";
import type { Exposure, ExposureKey, LoadBalancerProvider, ProvidedAddress } from "./contract.ts";
import { exposureOf } from "./exposure.ts";
import { httpExposureOf, secretsOf, servicesOf } from "./http-exposure.ts";

/** What a load balancer is made for. */
export type Owner = Service | Ingress;

/** Objects of one kind that a provider makes load balancers for. */
export interface Owners {
  readonly resource: Resource<Owner>;
  readonly synced: readonly Promise<void>[];
  get(name: ObjectName): Owner | undefined;
  /** `namespace/name` of all that it serves, or has served. */
  keys(): readonly string[];
  /** The provider should serve it. */
  isOurs(owner: Owner): boolean;
  /** What it asks for, and what of it cannot be while the rest is served. Throws ServiceProblem. */
  desired(owner: Owner): { readonly exposure: Exposure; readonly problems: readonly string[] };
  /** Its status with these addresses. */
  status(owner: Owner, addresses: readonly ProvidedAddress[], conditions: readonly Condition[]): object;
  /** Calls back with `namespace/name` of what has to be looked at, for what there is already too. */
  onChange(listener: (key: string) => void): void;
}

export interface OwnersOptions {
  readonly informers: Informers;
  readonly provider: LoadBalancerProvider;
  readonly cluster: string;
  readonly isMarked: (owner: Owner) => boolean;
}

export const kindOf = ({ resource }: Owners): string => resource.kind;
export const conditionsOf = ({ status }: Owner): readonly Condition[] =>
  status && "conditions" in status ? (status.conditions ?? []) : [];

/** Services of the provider's class. */
export function serviceOwners({ informers, provider, cluster, isMarked }: OwnersOptions): Owners {
  const services = informers.of(resources.Service);
  const nodes = informers.of(resources.Node);
  const isOurs = ({ spec }: Service) =>
    spec.type === "LoadBalancer" && spec.loadBalancerClass === provider.loadBalancerClass;
  const concerns = (service: Service) => isOurs(service) || isMarked(service);
  return {
    resource: resources.Service,
    keys: () => services.list().filter(concerns).map(keyOf),
    synced: [services.synced, nodes.synced],
    get: (name) => services.get(name),
    isOurs: (owner) => isOurs(owner as Service),
    desired: (owner) => ({
      exposure: exposureOf(cluster, owner as Service, nodes.list(), provider.capabilities),
      problems: [],
    }),
    status: ({ status }, addresses, conditions) => ({
      ...status,
      loadBalancer: addresses.length > 0 ? { ingress: addresses } : {},
      conditions: [...conditions],
    }),
    onChange(listener) {
      services.onChange(({ before, after }) => {
        const service = after ?? before;
        if (service && isNews(before, after) && [before, after].some((one) => one && concerns(one)))
          listener(keyOf(service));
      });
      nodes.onChange(({ before, after }) => {
        if (!isNewsOfNode(before, after)) return;
        for (const service of services.list()) if (concerns(service)) listener(keyOf(service));
      });
    },
  };
}

/** Ingresses of the provider's classes, or those that `isOurs` names. */
export function ingressOwners(
  { informers, provider, cluster, isMarked }: OwnersOptions,
  controller: string,
  own: ((ingress: Ingress) => boolean) | undefined,
): Owners {
  const ingresses = informers.of(resources.Ingress, { "provider-services": servicesOf, "provider-secrets": secretsOf });
  const classes = informers.of(resources.IngressClass);
  const services = informers.of(resources.Service);
  const slices = informers.of(resources.EndpointSlice, { service: serviceOfSlice });
  const secrets = informers.of(resources.Secret);
  const nodes = informers.of(resources.Node);
  const isOurs = own ?? ((ingress: Ingress) => classSelector(classes.list(), controller)(ingress).ours);
  const objects = {
    service: (key: string) => services.get(nameOfKey(key)),
    slices: (key: string) => slices.by("service", key),
    secret: (key: string) => secrets.get(nameOfKey(key)),
  };
  const informing = [ingresses, classes, services, slices, secrets, nodes];
  const concerns = (ingress: Ingress) => isOurs(ingress) || isMarked(ingress);
  const keys = () => ingresses.list().filter(concerns).map(keyOf);
  return {
    resource: resources.Ingress,
    keys,
    synced: informing.map(({ synced }) => synced),
    get: (name) => ingresses.get(name),
    isOurs: (owner) => isOurs(owner as Ingress),
    desired: (owner) => httpExposureOf(cluster, owner as Ingress, objects, nodes.list(), provider.capabilities),
    status: ({ status }, addresses) => ({
      ...status,
      loadBalancer:
        addresses.length > 0
          ? {
              ingress: addresses.map(({ ip, hostname }) => ({
                ...(ip ? { ip } : {}),
                ...(hostname ? { hostname } : {}),
              })),
            }
          : {},
    }),
    onChange(listener) {
      const tellAll = () => {
        for (const key of keys()) listener(key);
      };
      const tellOf = (index: string, key: string) => {
        for (const ingress of ingresses.by(index, key)) if (concerns(ingress)) listener(keyOf(ingress));
      };
      ingresses.onChange(({ before, after }) => {
        const ingress = after ?? before;
        if (ingress && isNews(before, after) && [before, after].some((one) => one && concerns(one)))
          listener(keyOf(ingress));
      });
      classes.onChange(tellAll);
      nodes.onChange(({ before, after }) => {
        if (isNewsOfNode(before, after)) tellAll();
      });
      services.onChange(({ before, after }) => {
        const service = after ?? before;
        if (service && isNews(before, after)) tellOf("provider-services", keyOf(service));
      });
      slices.onChange(({ before, after }) => {
        const slice = after ?? before;
        for (const key of slice ? serviceOfSlice(slice) : []) tellOf("provider-services", key);
      });
      secrets.onChange(({ before, after }) => {
        const secret = after ?? before;
        if (secret && !semanticEqual(before?.data, after?.data)) tellOf("provider-secrets", keyOf(secret));
      });
    },
  };
}

/** True when something with this key is still wanted. */
export function isWanted(owners: readonly Owners[], key: ExposureKey, isMarked: (owner: Owner) => boolean): boolean {
  return owners.some((one) => {
    const found = one.get({ namespace: key.namespace, name: key.name });
    return found?.metadata.uid === key.uid && (one.isOurs(found) || isMarked(found));
  });
}

const serviceOfSlice = ({ metadata }: { metadata: { namespace?: string; labels?: Record<string, string> } }) => {
  const name = metadata.labels?.["kubernetes.io/service-name"];
  return name === undefined ? [] : [`${metadata.namespace ?? ""}/${name}`];
};

/** What the controller has written itself is no news. */
function isNews(before: Owner | undefined, after: Owner | undefined): boolean {
  return !before || !after || !semanticEqual(newsOf(before), newsOf(after));
}
const newsOf = ({ metadata, spec }: Owner) => [
  metadata.uid,
  metadata.deletionTimestamp,
  metadata.annotations,
  metadata.labels,
  spec,
];

function isNewsOfNode(before: Node | undefined, after: Node | undefined): boolean {
  const targets = ({ metadata, spec, status }: Node) => [
    metadata.labels,
    metadata.deletionTimestamp,
    spec?.taints,
    spec?.providerID,
    status?.addresses,
  ];
  return !before || !after || !semanticEqual(targets(before), targets(after));
}
