import type { Client } from "../../client/index.ts";
import {
  type Cluster,
  type GatewayObjects,
  gatewayRouting,
  type GatewayRoutingOptions,
  type GatewayView,
  isOfGatewayApi,
} from "../../explain/index.ts";
import {
  apiVersionOf,
  isStatus,
  type KubeObject,
  type ObjectName,
  type Resource,
  resources,
} from "../../kube/index.ts";
import { gatewayResources } from "../../routing/index.ts";
import { asking } from "../connect.ts";
import { checkCluster } from "./source.ts";

/**
 * The cluster's objects of the Gateway API, and those Secrets and ConfigMaps that they or `manifests` name. Kinds that are not installed, or
 * that this user may not see, are empty.
 */
export async function readGateways(client: Client, manifests: readonly KubeObject[]): Promise<GatewayObjects> {
  const list = async <T extends KubeObject>(resource: Resource<T>): Promise<readonly T[]> => {
    try {
      return (await client.list(resource)).items;
    } catch (error) {
      if (isStatus(error, "NotFound", "Forbidden")) return [];
      throw error;
    }
  };
  const get = async <T extends KubeObject>(resource: Resource<T>, name: ObjectName): Promise<readonly T[]> => {
    try {
      return [await client.get(resource, name)];
    } catch (error) {
      if (isStatus(error, "NotFound", "Forbidden")) return [];
      throw error;
    }
  };
  const kinds = Object.values<Resource>(gatewayResources);
  const [namespaces, ...lists] = await Promise.all([
    list(resources.Namespace),
    // In a list not every server says the kind of each.
    ...kinds.map(async (resource) => {
      const { kind } = resource;
      return (await list(resource)).map((object) => ({ ...object, apiVersion: apiVersionOf(resource), kind }));
    }),
  ]);
  const objects = lists.flat();
  const named = namesIn([...objects, ...manifests.filter(isOfGatewayApi)]);
  const [secrets, configMaps] = await Promise.all([
    Promise.all(named.Secret.map((name) => get(resources.Secret, name))),
    Promise.all(named.ConfigMap.map((name) => get(resources.ConfigMap, name))),
  ]);
  return { objects, namespaces, secrets: secrets.flat(), configMaps: configMaps.flat() };
}

/** The same with what they mean; undefined where there are none. */
export async function readGatewayMeaning(client: Client, cluster: Cluster): Promise<GatewayView | undefined> {
  const objects = await asking(checkCluster, () => readGateways(client, []));
  if (objects.objects.length === 0) return undefined;
  return { objects, meaning: gatewayRouting(cluster, objects, await gatewayOptions()) };
}

/** As Fairlead's own controller reads them. */
export async function gatewayOptions(): Promise<GatewayRoutingOptions> {
  const { gatewayControllerName, inspectAuthorities, inspectKeyPair } = await import("../../dataplane/index.ts");
  return { controllerName: gatewayControllerName, inspect: inspectKeyPair, inspectAuthorities };
}

/** Secrets and ConfigMaps that are referred to anywhere in the objects, once each. */
function namesIn(objects: readonly KubeObject[]): Record<"Secret" | "ConfigMap", ObjectName[]> {
  const found = { Secret: new Map<string, ObjectName>(), ConfigMap: new Map<string, ObjectName>() };
  const visit = (value: unknown, home: string, key: string): void => {
    if (Array.isArray(value)) for (const one of value) visit(one, home, key);
    else if (typeof value === "object" && value !== null) {
      const { kind, name, namespace = home } = value as { kind?: unknown; name?: unknown; namespace?: unknown };
      const of = kind === "ConfigMap" ? kind : kind === "Secret" || key === "certificateRefs" ? "Secret" : undefined;
      if (of && typeof name === "string" && typeof namespace === "string")
        found[of].set(`${namespace}/${name}`, { namespace, name });
      for (const [next, one] of Object.entries(value)) visit(one, home, next);
    }
  };
  for (const object of objects)
    visit((object as { spec?: unknown }).spec, object.metadata.namespace ?? "default", "spec");
  return { Secret: [...found.Secret.values()], ConfigMap: [...found.ConfigMap.values()] };
}
