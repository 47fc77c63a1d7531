import type { Informer, Informers } from "../../client/index.ts";
import { keyOf, nameOfKey, resources, type EndpointSlice, type KubeObject, type Service } from "../../kube/index.ts";
import { serviceOfSlice } from "../../services/index.ts";

/** Services and their slices by `namespace/name`, as front ends look at them. */
export interface ServiceView {
  readonly services: Informer<Service>;
  readonly slices: Informer<EndpointSlice>;
  readonly synced: Promise<unknown>;
  readonly service: (key: string) => Service | undefined;
  readonly slicesOf: (key: string) => readonly EndpointSlice[];
  /** Called with the Service that changed, or whose slices did. */
  onChange(listener: (key: string, change: { readonly before?: Service; readonly after?: Service }) => void): void;
}

const index = "front-ends/service";

export function createServiceView(informers: Informers): ServiceView {
  const services = informers.of(resources.Service);
  const slices = informers.of(resources.EndpointSlice, {
    [index]: (slice: EndpointSlice): readonly string[] => {
      const service = serviceOfSlice(slice);
      return service === undefined ? [] : [service];
    },
  });
  return {
    services,
    slices,
    synced: Promise.all([services.synced, slices.synced]),
    service: (key) => services.get(nameOfKey(key)),
    slicesOf: (key) => slices.by(index, key),
    onChange(listener) {
      services.onChange((change) => listener(changedKey(change), change));
      slices.onChange(({ before, after }) => {
        const keys = [before, after].flatMap((slice) => (slice ? (serviceOfSlice(slice) ?? []) : []));
        for (const key of new Set(keys)) listener(key, {});
      });
    },
  };
}

/** Key of an object that came, changed or went. */
export function changedKey({ before, after }: { readonly before?: KubeObject; readonly after?: KubeObject }): string {
  const object = after ?? before;
  return object ? keyOf(object) : "";
}
