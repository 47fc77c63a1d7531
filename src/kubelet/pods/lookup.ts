import type { Client } from "../../client/index.ts";
import { isStatus, type KubeObject, type Resource, resources } from "../../kube/index.ts";
import type { Lookup } from "./environment.ts";

/** Reads what environments refer to, from the API each time: a container is started with what is true then. */
export function lookupIn(client: Client, namespace: string): Lookup {
  const read = async <T extends KubeObject>(resource: Resource<T>, name: string): Promise<T | undefined> => {
    try {
      return await client.get(resource, { namespace, name });
    } catch (error) {
      if (isStatus(error, "NotFound")) return undefined;
      throw error;
    }
  };
  return {
    configMap: (name) => read(resources.ConfigMap, name),
    secret: (name) => read(resources.Secret, name),
  };
}
