import type {
  ContainerResourceMetricSource,
  CrossVersionObjectReference,
  ExternalMetricSource,
  MetricIdentifier,
  MetricSpec,
  MetricTarget,
  ObjectMetricSource,
  PodsMetricSource,
  ResourceMetricSource,
} from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { isDns1123Label, isPathSegment } from "../values/names.ts";
import { compareQuantities } from "../values/quantity.ts";

/** Types of metrics, and the field of each. */
const sources = {
  ContainerResource: "containerResource",
  External: "external",
  Object: "object",
  Pods: "pods",
  Resource: "resource",
} as const;
/** In the order in which upstream looks at them: only the first that is there is checked. */
const order = ["object", "external", "pods", "resource", "containerResource"] as const;

/** Faults of what an autoscaler scales, or looks at. */
export function* validateTargetReference(
  reference: CrossVersionObjectReference,
  path: string,
  /** What is asked of its API version: `any` nothing. */
  group: "needed" | "optional" | "any",
): Faults {
  for (const field of ["kind", "name"] as const) {
    const value = reference[field];
    if (!value) yield fault.required(`${path}.${field}`);
    else yield* invalids(`${path}.${field}`, value, isPathSegment(value));
  }
  const { apiVersion = "" } = reference;
  if (group === "any") return;
  if (group === "needed" && !apiVersion.includes("/"))
    yield fault.invalid(`${path}.apiVersion`, apiVersion, "apiVersion must specify API group");
  if (apiVersion.split("/").length > 2)
    yield fault.invalid(`${path}.apiVersion`, apiVersion, `unexpected GroupVersion string: ${apiVersion}`);
}

/** Faults of the metrics of an autoscaler. */
export function* validateMetrics(
  metrics: readonly MetricSpec[],
  minReplicas: number | undefined,
  path: string,
): Faults {
  for (const [i, metric] of metrics.entries()) yield* validateMetric(metric, `${path}[${i}]`);
  if (minReplicas === 0 && !metrics.some(({ type }) => type === "Object" || type === "External")) {
    const text = "must specify at least one Object or External metric to support scaling to zero replicas";
    yield fault.forbidden(path, text);
  }
}

function* validateMetric(metric: MetricSpec, path: string): Faults {
  const { type } = metric;
  const types = Object.keys(sources);
  if (type === "") yield fault.required(`${path}.type`, "must specify a metric source type");
  if (!types.includes(type)) yield fault.notSupported(`${path}.type`, type, types);
  // Upstream says so twice: of the type, and of what should be there for it.
  if (!types.includes(type)) yield fault.notSupported(`${path}.type`, type, types);
  const present = order.filter((field) => metric[field] !== undefined);
  const [first] = present;
  if (first) yield* validateSource(metric, first, `${path}.${first}`);
  const expected = types.includes(type) ? sources[type as keyof typeof sources] : undefined;
  if (expected && !metric[expected])
    yield fault.required(`${path}.${expected}`, "must populate information for the given metric source");
  if (present.length === 1) return;
  for (const field of present) {
    if (field !== expected) yield fault.forbidden(`${path}.${field}`, "must populate the given metric source only");
  }
}

function* validateSource(metric: MetricSpec, field: (typeof order)[number], path: string): Faults {
  if (field === "object" && metric.object) yield* validateObject(metric.object, path);
  if (field === "external" && metric.external) yield* validateExternal(metric.external, path);
  if (field === "pods" && metric.pods) yield* validatePods(metric.pods, path);
  if (field === "resource" && metric.resource) yield* validateResource(metric.resource, path);
  if (field === "containerResource" && metric.containerResource)
    yield* validateContainer(metric.containerResource, path);
}

function* validateObject({ describedObject, metric, target }: ObjectMetricSource, path: string): Faults {
  yield* validateTargetReference(describedObject, `${path}.describedObject`, "optional");
  yield* validateIdentifier(metric, `${path}.metric`);
  yield* validateTarget(target, `${path}.target`);
  if (target.value === undefined && target.averageValue === undefined)
    yield fault.required(`${path}.target.averageValue`, "must set either a target value or averageValue");
}

function* validateExternal({ metric, target }: ExternalMetricSource, path: string): Faults {
  yield* validateIdentifier(metric, `${path}.metric`);
  yield* validateTarget(target, `${path}.target`);
  if (target.value === undefined && target.averageValue === undefined) {
    const text = "must set either a target value for metric or a per-pod target";
    yield fault.required(`${path}.target.averageValue`, text);
  }
  if (target.value !== undefined && target.averageValue !== undefined) {
    const text = "may not set both a target value for metric and a per-pod target";
    yield fault.forbidden(`${path}.target.value`, text);
  }
}

function* validatePods({ metric, target }: PodsMetricSource, path: string): Faults {
  yield* validateIdentifier(metric, `${path}.metric`);
  yield* validateTarget(target, `${path}.target`);
  if (target.averageValue === undefined)
    yield fault.required(`${path}.target.averageValue`, "must specify a positive target averageValue");
}

function* validateResource({ name, target }: ResourceMetricSource, path: string): Faults {
  if (name === "") yield fault.required(`${path}.name`, "must specify a resource name");
  yield* validateResourceTarget(target, `${path}.target`);
}

function* validateContainer({ name, container, target }: ContainerResourceMetricSource, path: string): Faults {
  if (name === "") yield fault.required(`${path}.name`, "must specify a resource name");
  if (container === "") yield fault.required(`${path}.container`, "must specify a container");
  else yield* invalids(`${path}.container`, container, isDns1123Label(container));
  yield* validateResourceTarget(target, `${path}.target`);
}

function* validateResourceTarget(target: MetricTarget, path: string): Faults {
  yield* validateTarget(target, path);
  if (target.averageUtilization === undefined && target.averageValue === undefined) {
    const text = "must set either a target raw value or a target utilization";
    yield fault.required(`${path}.averageUtilization`, text);
  }
  if (target.averageUtilization !== undefined && target.averageValue !== undefined) {
    const text = "may not set both a target raw value and a target utilization";
    yield fault.forbidden(`${path}.averageValue`, text);
  }
}

function* validateTarget({ type, value, averageValue, averageUtilization }: MetricTarget, path: string): Faults {
  if (type === "") yield fault.required(`${path}.type`, "must specify a metric target type");
  if (!["Utilization", "Value", "AverageValue"].includes(type))
    yield fault.invalid(`${path}.type`, type, "must be either Utilization, Value, or AverageValue");
  for (const [field, amount] of Object.entries({ value, averageValue })) {
    if (amount !== undefined && compareQuantities(amount, "0") <= 0)
      yield fault.invalid(`${path}.${field}`, amount, "must be positive");
  }
  if (averageUtilization !== undefined && averageUtilization < 1)
    yield fault.invalid(`${path}.averageUtilization`, averageUtilization, "must be greater than 0");
}

function* validateIdentifier({ name }: MetricIdentifier, path: string): Faults {
  if (name === "") yield fault.required(`${path}.name`, "must specify a metric name");
  else yield* invalids(`${path}.name`, name, isPathSegment(name));
}
