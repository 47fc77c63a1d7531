import {
  apiVersionOf,
  type Draft,
  type KubeObject,
  type Pod,
  type PodTemplateSpec,
  type Resource,
} from "../kube/index.ts";
import { controllerReference } from "./owners.ts";

/** The pod that a template makes, owned by `owner`. Its name comes from the API server, after that of the owner. */
export function podDraft(owner: KubeObject, resource: Resource, template: PodTemplateSpec | undefined): Draft<Pod> {
  const { labels, annotations, finalizers } = template?.metadata ?? {};
  const { namespace, name } = owner.metadata;
  return {
    metadata: {
      generateName: `${name}-`,
      ...(namespace ? { namespace } : {}),
      ...(labels ? { labels } : {}),
      ...(annotations ? { annotations } : {}),
      ...(finalizers ? { finalizers } : {}),
      ownerReferences: [referenceTo(owner, resource)],
    },
    spec: template?.spec ?? { containers: [] },
  };
}

/** The reference that makes `owner` the controller of an object; objects in lists don't say what kind they are. */
export const referenceTo = (owner: KubeObject, resource: Resource) => ({
  ...controllerReference(owner),
  apiVersion: apiVersionOf(resource),
  kind: resource.kind,
});
