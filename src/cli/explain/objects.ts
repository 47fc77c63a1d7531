import type { Client } from "../../client/index.ts";
import type { ClusterObjects } from "../../explain/index.ts";
import { addressClaims, addressPools, bgpPeers, bgpSessions } from "../../loadbalancer/index.ts";
import { isStatus, type KubeObject, type Resource, resources, type Secret } from "../../kube/index.ts";

/**
 * Everything that a cluster exposes depends on, read once; of one namespace, or of all. Secrets only by name: those that Ingresses
 * use. What this user may not list is left out and named in `unread`; only Services and EndpointSlices have to be readable.
 */
export async function readObjects(
  client: Client,
  namespace?: string,
): Promise<{ objects: ClusterObjects; unread: string[] }> {
  const where = namespace === undefined ? {} : { namespace };
  const unread: string[] = [];
  const list = async <T extends KubeObject>(resource: Resource<T>, needed = false): Promise<readonly T[]> => {
    try {
      return (await client.list(resource, resource.namespaced ? where : {})).items;
    } catch (error) {
      if (needed || !isStatus(error, "NotFound", "Forbidden")) throw error;
      unread.push(`${resource.plural} may not be listed: what they would tell is missing`);
      return [];
    }
  };
  /** Kinds that are there only where addresses are announced. */
  const listSome = <T extends KubeObject>(resource: Resource<T>, in_ = {}): Promise<readonly T[]> =>
    client.list(resource, in_).then(
      ({ items }) => items,
      (error: unknown) => {
        if (!isStatus(error, "NotFound", "Forbidden")) throw error;
        return [];
      },
    );
  const announcing = Promise.all([
    listSome(addressPools),
    listSome(addressClaims),
    listSome(bgpPeers),
    listSome(bgpSessions),
    listSome(resources.Lease, { namespace: "kube-system" }),
  ]);
  const [services, slices, pods, events, ingresses, nodes, classes, serviceCidrs] = await Promise.all([
    list(resources.Service, true),
    list(resources.EndpointSlice, true),
    list(resources.Pod),
    list(resources.Event),
    list(resources.Ingress),
    list(resources.Node),
    list(resources.IngressClass),
    list(resources.ServiceCIDR),
  ]);
  const named = new Set<string>();
  for (const { metadata, spec } of ingresses) {
    for (const { secretName } of spec.tls ?? []) if (secretName) named.add(`${metadata.namespace}/${secretName}`);
  }
  const secrets = await Promise.all(
    [...named].map(async (key): Promise<Secret[]> => {
      const [secretNamespace = "", name = ""] = key.split("/");
      try {
        return [await client.get(resources.Secret, { namespace: secretNamespace, name })];
      } catch (error) {
        if (isStatus(error, "NotFound", "Forbidden")) return [];
        throw error;
      }
    }),
  );
  const [pools, claims, peers, sessions, leases] = await announcing;
  return {
    objects: {
      announcing: { pools, claims, peers, sessions, leases },
      services,
      slices,
      pods,
      events,
      ingresses,
      nodes,
      classes,
      serviceCidrs,
      secrets: secrets.flat(),
    },
    unread,
  };
}
