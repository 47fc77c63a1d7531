import {
  apiVersionOf,
  formatLabelSelector,
  invalid,
  managersOfScale,
  managersOfScaled,
  pathOfFields,
  trackUpdate,
  type Deployment,
  type KubeObject,
  type ReplicaSet,
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
import { tableFor } from "../table/index.ts";
import { contextOf } from "./context.ts";
import { includeObject } from "./form-for.ts";
import { readApply } from "./apply.ts";
import { managerOf, scaleKind, type FieldTracking } from "./field-tracking.ts";
import { isApply, readPatch } from "./patch.ts";
import type { Served } from "./served.ts";

/** The scale of a Deployment or ReplicaSet: how many pods, apart from everything else. `now` in milliseconds. */
export async function handleScale(
  { registry, now, tracking }: { registry: Registry; now: () => number; tracking: FieldTracking },
  request: ApiRequest,
  info: ResourceInfo,
  served: Served,
): Promise<ApiResponse> {
  if (info.verb === "get") {
    const entry = await registry.get(served.stored, info.namespace, info.name);
    const scale = scaleOf(entry.object);
    if (negotiate(request.headers["accept"]).as !== "Table") return objectResponse(200, scale);
    const table = tableFor(scaleKind, [scale], { now: now(), includeObject: includeObject(request.query) });
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
    show: scaleOf,
    store: (scale, stored) => scaledTo(stored as Deployment, scale as Scale),
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
      const before = scaleOf(current);
      const managed = managersOfScale(managers, replicasPath);
      if (managed.length > 0) before.metadata.managedFields = managed;
      const scale = await change(before);
      checkScale(scale);
      const { resourceVersion } = scale.metadata;
      if (resourceVersion && resourceVersion !== current.metadata.resourceVersion)
        throw modified(served.stored, info.name);
      const scaled = scaledTo(current as Deployment, scale);
      const after = managersOfScaled(
        managers,
        scale.metadata.managedFields ?? [],
        apiVersionOf(served.stored),
        replicasPath,
      );
      const { managedFields: _managers, ...metadata } = scaled.metadata;
      scaled.metadata = after.length > 0 ? { ...metadata, managedFields: after } : metadata;
      return scaled;
    },
    { retry: true },
  );
  return objectResponse(200, scaleOf(entry.object), warningHeader(warnings));
}

function scaledTo<T extends Deployment>(object: T, { spec }: Scale): T {
  return { ...object, spec: { ...object.spec, replicas: spec?.replicas ?? 0 } };
}

type Change = (scale: Scale) => Scale;

const replicas = pathOfFields("spec.replicas");
const replicasPath = () => replicas;

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
  const { metadata, spec, status } = object as Deployment | ReplicaSet;
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
    spec: { replicas: spec?.replicas ?? 1 },
    status: { replicas: status?.replicas ?? 0, selector: formatLabelSelector(spec?.selector) },
  };
}

function checkScale({ metadata, spec }: Scale): void {
  const replicas = spec?.replicas ?? 0;
  if (replicas < 0)
    throw invalid(scaleKind, metadata.name, [
      { type: "Invalid", field: "spec.replicas", value: replicas, detail: "must be greater than or equal to 0" },
    ]);
}
