import { resources, type KubeObject } from "../../kube/index.ts";
import type { AdmissionRequest } from "../registry/index.ts";
import { keyFor, type Storage } from "../storage/index.ts";
import type { AdmissionSubject, ResourceName } from "./match.ts";

/** Another form in which what a request is about is served too. */
export interface Equivalent extends ResourceName {
  readonly kind: string;
  /** The object of the request in this form, and one in this form as the request's. */
  show(object: KubeObject): KubeObject | Promise<KubeObject>;
  take(object: KubeObject): KubeObject | Promise<KubeObject>;
}

/** Finds other versions of what a request is about; none for most. */
export type FindEquivalents = (request: AdmissionRequest) => readonly Equivalent[];

/** A request as the rules of webhooks and policies look at it. Labels are read only when a selector asks. */
export function subjectOf(request: AdmissionRequest, storage: Storage, find: FindEquivalents): AdmissionSubject {
  const { context, operation, name } = request;
  const { resource, namespace, subresource, shown } = context;
  const named = shown?.resource ?? resource;
  return {
    operation,
    group: named.group,
    version: named.version,
    resource: named.plural,
    subresource,
    namespace,
    name,
    get labels() {
      return request.object?.metadata?.labels;
    },
    get oldLabels() {
      return request.old?.metadata?.labels;
    },
    get hasObject() {
      return request.object !== undefined;
    },
    hasOld: request.old !== undefined,
    namespaceLabels: () =>
      storage.of(resources.Namespace).get(keyFor(resources.Namespace, { name: namespace || name }))?.object.metadata
        .labels,
    equivalents: () => find(request),
  };
}
