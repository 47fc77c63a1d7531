import { serviceNameLabel } from "../../services/index.ts";
import type { Client, Informer } from "../../client/index.ts";
import { type EndpointSlice, isStatus, keyOf, type KubeObject, nameOfKey, resources } from "../../kube/index.ts";
import { controllerReference } from "../owners.ts";
import { type AddressType } from "./endpoints.ts";
import { type EndpointGroup, planSlices, type SliceFrame, triggerAnnotation } from "./plan.ts";

export const managedByLabel = "endpointslice.kubernetes.io/managed-by";

/** What the slices of one Service should be. */
export interface SliceTarget {
  /** `namespace/name` of the Service. */
  readonly service: string;
  /** The Service, or the Endpoints that are mirrored. */
  readonly owner: KubeObject;
  readonly frame: SliceFrame;
  readonly groups: ReadonlyMap<AddressType, readonly EndpointGroup[]>;
  /** Milliseconds since the epoch of the change that leads to this, if known. */
  readonly trigger?: number | undefined;
}

/** Writes the slices of one manager. */
export interface SliceWriter {
  /** Makes the slices of a Service as they should be. `limit` endpoints at most are in one slice. */
  write(target: SliceTarget, limit: number): Promise<void>;
}

const indexName = "managed endpoint slices by service";

export const sliceIndex = {
  [indexName]: ({ metadata }: EndpointSlice): readonly string[] => [
    `${metadata.labels?.[managedByLabel] ?? ""} ${metadata.namespace ?? ""}/${metadata.labels?.[serviceNameLabel] ?? ""}`,
  ],
};

/** `slices` must have `sliceIndex`. */
export function createSliceWriter(client: Client, slices: Informer<EndpointSlice>, manager: string): SliceWriter {
  /** What was written and the cache does not show yet; without this an old cache would lead to writing it again. */
  const ahead = new Map<string, EndpointSlice>();
  const gone = new Map<string, string>();
  slices.onChange(({ before, after }) => {
    const key = keyOf((after ?? before) as EndpointSlice);
    const written = ahead.get(key);
    if (!after || (written && versionOf(after) >= versionOf(written))) ahead.delete(key);
    if (!after) gone.delete(key);
  });

  const current = (service: string): EndpointSlice[] => {
    const found = new Map(slices.by(indexName, `${manager} ${service}`).map((slice) => [keyOf(slice), slice]));
    for (const [key, slice] of ahead) {
      const { namespace, labels } = slice.metadata;
      if (`${namespace ?? ""}/${labels?.[serviceNameLabel] ?? ""}` === service) found.set(key, slice);
    }
    return [...found.values()].filter(
      (slice) => gone.get(keyOf(slice)) !== slice.metadata.uid && !slice.metadata.deletionTimestamp,
    );
  };

  const wrote = (slice: EndpointSlice): void => {
    const cached = slices.get(nameOfKey(keyOf(slice)));
    if (!cached || versionOf(cached) < versionOf(slice)) ahead.set(keyOf(slice), slice);
  };

  const stamp = (annotations: Readonly<Record<string, string>> | undefined, trigger: number | undefined) =>
    trigger === undefined
      ? { ...annotations }
      : { ...annotations, [triggerAnnotation]: new Date(trigger).toISOString() };

  return {
    async write({ service, owner, frame, groups, trigger }, limit) {
      const { namespace, name } = nameOfKey(service);
      const labels = { ...frame.labels, [serviceNameLabel]: name, [managedByLabel]: manager };
      const whole = { ...frame, labels };
      const existing = current(service);
      const types = new Set([...groups.keys(), ...existing.map(({ addressType }) => addressType)]);
      for (const type of types) {
        const mine = existing.filter(({ addressType }) => addressType === type);
        const wanted = groups.get(type as AddressType);
        // A family that the Service doesn't have any more leaves nothing behind.
        const plan = wanted ? planSlices(mine, wanted, whole, limit) : { create: [], update: [], remove: mine };
        for (const group of plan.create) {
          const metadata = {
            generateName: `${name}-`,
            ...(namespace ? { namespace } : {}),
            labels,
            annotations: stamp(frame.annotations, trigger),
            ownerReferences: [controllerReference(owner)],
          };
          const { ports, endpoints } = group;
          wrote(
            await client.create(resources.EndpointSlice, {
              metadata,
              addressType: type,
              ports: [...ports],
              endpoints: [...endpoints],
            }),
          );
        }
        for (const slice of plan.update) {
          const metadata = { ...slice.metadata, annotations: stamp(slice.metadata.annotations, trigger) };
          wrote(await client.update(resources.EndpointSlice, { ...slice, metadata }));
        }
        for (const slice of plan.remove) {
          const uid = slice.metadata.uid ?? "";
          gone.set(keyOf(slice), uid);
          ahead.delete(keyOf(slice));
          try {
            await client.delete(resources.EndpointSlice, nameOfKey(keyOf(slice)), { preconditions: { uid } });
          } catch (error) {
            if (!isStatus(error, "NotFound", "Conflict")) {
              gone.delete(keyOf(slice));
              throw error;
            }
          }
        }
      }
    },
  };
}

const versionOf = ({ metadata }: EndpointSlice): number => Number(metadata.resourceVersion ?? 0);
