import { startController } from "../../client/index.ts";
import {
  findCondition,
  isStatus,
  keyOf,
  nameOfKey,
  parseTime,
  type Pod,
  resources,
  type Service,
} from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import { batchPeriod } from "../batch-period.ts";
import type { ControllerContext } from "../context.ts";
import { addressTypesOf, endpointOf, hasSelector, isHeadless } from "./endpoints.ts";
import { groupByPorts } from "./plan.ts";
import { serviceNameLabel } from "../../services/index.ts";
import { createSliceWriter, managedByLabel, sliceIndex } from "./slices.ts";
import { labelIndex, podsSelectedBy, selectorIndex, servicesSelecting } from "./selection.ts";

const manager = "endpointslice-controller.k8s.io";
const headlessLabel = "service.kubernetes.io/headless";
/** Endpoints in one slice. */
const limit = 100;

/** Keeps the EndpointSlices of each Service with a selector like the pods that it selects (KEP-752). */
export function startEndpointSliceController(context: ControllerContext): Component {
  const { client, clock, informers } = context;
  const services = informers.of(resources.Service, selectorIndex);
  const pods = informers.of(resources.Pod, labelIndex);
  const nodes = informers.of(resources.Node);
  const slices = informers.of(resources.EndpointSlice, sliceIndex);
  const writer = createSliceWriter(client, slices, manager);
  /** Since when each Service's endpoints have been out of date, in milliseconds since the epoch. */
  const triggers = new Map<string, number>();
  const sizes = new Map<string, number>();

  const reconcile = async (key: string): Promise<void> => {
    const trigger = triggers.get(key);
    const service = services.get(nameOfKey(key));
    triggers.delete(key);
    // What a deleted Service leaves is the garbage collector's.
    if (!service || service.metadata.deletionTimestamp || !hasSelector(service)) return;
    const selected = podsSelectedBy(pods, service);
    sizes.set(key, selected.length);
    const groups = new Map(
      addressTypesOf(service).map((type) => {
        const endpoints = selected.flatMap((pod) => {
          const node = pod.spec.nodeName ? nodes.get({ name: pod.spec.nodeName }) : undefined;
          return endpointOf(service, pod, node, type) ?? [];
        });
        // Without ports only a headless Service has endpoints.
        const usable = isHeadless(service) ? endpoints : endpoints.filter(({ ports }) => ports.length > 0);
        return [type, groupByPorts(usable)] as const;
      }),
    );
    const owner = { ...service, apiVersion: "v1", kind: "Service" };
    try {
      await writer.write({ service: key, owner, frame: frameOf(service), groups, trigger }, limit);
    } catch (error) {
      if (trigger !== undefined) note(key, trigger);
      if (isStatus(error, "Forbidden") && services.get(nameOfKey(key)) === undefined) return;
      throw error;
    }
  };

  const controller = startController({
    ...context,
    name: "endpointslice",
    reconcile,
    concurrency: 5,
    after: [services.synced, pods.synced, nodes.synced, slices.synced],
  });

  const note = (key: string, at: number): void => {
    triggers.set(key, Math.min(at, triggers.get(key) ?? Infinity));
  };
  const enqueue = (service: Service, at: number): void => {
    note(keyOf(service), at);
    controller.enqueue(keyOf(service));
  };

  services.onChange(({ before, after }) => {
    if (!after) {
      triggers.delete(keyOf(before as Service));
      sizes.delete(keyOf(before as Service));
      return;
    }
    enqueue(after, before ? clock.now() : (parseTime(after.metadata.creationTimestamp ?? "") ?? clock.now()));
  });
  pods.onChange(({ before, after }) => {
    if (before && after && !matters(before, after)) return;
    const at = changedAt(before, after) ?? clock.now();
    const touched = new Set([before, after].flatMap((pod) => (pod ? servicesSelecting(services, pod) : [])));
    for (const service of touched) {
      note(keyOf(service), at);
      controller.enqueueAfter(keyOf(service), batchPeriod(sizes.get(keyOf(service)) ?? 0));
    }
  });
  nodes.onChange(({ before, after }) => {
    const zone = "topology.kubernetes.io/zone";
    if (before?.metadata.labels?.[zone] === after?.metadata.labels?.[zone]) return;
    const name = (after ?? before)?.metadata.name;
    const touched = new Set(
      pods
        .list()
        .filter(({ spec }) => spec.nodeName === name)
        .flatMap((pod) => servicesSelecting(services, pod)),
    );
    for (const service of touched) enqueue(service, clock.now());
  });
  // Someone changed or deleted a slice of ours.
  slices.onChange(({ before, after }) => {
    const slice = after ?? before;
    const { labels, namespace } = slice?.metadata ?? {};
    if (labels?.[managedByLabel] !== manager) return;
    controller.enqueue(keyOf({ metadata: { namespace: namespace ?? "", name: labels[serviceNameLabel] ?? "" } }));
  });
  return controller;
}

/** Labels of the slices of a Service: its own, and whether it is headless. */
function frameOf(service: Service) {
  const { [headlessLabel]: _, ...labels } = service.metadata.labels ?? {};
  return { labels: { ...labels, ...(isHeadless(service) ? { [headlessLabel]: "" } : {}) }, annotations: {} };
}

/** True when a change of a pod may change an endpoint. */
function matters(before: Pod, after: Pod): boolean {
  const view = ({ metadata, spec, status }: Pod) => [
    metadata.labels,
    metadata.deletionTimestamp !== undefined,
    spec.nodeName,
    spec.hostname,
    spec.subdomain,
    status?.podIPs ?? status?.podIP,
    status?.phase,
    findCondition(status?.conditions, "Ready")?.status,
  ];
  return JSON.stringify(view(before)) !== JSON.stringify(view(after));
}

/** When the pod's readiness changed, if that is what changed; in milliseconds. */
function changedAt(before: Pod | undefined, after: Pod | undefined): number | undefined {
  const ready = findCondition(after?.status?.conditions, "Ready");
  if (!ready || ready.status === findCondition(before?.status?.conditions, "Ready")?.status) return undefined;
  return parseTime(ready.lastTransitionTime ?? "");
}
