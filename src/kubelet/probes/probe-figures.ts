import { createMetrics } from "../../system/index.ts";
import { probeBuckets, type ProbeCount } from "./prober.ts";

/** What probes have found, under the names of a kubelet's `/metrics/probes`, in Prometheus' text. */
export function probeFigures(counts: readonly ProbeCount[]): Promise<string> {
  const metrics = createMetrics({ process: false });
  const labels = ["probe_type", "container", "pod", "namespace"];
  const total = metrics.counter("prober_probe_total", "Probes of a container, by what they found.", [
    ...labels,
    "result",
    "pod_uid",
  ]);
  const took = metrics.histogram("prober_probe_duration_seconds", "Time that probes took.", labels, probeBuckets);
  for (const { pod, container, kind, successful, failed, buckets, seconds } of counts) {
    const { namespace = "", name, uid = "" } = pod.metadata;
    const values = [kind, container, name, namespace] as const;
    if (successful > 0) total(...values, "successful", uid).inc(successful);
    if (failed > 0) total(...values, "failed", uid).inc(failed);
    took(...values).merge(buckets, seconds);
  }
  return metrics.text();
}
