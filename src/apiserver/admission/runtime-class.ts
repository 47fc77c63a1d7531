import { resources, semanticEqual, type Pod, type RuntimeClass, type Toleration } from "../../kube/index.ts";
import { forbidden, type Admission, type AdmissionRequest } from "../registry/index.ts";
import { keyFor, type Storage } from "../storage/index.ts";

const kind = resources.RuntimeClass;

const isNewPod = ({ operation, context, object }: AdmissionRequest): boolean =>
  operation === "CREATE" && context.resource === resources.Pod && context.subresource === "" && object !== undefined;

function classOf(storage: Storage, pod: Pod, name: string): RuntimeClass | undefined {
  const wanted = pod.spec?.runtimeClassName;
  if (!wanted) return undefined;
  const entry = storage.of(kind).get(keyFor(kind, { name: wanted }));
  if (entry) return entry.object as RuntimeClass;
  throw forbidden(resources.Pod, name, `pod rejected: RuntimeClass ${JSON.stringify(wanted)} not found`);
}

/** A Pod takes over what its RuntimeClass says of overhead (KEP-688) and of nodes. */
export function runtimeClass(storage: Storage): Admission {
  return (request) => {
    if (!isNewPod(request)) return;
    const pod = request.object as Pod;
    const { spec } = pod;
    const found = classOf(storage, pod, request.name);
    if (!found || !spec) return;
    const overhead = found.overhead?.podFixed;
    if (overhead && !spec.overhead) spec.overhead = { ...overhead };
    const { nodeSelector = {}, tolerations = [] } = found.scheduling ?? {};
    for (const [key, value] of Object.entries(nodeSelector))
      if (spec.nodeSelector?.[key] !== undefined && spec.nodeSelector[key] !== value)
        throw forbidden(
          resources.Pod,
          request.name,
          `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}, pod.spec.nodeSelector[${key}] = ${spec.nodeSelector[key]}`,
        );
    if (Object.keys(nodeSelector).length > 0) spec.nodeSelector = { ...spec.nodeSelector, ...nodeSelector };
    const given = spec.tolerations ?? [];
    const missing = tolerations.filter((one) => !given.some((own: Toleration) => semanticEqual(own, one)));
    if (missing.length > 0) spec.tolerations = [...given, ...missing.map((one) => ({ ...one }))];
  };
}

/** The overhead of a Pod is that of its class and nothing else. A validating step. */
export function runtimeOverhead(storage: Storage): Admission {
  return (request) => {
    if (!isNewPod(request)) return;
    const pod = request.object as Pod;
    const found = classOf(storage, pod, request.name);
    const overhead = found?.overhead?.podFixed;
    const given = pod.spec?.overhead;
    if (!given && !overhead) return;
    if (!found)
      throw forbidden(
        resources.Pod,
        request.name,
        "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
      );
    if (!semanticEqual(given ?? {}, overhead ?? {}))
      throw forbidden(
        resources.Pod,
        request.name,
        "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
      );
  };
}
