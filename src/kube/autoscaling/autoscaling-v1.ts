import type {
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerV1,
  HPAScalingRules,
  MetricIdentifier,
  MetricSpec,
  MetricStatus,
  MetricTarget,
  MetricValueStatus,
} from "../generated/types.ts";
import { isObject } from "../values/equal.ts";

/** Annotations in which autoscaling/v1 carries what it has no fields for. */
const annotation = {
  metrics: "autoscaling.alpha.kubernetes.io/metrics",
  current: "autoscaling.alpha.kubernetes.io/current-metrics",
  conditions: "autoscaling.alpha.kubernetes.io/conditions",
  behavior: "autoscaling.alpha.kubernetes.io/behavior",
} as const;

type Json = Record<string, unknown>;

/** A stored autoscaling/v2 HorizontalPodAutoscaler as autoscaling/v1 shows it. */
export function horizontalPodAutoscalerV1Of(stored: HorizontalPodAutoscaler): HorizontalPodAutoscalerV1 {
  const { metadata, spec, status } = stored;
  const metrics = spec?.metrics ?? [];
  const cpu = metrics.find(isCpuUtilization)?.resource?.target.averageUtilization;
  const current = status?.currentMetrics ?? [];
  const currentCpu = current.find(isCpuUtilization)?.resource?.current.averageUtilization;
  const other = metrics.filter((metric) => !isCpuUtilization(metric));
  const otherCurrent = current.filter((metric) => !isCpuUtilization(metric));
  const annotations = {
    ...metadata.annotations,
    ...(other.length > 0 ? { [annotation.metrics]: JSON.stringify(other.map(oldMetric)) } : {}),
    ...(otherCurrent.length > 0 ? { [annotation.current]: JSON.stringify(otherCurrent.map(oldStatus)) } : {}),
    ...(status?.conditions?.length ? { [annotation.conditions]: JSON.stringify(status.conditions) } : {}),
    ...(spec?.behavior ? { [annotation.behavior]: JSON.stringify(oldBehavior(spec.behavior)) } : {}),
  };
  const { currentReplicas = 0, desiredReplicas = 0, lastScaleTime, observedGeneration } = status ?? {};
  return {
    apiVersion: "autoscaling/v1",
    kind: stored.kind,
    metadata: { ...metadata, ...(Object.keys(annotations).length > 0 ? { annotations } : {}) },
    spec: {
      scaleTargetRef: spec.scaleTargetRef,
      ...(spec.minReplicas === undefined ? {} : { minReplicas: spec.minReplicas }),
      maxReplicas: spec.maxReplicas,
      ...(cpu === undefined ? {} : { targetCPUUtilizationPercentage: cpu }),
    },
    status: {
      ...(observedGeneration === undefined ? {} : { observedGeneration }),
      ...(lastScaleTime === undefined ? {} : { lastScaleTime }),
      currentReplicas,
      desiredReplicas,
      ...(currentCpu === undefined ? {} : { currentCPUUtilizationPercentage: currentCpu }),
    },
  };
}

/** The reverse of `horizontalPodAutoscalerV1Of`. Annotations that cannot be read are dropped, as Kubernetes does. */
export function horizontalPodAutoscalerOf(shown: HorizontalPodAutoscalerV1): HorizontalPodAutoscaler {
  const { metadata, spec, status } = shown;
  const { annotations, ...otherMetadata } = metadata;
  const kept = Object.fromEntries(
    Object.entries(annotations ?? {}).filter(([name]) => !(Object.values(annotation) as string[]).includes(name)),
  );
  const list = (name: string): Json[] => {
    const value = read(annotations?.[name]);
    return Array.isArray(value) ? value.filter(isObject) : [];
  };
  const behavior = read(annotations?.[annotation.behavior]);
  const { targetCPUUtilizationPercentage: cpu, ...sameSpec } = spec;
  const { currentCPUUtilizationPercentage: currentCpu, ...sameStatus } = status ?? {
    currentReplicas: 0,
    desiredReplicas: 0,
  };
  const target = { type: "Utilization", averageUtilization: cpu ?? 0 };
  const metrics = [
    ...list(annotation.metrics).map(newMetric),
    ...(cpu === undefined ? [] : [{ type: "Resource", resource: { name: "cpu", target } }]),
  ] as object[] as MetricSpec[];
  const currentMetrics = [
    ...list(annotation.current).map(newStatus),
    ...(currentCpu === undefined
      ? []
      : [{ type: "Resource", resource: { name: "cpu", current: { averageUtilization: currentCpu } } }]),
  ] as object[] as MetricStatus[];
  const conditions = list(annotation.conditions) as never[];
  return {
    apiVersion: "autoscaling/v2",
    kind: shown.kind,
    metadata: { ...otherMetadata, ...(Object.keys(kept).length > 0 ? { annotations: kept } : {}) },
    spec: {
      ...sameSpec,
      ...(metrics.length > 0 ? { metrics } : {}),
      ...(isObject(behavior) ? { behavior: newBehavior(behavior) } : {}),
    },
    status: {
      ...sameStatus,
      ...(currentMetrics.length > 0 ? { currentMetrics } : {}),
      ...(conditions.length > 0 ? { conditions } : {}),
    },
  };
}

function read(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isCpuUtilization({ type, resource }: MetricSpec | MetricStatus): boolean {
  if (type !== "Resource" || resource?.name !== "cpu") return false;
  const value: MetricTarget | MetricValueStatus = "target" in resource ? resource.target : resource.current;
  return value.averageUtilization !== undefined;
}

// The annotations hold metrics in the form that they had before autoscaling/v2: the name and selector of a metric, its target and
// its current value are fields of the source itself.

const named = (metric: MetricIdentifier | undefined): Json => ({
  metricName: metric?.name ?? "",
  ...(metric?.selector ? { selector: metric.selector } : {}),
});

function oldMetric({ type, resource, containerResource, object, pods, external }: MetricSpec): Json {
  const utilization = (target: MetricTarget | undefined): Json =>
    defined({ targetAverageUtilization: target?.averageUtilization, targetAverageValue: target?.averageValue });
  if (resource) return { type, resource: { name: resource.name, ...utilization(resource.target) } };
  if (containerResource) {
    const { name, container, target } = containerResource;
    return { type, containerResource: { name, ...utilization(target), container } };
  }
  if (object) {
    const { metricName, ...selector } = named(object.metric);
    const { value, averageValue } = object.target;
    return {
      type,
      object: {
        target: object.describedObject,
        metricName,
        targetValue: value ?? "0",
        ...selector,
        ...defined({ averageValue }),
      },
    };
  }
  if (pods) {
    const { metricName, ...selector } = named(pods.metric);
    return { type, pods: { metricName, targetAverageValue: pods.target.averageValue ?? "0", ...selector } };
  }
  if (external) {
    const { metricName, selector } = named(external.metric);
    const { value, averageValue } = external.target;
    return {
      type,
      external: {
        metricName,
        ...defined({ metricSelector: selector, targetValue: value, targetAverageValue: averageValue }),
      },
    };
  }
  return { type };
}

function newMetric(old: Json): Json {
  const type = old["type"];
  const of = (name: string): Json | undefined => (isObject(old[name]) ? old[name] : undefined);
  const target = (value: unknown, averageValue: unknown, averageUtilization?: unknown): Json => ({
    type: averageUtilization !== undefined ? "Utilization" : averageValue !== undefined ? "AverageValue" : "Value",
    ...defined({ value, averageValue, averageUtilization }),
  });
  const metric = (source: Json, selector: unknown): Json => ({ name: source["metricName"], ...defined({ selector }) });
  for (const name of ["resource", "containerResource"]) {
    const source = of(name);
    if (!source) continue;
    return {
      type,
      [name]: {
        ...defined({ name: source["name"], container: source["container"] }),
        target: target(undefined, source["targetAverageValue"], source["targetAverageUtilization"]),
      },
    };
  }
  const object = of("object");
  if (object) {
    const average = object["averageValue"];
    return {
      type,
      object: {
        describedObject: object["target"],
        metric: metric(object, object["selector"]),
        target: target(average === undefined ? object["targetValue"] : undefined, average),
      },
    };
  }
  const pods = of("pods");
  if (pods)
    return {
      type,
      pods: { metric: metric(pods, pods["selector"]), target: target(undefined, pods["targetAverageValue"]) },
    };
  const external = of("external");
  if (external)
    return {
      type,
      external: {
        metric: metric(external, external["metricSelector"]),
        target: target(external["targetValue"], external["targetAverageValue"]),
      },
    };
  return { type };
}

function oldStatus({ type, resource, containerResource, object, pods, external }: MetricStatus): Json {
  const values = (current: MetricValueStatus | undefined): Json => ({
    ...defined({ currentAverageUtilization: current?.averageUtilization }),
    currentAverageValue: current?.averageValue ?? "0",
  });
  if (resource) return { type, resource: { name: resource.name, ...values(resource.current) } };
  if (containerResource) {
    const { name, container, current } = containerResource;
    return { type, containerResource: { name, ...values(current), container } };
  }
  if (object) {
    const { metricName, ...selector } = named(object.metric);
    const { value, averageValue } = object.current;
    return {
      type,
      object: {
        target: object.describedObject,
        metricName,
        currentValue: value ?? "0",
        ...selector,
        ...defined({ averageValue }),
      },
    };
  }
  if (pods) {
    const { metricName, ...selector } = named(pods.metric);
    return { type, pods: { metricName, currentAverageValue: pods.current.averageValue ?? "0", ...selector } };
  }
  if (external) {
    const { metricName, selector } = named(external.metric);
    const { value, averageValue } = external.current;
    return {
      type,
      external: {
        metricName,
        ...defined({ metricSelector: selector }),
        currentValue: value ?? "0",
        ...defined({ currentAverageValue: averageValue }),
      },
    };
  }
  return { type };
}

function newStatus(old: Json): Json {
  const type = old["type"];
  for (const name of ["resource", "containerResource", "object", "pods", "external"]) {
    const source = old[name];
    if (!isObject(source)) continue;
    const { currentAverageUtilization, currentAverageValue, currentValue, averageValue } = source;
    const current = defined({
      averageUtilization: currentAverageUtilization,
      averageValue: averageValue ?? currentAverageValue,
      value: currentValue,
    });
    if (name === "resource" || name === "containerResource")
      return { type, [name]: { ...defined({ name: source["name"], container: source["container"] }), current } };
    const selector = source["selector"] ?? source["metricSelector"];
    const metric = { name: source["metricName"], ...defined({ selector }) };
    return { type, [name]: { ...defined({ describedObject: source["target"] }), metric, current } };
  }
  return { type };
}

interface Behavior {
  scaleUp?: HPAScalingRules;
  scaleDown?: HPAScalingRules;
}

/** In the annotation the fields of the behavior itself have Go's names. */
const oldBehavior = ({ scaleUp, scaleDown }: Behavior): Json =>
  defined({ ScaleUp: scaleUp && oldRules(scaleUp), ScaleDown: scaleDown && oldRules(scaleDown) });

const oldRules = (rules: HPAScalingRules): Json => ({
  StabilizationWindowSeconds: rules.stabilizationWindowSeconds ?? null,
  SelectPolicy: rules.selectPolicy ?? null,
  Policies:
    rules.policies?.map(({ type, value, periodSeconds }) => ({
      Type: type,
      Value: value,
      PeriodSeconds: periodSeconds,
    })) ?? null,
  Tolerance: rules.tolerance ?? null,
});

function newBehavior(old: Json): Behavior {
  const rules = (value: unknown): HPAScalingRules | undefined => {
    if (!isObject(value)) return undefined;
    const policies = Array.isArray(value["Policies"]) ? value["Policies"].filter(isObject) : undefined;
    return defined({
      stabilizationWindowSeconds: value["StabilizationWindowSeconds"] ?? undefined,
      selectPolicy: value["SelectPolicy"] ?? undefined,
      policies: policies?.map((one) => ({
        type: one["Type"],
        value: one["Value"],
        periodSeconds: one["PeriodSeconds"],
      })),
      tolerance: value["Tolerance"] ?? undefined,
    });
  };
  return defined({ scaleUp: rules(old["ScaleUp"]), scaleDown: rules(old["ScaleDown"]) });
}

function defined(fields: Json): Json {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
