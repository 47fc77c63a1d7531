import {
  definitionOf,
  eventsV1,
  horizontalPodAutoscalerOf,
  horizontalPodAutoscalerV1,
  horizontalPodAutoscalerV1Of,
  resources,
  strategyFor,
  type HorizontalPodAutoscaler,
  type HorizontalPodAutoscalerV1,
  type KubeObject,
  type NamedDefinition,
  type Resource,
  type Strategy,
} from "../../kube/index.ts";
import type { Conversion } from "../registry/index.ts";
import type { ResourceVerb } from "../request/request-info.ts";
import type { Loader } from "../storage/index.ts";
import type { Printer } from "../table/index.ts";
import type { ScalePaths } from "./scale-paths.ts";
import { coreEvent, coreEventField, eventsEvent } from "./events-view.ts";

/** A collection of the API: what it is called, how it is stored, and what its objects are. */
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
  /** What `stored` does on write. */
  readonly strategy: Strategy;
  /** The structure of `resource`; undefined for a kind whose structure is not known. */
  readonly schema: () => NamedDefinition | undefined;
  /** How stored objects become objects of `resource`, where that is more than passing them on: custom resources. */
  readonly conversion?: Conversion & Loader;
  /** Columns of a table, where they are not those of a built-in kind. */
  readonly printer?: Printer<KubeObject>;
  /** Where the numbers of a scale are, where they are not where the workloads of Kubernetes have them. */
  readonly scale?: ScalePaths;
  /** What clients of a version that will go are warned of. */
  readonly deprecation?: string;
}

/** Of a kind that is stored and has nothing particular about it. */
export const allVerbs: readonly ResourceVerb[] = [
  "create",
  "delete",
  "deletecollection",
  "get",
  "list",
  "patch",
  "update",
  "watch",
];

const returningDeleted: ReadonlySet<string> = new Set([
  "CSIDriver",
  "CSINode",
  "DeviceClass",
  "Namespace",
  "PersistentVolume",
  "PersistentVolumeClaim",
  "Pod",
  "PodTemplate",
  "ResourceClaim",
  "ResourceClaimTemplate",
  "ResourceQuota",
  "ResourceSlice",
  "Service",
  "ServiceAccount",
  "StorageClass",
  "VolumeAttachment",
  "VolumeAttributesClass",
]);

/** Kinds of Kubernetes that have another to take their place (apiserver's `APILifecycleDeprecated`). */
const deprecations: Readonly<Record<string, string>> = {
  Endpoints: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
};

function serve(resource: Resource, stored = resource): Served {
  const deprecation = resource.group === "" ? deprecations[resource.kind] : undefined;
  return {
    ...(deprecation === undefined ? {} : { deprecation }),
    resource,
    stored,
    verbs: resource.kind === "Namespace" ? allVerbs.filter((verb) => verb !== "deletecollection") : allVerbs,
    returnsDeleted: returningDeleted.has(resource.kind),
    strategy: strategyFor(stored),
    schema: () => definitionOf(resource),
  };
}

/** Every collection that the program itself knows. */
export function builtInKinds(): Served[] {
  return [
    ...Object.values<Resource>(resources).map((resource) => serve(resource)),
    {
      ...serve(eventsV1, resources.Event),
      view: { show: eventsEvent, store: coreEvent, fieldOf: coreEventField },
    },
    {
      ...serve(horizontalPodAutoscalerV1, resources.HorizontalPodAutoscaler),
      view: {
        show: (stored) => horizontalPodAutoscalerV1Of(stored as HorizontalPodAutoscaler),
        store: (shown) => horizontalPodAutoscalerOf(shown as HorizontalPodAutoscalerV1),
        fieldOf: (shown) => shown,
      },
    },
  ];
}
