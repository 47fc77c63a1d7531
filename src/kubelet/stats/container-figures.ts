import { release, version } from "node:os";
import { milliValue, type Pod, qosClassOf, unitValue } from "../../kube/index.ts";
import { createMetrics } from "../../system/index.ts";
import type { ContainerRecord, ContainerUsage } from "../runtime/runtime.ts";

/** What runs of a pod, each container with what it has used. */
export interface PodUsage {
  readonly pod: Pod;
  readonly own: readonly (ContainerUsage & { readonly record: ContainerRecord })[];
}

/** What the machine has, and what is used of it: nanoseconds of processor time, bytes. */
export interface MachineUsage {
  readonly cpu: number;
  readonly memory: number;
  readonly cpus: number;
  readonly total: number;
}

const names = ["container", "id", "image", "name", "namespace", "pod"] as const;

/** Values of the labels `names`. */
type Place = readonly [container: string, id: string, image: string, name: string, namespace: string, pod: string];

const root: Place = ["", "/", "", "", "", ""];

/**
 * The figures of containers, pods and the machine under the names that cAdvisor gives them in a kubelet's `/metrics/cadvisor`, in
 * Prometheus' text. What cannot be known of processes without a control group of their own is left out: throttling, what
 * they read and wrote, the page cache. `now` is in milliseconds.
 */
export function containerFigures(pods: readonly PodUsage[], machine: MachineUsage, now: number): Promise<string> {
  const metrics = createMetrics({ process: false });
  const gauge = (name: string, help: string, labels: readonly string[] = names) => metrics.gauge(name, help, labels);
  const counter = (name: string, help: string, labels: readonly string[] = names) =>
    metrics.counter(name, help, labels);

  const cpu = counter("container_cpu_usage_seconds_total", "Processor time that was used.", [...names, "cpu"]);
  const usage = gauge("container_memory_usage_bytes", "Memory in use; pages that are shared count by shares.");
  const working = gauge("container_memory_working_set_bytes", "Memory in use that cannot be taken back.");
  const anonymous = gauge("container_memory_rss", "Memory in use that stands for no file.");
  const processes = gauge("container_processes", "Processes that run.");
  const threads = gauge("container_threads", "Threads that run.");
  const started = gauge("container_start_time_seconds", "When the container was started, in seconds since 1970.");
  const seen = gauge("container_last_seen", "When the container was last seen, in seconds since 1970.");
  const shares = gauge("container_spec_cpu_shares", "Share of the processors that was asked for.");
  const period = gauge("container_spec_cpu_period", "Period of the processor limit in microseconds.");
  const quota = gauge("container_spec_cpu_quota", "Processor time in a period that the limit is, in microseconds.");
  const limit = gauge("container_spec_memory_limit_bytes", "Limit of memory; 0: none.");
  const reserved = gauge("container_spec_memory_reservation_limit_bytes", "Memory that was asked for.");
  gauge("machine_cpu_cores", "Processors of the machine.", [])().set(machine.cpus);
  gauge("machine_memory_bytes", "Memory of the machine.", [])().set(machine.total);
  gauge("container_scrape_error", "1 when the figures of containers could not be read.", [])().set(0);
  const about = ["cadvisorRevision", "cadvisorVersion", "dockerVersion", "kernelVersion", "osVersion"];
  gauge("cadvisor_version_info", "Always 1; what the node runs on.", about)("", "", "", release(), version()).set(1);

  const used = (place: Place, one: Pick<ContainerUsage, "cpu" | "memory">): void => {
    cpu(...place, "total").inc(one.cpu / 1e9);
    usage(...place).set(one.memory);
    working(...place).set(one.memory);
    seen(...place).set(Math.floor(now / 1000));
  };
  used(root, machine);
  for (const { pod, own } of pods) {
    const { namespace = "", name, uid = "" } = pod.metadata;
    const quality = pod.status?.qosClass ?? qosClassOf(pod.spec);
    const group = `/kubepods${quality === "Guaranteed" ? "" : `/${quality.toLowerCase()}`}/pod${uid}`;
    const whole: Place = ["", group, "", "", namespace, name];
    const sum = (of: (one: ContainerUsage) => number): number => own.reduce((total, one) => total + of(one), 0);
    used(whole, { cpu: sum((one) => one.cpu), memory: sum((one) => one.memory) });
    anonymous(...whole).set(sum((one) => one.anonymous));
    processes(...whole).set(sum((one) => one.processes));
    threads(...whole).set(sum((one) => one.threads));
    for (const { record, ...one } of own) {
      const place: Place = [record.name, `${group}/${record.id}`, record.image, record.id, namespace, name];
      used(place, one);
      anonymous(...place).set(one.anonymous);
      processes(...place).set(one.processes);
      threads(...place).set(one.threads);
      started(...place).set((record.startedAt ?? record.createdAt) / 1000);
      const { requests = {}, limits = {} } =
        [...(pod.spec.initContainers ?? []), ...pod.spec.containers].find((spec) => spec.name === record.name)
          ?.resources ?? {};
      const asked = requests["cpu"] ?? limits["cpu"];
      // As the kubelet turns them into values of a control group.
      shares(...place).set(Math.max(2, asked === undefined ? 2 : Math.floor((milliValue(asked) * 1024) / 1000)));
      period(...place).set(100_000);
      if (limits["cpu"] !== undefined) quota(...place).set(milliValue(limits["cpu"]) * 100);
      limit(...place).set(limits["memory"] === undefined ? 0 : unitValue(limits["memory"]));
      reserved(...place).set(requests["memory"] === undefined ? 0 : unitValue(requests["memory"]));
    }
    traffic(metrics, whole, own.find(({ interfaces }) => interfaces !== undefined)?.interfaces ?? []);
  }
  return metrics.text();
}

const directions = [
  ["receive", "received"],
  ["transmit", "sent"],
] as const;

const parts = [
  ["bytes", "bytes"],
  ["packets", "packets"],
  ["errors", "errors"],
  ["packets_dropped", "dropped"],
] as const;

/** The containers of a pod share its interfaces. */
function traffic(
  metrics: Pick<ReturnType<typeof createMetrics>, "counter">,
  place: Place,
  interfaces: NonNullable<ContainerUsage["interfaces"]>,
): void {
  for (const [direction, field] of directions) {
    for (const [part, of] of parts) {
      const family = metrics.counter(`container_network_${direction}_${part}_total`, `Network: ${part}, ${field}.`, [
        ...names,
        "interface",
      ]);
      for (const one of interfaces) family(...place, one.name).inc(one[field][of]);
    }
  }
}
