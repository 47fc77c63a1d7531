import { startController, unless } from "../../client/index.ts";
import { keyOf, nameOfKey, resources, semanticEqual } from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import { batchPeriod } from "../batch-period.ts";
import type { ControllerContext } from "../context.ts";
import { hasSelector, isHeadless } from "../endpoint-slice/endpoints.ts";
import { labelIndex, podsSelectedBy, selectorIndex, servicesSelecting } from "../endpoint-slice/selection.ts";
import { subsetsOf } from "./subsets.ts";

const headlessLabel = "service.kubernetes.io/headless";
const managedByLabel = "endpoints.kubernetes.io/managed-by";
const capacityAnnotation = "endpoints.kubernetes.io/over-capacity";

/** Keeps the Endpoints of each Service with a selector, for those who don't read EndpointSlices yet. */
export function startEndpointsController(context: ControllerContext): Component {
  const { client, informers } = context;
  const services = informers.of(resources.Service, selectorIndex);
  const pods = informers.of(resources.Pod, labelIndex);
  const endpoints = informers.of(resources.Endpoints);
  const sizes = new Map<string, number>();

  const reconcile = async (key: string): Promise<void> => {
    const name = nameOfKey(key);
    const service = services.get(name);
    const old = endpoints.get(name);
    if (!service) {
      sizes.delete(key);
      // Those that someone made for a Service without selector are theirs to remove.
      if (old?.metadata.labels?.[managedByLabel]) await unless(client.delete(resources.Endpoints, name), "NotFound");
      return;
    }
    if (!hasSelector(service) || service.metadata.deletionTimestamp) return;
    const selected = podsSelectedBy(pods, service);
    sizes.set(key, selected.length);
    const { subsets, truncated } = subsetsOf(service, selected);
    const { [headlessLabel]: _, ...own } = service.metadata.labels ?? {};
    const labels = {
      ...own,
      ...(isHeadless(service) ? { [headlessLabel]: "" } : {}),
      [managedByLabel]: "endpoint-controller",
    };
    const { [capacityAnnotation]: __, ...others } = old?.metadata.annotations ?? {};
    const annotations = truncated ? { ...others, [capacityAnnotation]: "truncated" } : others;
    if (!old) {
      const draft = { metadata: { ...name, labels, annotations }, subsets };
      // An old cache: the change that brings it up to date comes here again.
      await unless(client.create(resources.Endpoints, draft), "AlreadyExists", "Forbidden", "NotFound");
      return;
    }
    const next = { ...old, metadata: { ...old.metadata, labels, annotations }, subsets };
    if (!semanticEqual(next, old)) await client.update(resources.Endpoints, next);
  };

  const controller = startController({
    ...context,
    name: "endpoints",
    reconcile,
    concurrency: 5,
    after: [services.synced, pods.synced, endpoints.synced],
  });
  const enqueue = (object: { metadata: { namespace?: string; name: string } } | undefined) => {
    if (object) controller.enqueue(keyOf(object));
  };
  services.onChange(({ before, after }) => enqueue(after ?? before));
  endpoints.onChange(({ before, after }) => enqueue(after ?? before));
  pods.onChange(({ before, after }) => {
    const touched = new Set([before, after].flatMap((pod) => (pod ? servicesSelecting(services, pod) : [])));
    for (const service of touched) {
      controller.enqueueAfter(keyOf(service), batchPeriod(sizes.get(keyOf(service)) ?? 0));
    }
  });
  return controller;
}
