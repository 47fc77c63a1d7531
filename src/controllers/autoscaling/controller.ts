import { createEventRecorder, messageOf, startController, unless } from "../../client/index.ts";
import {
  formatTime,
  type HorizontalPodAutoscaler,
  type HorizontalPodAutoscalerCondition,
  type HorizontalPodAutoscalerStatus,
  keyOf,
  meetsRequirements,
  nameOfKey,
  parseLabelSelector,
  type Resource,
  resources,
  type Scale,
  semanticEqual,
} from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";
import { customKindOf } from "../custom-kinds.ts";
import { rememberWrites } from "../own-writes.ts";
import { limit, memory, noPast, type Past } from "./behavior.ts";
import { metricsOf, read, type Reading } from "./metrics.ts";

/** Milliseconds between two looks at the metrics. */
const period = 15_000;

type Verdict = { readonly status: "True" | "False" | "Unknown"; readonly reason: string; readonly message: string };

/** Sets the number of pods by what they use: upstream's horizontal-pod-autoscaling controller for resource metrics. */
export function startAutoscaler(context: ControllerContext): Component {
  const { clock, informers } = context;
  const writes = rememberWrites(context.client, [resources.HorizontalPodAutoscaler], clock);
  const { client } = writes;
  const scalers = informers.of(resources.HorizontalPodAutoscaler);
  const pods = informers.of(resources.Pod);
  const definitions = informers.of(resources.CustomResourceDefinition);
  const events = createEventRecorder(client, { ...context, component: "horizontal-pod-autoscaler" });
  const pasts = new Map<string, Past>();
  const due = new Map<string, number>();

  const kindOf = ({ spec }: HorizontalPodAutoscaler): Resource | undefined => {
    const { apiVersion = "", kind } = spec.scaleTargetRef;
    const group = apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "";
    const known = Object.values<Resource>(resources).find((one) => one.group === group && one.kind === kind);
    const defined = definitions.list().find((one) => one.spec.group === group && one.spec.names.kind === kind);
    return known ?? (defined && customKindOf(defined));
  };

  const reconcile = async (key: string) => {
    const scaler = scalers.get(nameOfKey(key));
    if (!scaler) {
      pasts.delete(key);
      due.delete(key);
      return undefined;
    }
    if (writes.isBehind(scaler)) return undefined;
    const now = clock.now();
    const wait = (due.get(key) ?? 0) - now;
    const seen = (scaler.metadata.generation ?? 0) === (scaler.status?.observedGeneration ?? 0);
    if (wait > 0 && seen) return { again: wait };
    due.set(key, now + period);
    const status = await look(key, scaler, now);
    status.observedGeneration = scaler.metadata.generation ?? 0;
    if (!semanticEqual(status, scaler.status))
      await unless(client.updateStatus(resources.HorizontalPodAutoscaler, { ...scaler, status }), "NotFound");
    return { again: period };
  };

  /** Looks at the metrics, scales, and answers the status that comes of it. */
  const look = async (
    key: string,
    scaler: HorizontalPodAutoscaler,
    now: number,
  ): Promise<HorizontalPodAutoscalerStatus> => {
    const { spec, metadata } = scaler;
    const status: HorizontalPodAutoscalerStatus = {
      ...scaler.status,
      desiredReplicas: scaler.status?.desiredReplicas ?? 0,
    };
    const say = (type: string, verdict: Verdict): void => {
      status.conditions = withCondition(status.conditions, { type, ...verdict }, now);
    };
    const complain = (type: string, reason: string, message: string, text = message): HorizontalPodAutoscalerStatus => {
      events.event(scaler, "Warning", reason, text);
      say(type, { status: "False", reason, message });
      return status;
    };
    const name = { namespace: metadata.namespace ?? "", name: spec.scaleTargetRef.name };
    const resource = kindOf(scaler);
    let scale: Scale;
    try {
      if (!resource) {
        const { apiVersion = "", kind } = spec.scaleTargetRef;
        throw new Error(`no matches for kind "${kind}" in group "${apiVersion.split("/")[0] ?? ""}"`);
      }
      scale = await client.getScale(resource, name);
    } catch (error) {
      const text = `the HPA controller was unable to get the target's current scale: ${messageOf(error)}`;
      return complain("AbleToScale", "FailedGetScale", text, messageOf(error));
    }
    say("AbleToScale", {
      status: "True",
      reason: "SucceededGetScale",
      message: "the HPA controller was able to get the target's current scale",
    });
    const current = scale.spec.replicas ?? 0;
    status.currentReplicas = scale.status?.replicas ?? 0;
    const selector = scale.status?.selector ?? "";
    const { minReplicas = 1, maxReplicas } = spec;
    let desired = current;
    let reason = "";
    if (current === 0 && minReplicas !== 0) {
      status.desiredReplicas = 0;
      const message = "scaling is disabled since the replica count of the target is zero";
      say("ScalingActive", { status: "False", reason: "ScalingDisabled", message });
      return status;
    }
    if (current > maxReplicas) [desired, reason] = [maxReplicas, "Current number of replicas above Spec.MaxReplicas"];
    else if (current < minReplicas)
      [desired, reason] = [minReplicas, "Current number of replicas below Spec.MinReplicas"];
    else if (selector === "")
      return complain(
        "ScalingActive",
        "InvalidSelector",
        "the HPA target's scale is missing a selector",
        "selector is required",
      );
    else {
      const requirements = parseLabelSelector(selector);
      const selected = pods
        .list(metadata.namespace)
        .filter((pod) => meetsRequirements(requirements, pod.metadata.labels));
      const asked = { selector, pods: selected, current, now };
      const readings = await Promise.all(metricsOf(scaler).map((metric) => read(client, scaler, metric, asked)));
      const good = readings.filter(
        (reading): reading is Extract<Reading, { replicas: number }> => "replicas" in reading,
      );
      const bad = readings.find((reading): reading is Extract<Reading, { error: string }> => "error" in reading);
      if (good.length > 0) status.currentMetrics = good.map((reading) => reading.status);
      else delete status.currentMetrics;
      const best = good.toSorted((a, b) => b.replicas - a.replicas)[0];
      // One metric that is unknown may ask for more: then fewer are not enough.
      if (!best || (bad && best.replicas < current)) {
        const { reason: why, error } = bad ?? { reason: "InvalidMetricSourceType", error: "no metrics" };
        events.event(scaler, "Warning", why, error);
        const invalid = `invalid metrics (${readings.length - good.length} invalid out of ${readings.length}), first error is: ${error}`;
        events.event(scaler, "Warning", "FailedComputeMetricsReplicas", invalid);
        const message = `the HPA was unable to compute the replica count: ${error}`;
        say("ScalingActive", { status: "False", reason: why, message });
        status.desiredReplicas = current;
        return status;
      }
      const message = `the HPA was able to successfully calculate a replica count from ${best.about}`;
      say("ScalingActive", { status: "True", reason: "ValidMetricFound", message });
      const past = pasts.get(key) ?? { ...noPast, wanted: [{ replicas: current, at: now }] };
      const found = limit(spec, current, best.replicas, past, now);
      pasts.set(key, remembered({ ...past, wanted: [...past.wanted, { replicas: best.replicas, at: now }] }, now));
      desired = found.replicas;
      reason = desired > current ? `${best.about} above target` : "All metrics below target";
      const ready = { reason: "ReadyForNewScale", message: "recommended size matches current size" };
      say("AbleToScale", { status: "True", ...(found.stabilized ?? ready) });
      say("ScalingLimited", found.limited);
    }
    status.desiredReplicas = desired;
    if (desired === current) return status;
    try {
      const patch = { type: "merge", body: { spec: { replicas: desired } } } as const;
      await client.patch(resource, name, patch, { subresource: "scale" });
    } catch (error) {
      events.event(
        scaler,
        "Warning",
        "FailedRescale",
        `New size: ${desired}; reason: ${reason}; error: ${messageOf(error)}`,
      );
      const message = `the HPA controller was unable to update the target scale: ${messageOf(error)}`;
      say("AbleToScale", { status: "False", reason: "FailedUpdateScale", message });
      status.desiredReplicas = current;
      return status;
    }
    events.event(scaler, "Normal", "SuccessfulRescale", `New size: ${desired}; reason: ${reason}`);
    const message = `the HPA controller was able to update the target scale to ${desired}`;
    say("AbleToScale", { status: "True", reason: "SucceededRescale", message });
    status.lastScaleTime = formatTime(now);
    const past = pasts.get(key) ?? noPast;
    pasts.set(key, { ...past, changes: [...past.changes, { by: desired - current, at: now }] });
    return status;
  };

  const controller = startController({
    ...context,
    name: "horizontalpodautoscaler",
    reconcile,
    after: [scalers.synced, pods.synced, definitions.synced],
  });
  scalers.onChange(({ before, after }) => {
    if (before && !after) writes.forget(before);
    const scaler = after ?? before;
    if (scaler) controller.enqueue(keyOf(scaler));
  });
  return controller;
}

const remembered = ({ wanted, changes }: Past, now: number): Past => ({
  wanted: wanted.filter(({ at }) => at > now - memory),
  changes: changes.filter(({ at }) => at > now - memory),
});

function withCondition(
  conditions: readonly HorizontalPodAutoscalerCondition[] | undefined,
  condition: { readonly type: string } & Verdict,
  now: number,
): HorizontalPodAutoscalerCondition[] {
  const known = conditions?.find(({ type }) => type === condition.type);
  const since = known?.status === condition.status ? known.lastTransitionTime : undefined;
  const added = { ...condition, lastTransitionTime: since ?? formatTime(now) };
  return known ? (conditions ?? []).map((one) => (one === known ? added : one)) : [...(conditions ?? []), added];
}
