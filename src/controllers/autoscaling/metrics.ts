import { type Client, messageOf } from "../../client/index.ts";
import {
  type HorizontalPodAutoscaler,
  type KubeObject,
  type MetricSpec,
  type MetricStatus,
  milliValue,
  type Pod,
  type Resource,
} from "../../kube/index.ts";
import { replicasFor } from "./usage.ts";

interface PodMetrics extends KubeObject {
  readonly containers?: readonly { readonly name: string; readonly usage?: Record<string, string> }[];
}

/** What the pods of metrics.k8s.io are: not stored, made when they are asked for. */
const podMetrics: Resource<PodMetrics> = {
  group: "metrics.k8s.io",
  version: "v1beta1",
  kind: "PodMetrics",
  plural: "pods",
  singular: "",
  namespaced: true,
  shortNames: [],
  categories: [],
  subresources: [],
};

/** What one metric of an autoscaler says. */
export type Reading =
  | { readonly replicas: number; readonly status: MetricStatus; readonly about: string }
  /** `reason` as in conditions and events: FailedGetResourceMetric, ... */
  | { readonly error: string; readonly reason: string };

export interface Asked {
  readonly selector: string;
  readonly pods: readonly Pod[];
  readonly current: number;
  readonly now: number;
}

/** The metrics of an autoscaler; without any, upstream's: cpu, at 80 percent of what is requested. */
export const metricsOf = ({ spec }: HorizontalPodAutoscaler): readonly MetricSpec[] =>
  spec.metrics?.length
    ? spec.metrics
    : [{ type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } } }];

/** Reads one metric, and decides how many pods it asks for. Only resources have a source here. */
export async function read(
  client: Client,
  { metadata, spec }: HorizontalPodAutoscaler,
  metric: MetricSpec,
  { selector, pods, current, now }: Asked,
): Promise<Reading> {
  const source = metric.resource ?? metric.containerResource;
  if (!source) {
    const [reason, api] =
      metric.type === "External"
        ? ["FailedGetExternalMetric", "external.metrics.k8s.io"]
        : [`FailedGet${metric.type}Metric`, "custom.metrics.k8s.io"];
    return { reason, error: `unable to get metric: no metrics are served by ${api}` };
  }
  const container = metric.containerResource?.container;
  const kind = container === undefined ? "Resource" : "ContainerResource";
  const reason = `FailedGet${kind}Metric`;
  const { name, target } = source;
  const what = target.averageUtilization === undefined ? `${name} usage` : `${name} utilization`;
  const failed = (why: string): Reading => ({ reason, error: `failed to get ${what}: ${why}` });
  let items: readonly PodMetrics[];
  try {
    ({ items } = await client.list(podMetrics, { namespace: metadata.namespace ?? "", labelSelector: selector }));
  } catch (error) {
    return failed(
      `unable to get metrics for resource ${name}: unable to fetch metrics from resource metrics API: ${messageOf(error)}`,
    );
  }
  if (items.length === 0)
    return failed(`unable to get metrics for resource ${name}: no metrics returned from resource metrics API`);
  const usage = new Map<string, number>();
  for (const item of items) {
    const used = (item.containers ?? []).filter((one) => container === undefined || one.name === container);
    const amounts = used.map((one) => one.usage?.[name]);
    if (used.length === 0 || amounts.includes(undefined)) continue;
    usage.set(
      item.metadata.name,
      amounts.reduce((sum, amount) => sum + milliValue(amount ?? "0"), 0),
    );
  }
  const { behavior } = spec;
  const verdict = replicasFor({
    pods,
    usage,
    resource: name,
    container,
    utilization: target.averageUtilization,
    average: target.averageValue === undefined ? undefined : milliValue(target.averageValue),
    current,
    tolerance: { up: toleranceOf(behavior?.scaleUp?.tolerance), down: toleranceOf(behavior?.scaleDown?.tolerance) },
    now,
  });
  if ("error" in verdict) return failed(verdict.error);
  const { utilization, average, replicas } = verdict;
  const seen = {
    ...(utilization === undefined ? {} : { averageUtilization: utilization }),
    averageValue: name === "cpu" ? `${average}m` : String(Math.floor(average / 1000)),
  };
  const of = container === undefined ? "" : ` of container ${container}`;
  const about =
    utilization === undefined
      ? `${name} ${container === undefined ? "resource" : "container resource"}${of}`
      : `${name} ${container === undefined ? "" : "container "}resource utilization (percentage of request)${of}`;
  const status: MetricStatus =
    container === undefined
      ? { type: "Resource", resource: { name, current: seen } }
      : { type: "ContainerResource", containerResource: { name, container, current: seen } };
  return { replicas, status, about };
}

/** A tenth where nothing else is said. */
const toleranceOf = (quantity: string | undefined): number =>
  quantity === undefined ? 0.1 : milliValue(quantity) / 1000;
