import { eventsV1, resources, type KubeObject, type Resource } from "../../kube/index.ts";
import type { ResourceVerb } from "../request/request-info.ts";
import { coreEvent, coreEventField, eventsEvent } from "./events-view.ts";

/** A collection of the API: what it is called, and how it is stored. */
export interface Served {
  readonly resource: Resource;
  /** The kind that is stored: another one when this is only a view of it. */
  readonly stored: Resource;
  readonly view?: {
    readonly show: (stored: KubeObject) => KubeObject;
    readonly store: (shown: KubeObject) => KubeObject;
    /** The stored name of a field that a selector names. */
    readonly fieldOf: (shown: string) => string;
  };
  readonly verbs: readonly ResourceVerb[];
  /** A delete that takes effect at once is answered with the object, not with a Status. */
  readonly returnsDeleted: boolean;
}

const allVerbs: readonly ResourceVerb[] = [
  "create",
  "delete",
  "deletecollection",
  "get",
  "list",
  "patch",
  "update",
  "watch",
];

const returningDeleted: ReadonlySet<string> = new Set(["Pod", "Service", "ServiceAccount"]);

function serve(resource: Resource): Served {
  return {
    resource,
    stored: resource,
    verbs: resource.kind === "Namespace" ? allVerbs.filter((verb) => verb !== "deletecollection") : allVerbs,
    returnsDeleted: returningDeleted.has(resource.kind),
  };
}

/** Every collection that is served, in the order in which discovery names them. */
export const served: readonly Served[] = [
  ...Object.values<Resource>(resources).map(serve),
  {
    ...serve(eventsV1),
    stored: resources.Event,
    view: { show: eventsEvent, store: coreEvent, fieldOf: coreEventField },
  },
];

const byPath = new Map(
  served.map((one) => [pathKey(one.resource.group, one.resource.version, one.resource.plural), one]),
);

export function findServed(group: string, version: string, plural: string): Served | undefined {
  return byPath.get(pathKey(group, version, plural));
}

function pathKey(group: string, version: string, plural: string): string {
  return `${group}/${version}/${plural}`;
}
