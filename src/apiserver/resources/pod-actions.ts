import { invalid, resources, unknownError, type Binding, type KubeObject, type Pod } from "../../kube/index.ts";
import type { ApiRequest, ApiResponse } from "../handler.ts";
import { conflict, timestamp, type Registry } from "../registry/index.ts";
import type { Storage } from "../storage/index.ts";
import { readObject } from "../request/body.ts";
import { writeQuery } from "../request/params.ts";
import type { ResourceInfo } from "../request/request-info.ts";
import { objectResponse } from "../request/respond.ts";
import { warningHeader } from "../request/warnings.ts";
import { contextOf } from "./context.ts";
import type { Served } from "./served.ts";

export interface PodActionOptions {
  readonly registry: Registry;
  readonly storage: Storage;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export type PodAction = (
  options: PodActionOptions,
  request: ApiRequest,
  info: ResourceInfo,
  served: Served,
) => Promise<ApiResponse>;

export const bindingKind = { group: "", version: "v1", kind: "Binding" };

export const done = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 };

/** `pods/binding`: the scheduler's word on where a pod runs; said once. */
export const bindPod: PodAction = async ({ registry, now }, request, info, served) => {
  const warnings: string[] = [];
  const warn = (text: string): void => {
    warnings.push(text);
  };
  const query = writeQuery(request.query, "CreateOptions");
  const read = await readObject<Binding>(request, bindingKind, query.fieldValidation, warn);
  // A Binding that is posted to the collection says itself which pod it is about.
  const name = info.name || (read.metadata.name ?? "");
  if (!name)
    throw invalid(bindingKind, "", [
      { type: "Required", field: "metadata.name", detail: "name or generateName is required" },
    ]);
  const context = contextOf(request, info, served, query.dryRun, warn);
  const binding = await registry.admit(context, {
    operation: "CREATE",
    name,
    kind: bindingKind,
    object: { ...read, metadata: { ...read.metadata, name, namespace: info.namespace } },
  });
  const { kind = "", name: node = "" } = binding.target ?? {};
  const faults = [
    ...(kind !== "" && kind !== "Node"
      ? [`target.kind: Unsupported value: ${JSON.stringify(kind)}: supported values: "Node", "<empty>"`]
      : []),
    ...(node ? [] : ["target.name: Required value"]),
  ];
  // Upstream has no kind of error for these.
  if (faults.length > 0) throw unknownError(faults.length === 1 ? (faults[0] ?? "") : `[${faults.join(", ")}]`);
  const podBinding = { ...resources.Pod, plural: "pods/binding" };
  const bind = (current: KubeObject): KubeObject => {
    const pod = current as Pod;
    const refuse = (why: string): never => {
      throw conflict(podBinding, name, why);
    };
    if (binding.metadata.uid && binding.metadata.uid !== pod.metadata.uid)
      refuse(
        `Precondition failed: UID in precondition: ${binding.metadata.uid}, UID in object meta: ${pod.metadata.uid}`,
      );
    if (pod.metadata.deletionTimestamp) refuse(`pod ${name} is being deleted, cannot be assigned to a host`);
    if (pod.spec?.nodeName) refuse(`pod ${name} is already assigned to node ${JSON.stringify(pod.spec.nodeName)}`);
    const conditions = (pod.status?.conditions ?? []).filter(({ type }) => type !== "PodScheduled");
    const scheduled = { type: "PodScheduled", status: "True", lastTransitionTime: timestamp(now()) };
    const annotations = { ...pod.metadata.annotations, ...binding.metadata.annotations };
    return {
      ...pod,
      metadata: { ...pod.metadata, ...(Object.keys(annotations).length > 0 ? { annotations } : {}) },
      spec: { ...pod.spec, nodeName: node },
      status: { ...pod.status, conditions: [...conditions, scheduled] },
    } as KubeObject;
  };
  await registry.update({ ...context, subresource: "binding", admitted: true }, name, bind, { retry: true });
  return objectResponse(201, done, warningHeader(warnings));
};
