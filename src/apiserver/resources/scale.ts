import {
  apiVersionOf,
  formatLabelSelector,
  invalid,
  managersOfScale,
  managersOfScaled,
  pathOfFields,
  statusError,
  trackUpdate,
  type Deployment,
  type KubeObject,
  type LabelSelector,
  type ReplicaSet,
  type ReplicationController,
  type Scale,
} from "../../kube/index.ts";
import { modified, type Registry, type Shown } from "../registry/index.ts";
import { readObject } from "../request/body.ts";
import { negotiate } from "../request/negotiate.ts";
import { writeQuery } from "../request/params.ts";
import { objectResponse } from "../request/respond.ts";
import { warningHeader } from "../request/warnings.ts";
import type { ResourceInfo } from "../request/request-info.ts";
import type { ApiRequest, ApiResponse } from "../handler.ts";
import type { Entry } from "../storage/index.ts";
import { customScalePrinter, tableFor } from "../table/index.ts";
import { contextOf } from "./context.ts";
import { includeObject } from "./form-for.ts";
import { readApply } from "./apply.ts";
import { managerOf, scaleKind, type FieldTracking } from "./field-tracking.ts";
import { isApply, readPatch } from "./patch.ts";
import { valueAt, withValueAt, type ScalePaths } from "./scale-paths.ts";
import type { Served } from "./served.ts";

/** The scale of a Deployment or ReplicaSet: how many pods, apart from everything else. `now` in milliseconds. */
export async function handleScale(
  { registry, now, tracking }: { registry: Registry; now: () => number; tracking: FieldTracking },
  request: ApiRequest,
  info: ResourceInfo,
  served: Served,
): Promise<ApiResponse> {
  const shape = served.scale ? customScale(served.scale) : workloadScale;
  const loaded = (entry: Entry): KubeObject | Promise<KubeObject> =>
    served.conversion ? served.conversion.load(entry) : entry.object;
  if (info.verb === "get") {
    const scale = shape.show(await loaded(await registry.get(served.stored, info.namespace, info.name)));
    if (negotiate(request.headers["accept"]).as !== "Table") return objectResponse(200, scale);
    const table = tableFor(scaleKind, [scale], {
      now: now(),
      includeObject: includeObject(request.query),
      ...(served.scale ? { printer: customScalePrinter } : {}),
    });
    return objectResponse(200, { ...table, metadata: { resourceVersion: scale.metadata.resourceVersion } });
  }
  const warnings: string[] = [];
  const warn = (text: string): void => {
    warnings.push(text);
  };
  const applies = info.verb === "patch" && isApply(request, scaleKind);
  const query = writeQuery(request.query, info.verb === "patch" ? "PatchOptions" : "UpdateOptions", applies);
  const manager = managerOf(request);
  // Admission sees the Scale that it was and that it shall be, as the client does.
  const shown: Shown = {
    kind: scaleKind,
    resource: served.resource,
    show: shape.show,
    store: (scale, stored) => shape.scaled(stored, scale as Scale),
  };
  const context = { ...contextOf(request, info, served, query.dryRun, warn), shown };
  const options = { ...query, manager, now: () => tracking.now(), warn };
  const change = applies
    ? await readApply(request, tracking.scale(), scaleKind, options)
    : tracked(
        info.verb === "patch"
          ? await patching(request, query.fieldValidation, warn)
          : await replacing(request, query.fieldValidation, warn),
        tracking,
        manager,
      );
  const { entry } = await registry.update(
    context,
    info.name,
    async (current) => {
      const { managedFields: managers = [] } = current.metadata;
      const before = shape.show(current);
      const managed = managersOfScale(managers, shape.replicasPath);
      if (managed.length > 0) before.metadata.managedFields = managed;
      const scale = await change(before);
      // Of a custom resource the schema says what the number may be.
      if (!served.scale) checkScale(scale);
      const { resourceVersion } = scale.metadata;
      if (resourceVersion && resourceVersion !== current.metadata.resourceVersion)
        throw modified(served.stored, info.name);
      const scaled = shape.scaled(current, scale);
      const after = managersOfScaled(
        managers,
        scale.metadata.managedFields ?? [],
        apiVersionOf(context.resource),
        shape.replicasPath,
      );
      const { managedFields: _managers, ...metadata } = scaled.metadata;
      scaled.metadata = after.length > 0 ? { ...metadata, managedFields: after } : metadata;
      return scaled;
    },
    { retry: true },
  );
  return objectResponse(200, shape.show(await loaded(entry)), warningHeader(warnings));
}

/** How the objects of a kind show their scale. */
interface ScaleShape {
  readonly show: (object: KubeObject) => Scale;
  readonly scaled: (object: KubeObject, scale: Scale) => KubeObject;
  readonly replicasPath: () => ReturnType<typeof pathOfFields>;
}

const replicas = pathOfFields("spec.replicas");

/** The workloads of Kubernetes all have their numbers in the same places. */
const workloadScale: ScaleShape = {
  show: scaleOf,
  scaled: (object, { spec }) => ({
    ...object,
    spec: { ...(object as Deployment).spec, replicas: spec?.replicas ?? 0 },
  }),
  replicasPath: () => replicas,
};

function customScale(paths: ScalePaths): ScaleShape {
  const own = pathOfFields(paths.replicas.join("."));
  const count = (object: KubeObject, path: readonly string[]): number => Number(valueAt(object, path) ?? 0);
  return {
    show(object) {
      if (valueAt(object, paths.replicas) === undefined) {
        const message = `the spec replicas field ${JSON.stringify(`.${paths.replicas.join(".")}`)} does not exist`;
        throw statusError("InternalError", `Internal error occurred: ${message}`, { causes: [{ message }] });
      }
      const selector = paths.selector && valueAt(object, paths.selector);
      return {
        ...scaleHead(object),
        spec: { replicas: count(object, paths.replicas) },
        status: {
          replicas: count(object, paths.statusReplicas),
          ...(typeof selector === "string" && selector ? { selector } : {}),
        },
      };
    },
    scaled: (object, { spec }) => withValueAt(object, paths.replicas, spec?.replicas ?? 0),
    replicasPath: () => own,
  };
}

type Change = (scale: Scale) => Scale;

/** A change that records who manages the number of replicas. */
function tracked(change: Change, tracking: FieldTracking, manager: string): (scale: Scale) => Promise<Scale> {
  return async (before) => {
    const scale = change(structuredClone(before));
    await trackUpdate(tracking.scale(), { manager, now: tracking.now() }, scale, before);
    return scale;
  };
}

async function replacing(
  request: ApiRequest,
  validation: Parameters<typeof readObject>[2],
  warn: (text: string) => void,
): Promise<Change> {
  const scale = await readObject<Scale>(request, scaleKind, validation, warn);
  return () => scale;
}

async function patching(
  request: ApiRequest,
  validation: Parameters<typeof readPatch>[1],
  warn: (text: string) => void,
): Promise<Change> {
  const patch = await readPatch(request, validation, warn);
  return (scale) => patch(scaleKind, scale);
}

/** The scale subresource of an object (autoscaling/v1). */
export function scaleOf(object: KubeObject): Scale {
  const { spec, status } = object as Deployment | ReplicaSet | ReplicationController;
  // A ReplicationController selects by labels alone.
  const selector = object.kind === "ReplicationController" ? { matchLabels: spec?.selector } : spec?.selector;
  return {
    ...scaleHead(object),
    spec: { replicas: spec?.replicas ?? 1 },
    status: { replicas: status?.replicas ?? 0, selector: formatLabelSelector(selector as LabelSelector | undefined) },
  };
}

function scaleHead({ metadata }: KubeObject): Pick<Scale, "apiVersion" | "kind" | "metadata"> {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  return {
    apiVersion: "autoscaling/v1",
    kind: "Scale",
    metadata: {
      name,
      ...(namespace ? { namespace } : {}),
      ...(uid ? { uid } : {}),
      ...(resourceVersion ? { resourceVersion } : {}),
      ...(creationTimestamp ? { creationTimestamp } : {}),
    },
  };
}

function checkScale({ metadata, spec }: Scale): void {
  const replicas = spec?.replicas ?? 0;
  if (replicas < 0)
    throw invalid(scaleKind, metadata.name, [
      { type: "Invalid", field: "spec.replicas", value: replicas, detail: "must be greater than or equal to 0" },
    ]);
}
