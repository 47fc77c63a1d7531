import {
  isConditionTrue,
  matchesLabels,
  resources,
  setCondition,
  statusError,
  StatusError,
  strategyFor,
  type Eviction,
  type KubeObject,
  type Pod,
  type PodCondition,
  type PodDisruptionBudget,
} from "../../kube/index.ts";
import { checkPreconditions, timestamp, type WriteContext } from "../registry/index.ts";
import { readObject } from "../request/body.ts";
import { writeQuery } from "../request/params.ts";
import { objectResponse } from "../request/respond.ts";
import { warningHeader } from "../request/warnings.ts";
import { prefixFor } from "../storage/index.ts";
import { contextOf } from "./context.ts";
import { done, type PodAction, type PodActionOptions } from "./pod-actions.ts";

const evictionKind = { group: "policy", version: "v1", kind: "Eviction" };

/** Evictions of one budget that its controller has not seen yet, at most. */
const mostUnseen = 2000;

/** `pods/eviction`: a delete that a PodDisruptionBudget may refuse, so that what the pod serves stays up. */
export const evictPod: PodAction = async (options, request, info, served) => {
  const { registry } = options;
  const query = writeQuery(request.query, "CreateOptions");
  const warnings: string[] = [];
  const warn = (text: string): void => {
    warnings.push(text);
  };
  const read = await readObject<Eviction>(request, evictionKind, query.fieldValidation, warn);
  if (read.metadata.name && read.metadata.name !== info.name)
    throw statusError("BadRequest", "name in URL does not match name in Eviction object");
  const asked = contextOf(request, info, served, query.dryRun || (read.deleteOptions?.dryRun?.length ?? 0) > 0, warn);
  const eviction = await registry.admit(asked, {
    operation: "CREATE",
    name: info.name,
    kind: evictionKind,
    object: { ...read, metadata: { ...read.metadata, name: info.name, namespace: info.namespace } },
  });
  const { gracePeriodSeconds, preconditions } = eviction.deleteOptions ?? {};
  const context = { ...asked, subresource: "", admitted: true };
  const pod = (await registry.get(resources.Pod, info.namespace, info.name)).object as Pod;
  if (isCostless(pod)) {
    await registry.remove(context, info.name, { gracePeriodSeconds, preconditions });
    return objectResponse(201, done, warningHeader(warnings));
  }
  checkPreconditions(resources.Pod, pod, { preconditions });
  await claimDisruption(options, context, pod);
  const { resourceVersion, ...lasting } = { ...preconditions, uid: pod.metadata.uid ?? "" };
  const marked = await registry.update(
    { ...context, subresource: "status" },
    info.name,
    (current) => {
      checkPreconditions(resources.Pod, current, { preconditions: { ...preconditions, ...lasting } });
      return markEvicted(current as Pod, options.now());
    },
    { retry: true },
  );
  // The mark made another version of it.
  const version = asked.dryRun ? resourceVersion : marked.entry.object.metadata.resourceVersion;
  const held = resourceVersion !== undefined && version !== undefined ? { resourceVersion: version } : {};
  await registry.remove(context, info.name, { gracePeriodSeconds, preconditions: { ...lasting, ...held } });
  return objectResponse(201, done, warningHeader(warnings));
};

/** A pod that serves nothing now: no budget is asked. */
const isCostless = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp !== undefined || ["Succeeded", "Failed", "Pending"].includes(status?.phase ?? "");

const isReady = ({ status }: Pod): boolean => isConditionTrue(status?.conditions, "Ready");

/** Asks the budget of a pod, if it has one, for one disruption. Throws StatusError TooManyRequests when it has none left. */
async function claimDisruption(
  { registry, storage, now }: PodActionOptions,
  context: WriteContext,
  pod: Pod,
): Promise<void> {
  const { namespace = "", name } = pod.metadata;
  const resource = resources.PodDisruptionBudget;
  const [budget, ...others] = storage
    .of(resource)
    .under(prefixFor(resource, namespace))
    .map((entry) => entry.object as PodDisruptionBudget)
    .filter(({ spec }) => spec.selector && matchesLabels(spec.selector, pod.metadata.labels));
  if (others.length > 0) throw severalBudgets();
  if (!budget || isFree(budget, pod)) return;
  const written = { ...context, resource, strategy: strategyFor(resource), subresource: "status" };
  await registry.update(
    written,
    budget.metadata.name,
    (current) => disrupted(current as PodDisruptionBudget, name, now()),
    { retry: true },
  );
}

/** True when the eviction of a pod that is not ready costs the budget nothing (KEP-3017). */
function isFree({ spec, status }: PodDisruptionBudget, pod: Pod): boolean {
  if (isReady(pod)) return false;
  if (spec.unhealthyPodEvictionPolicy === "AlwaysAllow") return true;
  const { currentHealthy = 0, desiredHealthy = 0 } = status ?? {};
  return desiredHealthy > 0 && currentHealthy >= desiredHealthy;
}

const refusal = "Cannot evict pod as it would violate the pod's disruption budget.";

/** The budget with one disruption less. Throws StatusError when there is none left. */
function disrupted(budget: PodDisruptionBudget, pod: string, now: number): PodDisruptionBudget {
  const { metadata, status } = budget;
  const cause = (message: string) => ({ causes: [{ reason: "DisruptionBudget", message }] });
  if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 0)) {
    const text = `The disruption budget ${metadata.name} is still being processed by the server.`;
    throw statusError("TooManyRequests", refusal, { ...cause(text), retryAfterSeconds: 10 });
  }
  const { disruptionsAllowed = 0, currentHealthy = 0, desiredHealthy = 0, disruptedPods = {} } = status ?? {};
  if (Object.keys(disruptedPods).length > mostUnseen) {
    const text = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
    throw statusError("Forbidden", `poddisruptionbudgets.policy "${metadata.name}" is forbidden: ${text}`, {
      name: metadata.name,
      group: "policy",
      kind: "poddisruptionbudgets",
    });
  }
  if (disruptionsAllowed <= 0) {
    const text = `The disruption budget ${metadata.name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`;
    throw statusError("TooManyRequests", refusal, cause(text));
  }
  return {
    ...budget,
    status: {
      ...status,
      currentHealthy,
      desiredHealthy,
      expectedPods: status?.expectedPods ?? 0,
      disruptionsAllowed: disruptionsAllowed - 1,
      disruptedPods: { ...disruptedPods, [pod]: timestamp(now) },
    },
  };
}

function severalBudgets(): StatusError {
  return new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    code: 500,
  });
}

/** The pod with the condition that says why it goes. */
function markEvicted(pod: Pod, now: number): KubeObject {
  const condition = {
    type: "DisruptionTarget",
    status: "True",
    reason: "EvictionByEvictionAPI",
    message: "Eviction API: evicting",
  };
  const conditions = setCondition<PodCondition>(pod.status?.conditions, condition, timestamp(now));
  return { ...pod, status: { ...pod.status, conditions } } as KubeObject;
}
