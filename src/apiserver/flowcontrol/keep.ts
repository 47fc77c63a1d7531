import {
  formatTime,
  isStatus,
  jsonEqual,
  resources,
  type FlowSchema,
  type KubeObject,
  type Resource,
} from "../../kube/index.ts";
import type { Clock, Component, Logger } from "../../system/index.ts";
import { ownContext, type Registry } from "../registry/index.ts";
import { keyFor, prefixFor, type Storage } from "../storage/index.ts";
import { autoUpdateSpec, bootstrapLevels, bootstrapSchemas, mandatory } from "./bootstrap-objects.ts";

export interface KeepFlowControlOptions {
  readonly storage: Storage;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Work begins when this is settled. */
  readonly after: Promise<unknown>;
}

/** Milliseconds between two looks at whether anything has changed. */
const every = 1000;

/**
 * Writes upstream's levels and schemas, brings the mandatory ones back, and says in each schema's condition `Dangling` whether its level
 * exists. `ready` settles when all were written for the first time, or could not be. What a user has changed of a suggested object stays
 * when its annotation says so.
 */
export function keepFlowControl(options: KeepFlowControlOptions): Component & { written(): boolean } {
  const { storage, clock, log, signal, after } = options;
  const caches = [storage.of(resources.FlowSchema), storage.of(resources.PriorityLevelConfiguration)];
  let written = false;
  let seen = "";
  let isReady = (): void => {};
  const ready = new Promise<void>((resolve) => {
    isReady = resolve;
  });
  const look = async (): Promise<void> => {
    const state = caches.map(({ changed }) => changed).join();
    if (state === seen) return;
    const ensure = (resource: Resource, objects: readonly KubeObject[]): Promise<unknown> =>
      Promise.all(objects.map((object) => ensureOne(options, resource, object, !written)));
    await ensure(resources.PriorityLevelConfiguration, bootstrapLevels);
    await ensure(resources.FlowSchema, bootstrapSchemas);
    await storage.caughtUpOwn();
    written = true;
    for (const { object } of storage.of(resources.FlowSchema).under(prefixFor(resources.FlowSchema)))
      await tellDangling(options, object as FlowSchema);
    // What came meanwhile is looked at next time.
    seen = state;
  };
  const run = async (): Promise<void> => {
    await after;
    while (!signal.aborted) {
      await look().catch((error: unknown) => {
        if (!signal.aborted)
          log.warn({ error: String(error) }, "objects of flow control could not be written; it will be tried again");
      });
      isReady();
      await clock.sleep(every, signal).catch(() => {});
    }
  };
  const stopped = run()
    .catch(() => {})
    .finally(() => isReady());
  return { name: "apiserver-flow-control", ready, stopped, written: () => written };
}

/** `first`: also the suggested ones, which stay away when somebody deletes them while this server runs. */
async function ensureOne(
  { storage, registry }: KeepFlowControlOptions,
  resource: Resource,
  wanted: KubeObject,
  first: boolean,
): Promise<void> {
  const { name } = wanted.metadata;
  if (!first && !mandatory.has(name)) return;
  const current = storage.of(resource).get(keyFor(resource, { name }))?.object;
  if (!current) {
    await registry.create(ownContext(resource, ""), structuredClone(wanted)).catch((error: unknown) => {
      if (!isStatus(error, "AlreadyExists")) throw error;
    });
    return;
  }
  if (isAsWanted(current, wanted)) return;
  await registry
    .update(
      ownContext(resource, ""),
      name,
      (object) =>
        isAsWanted(object, wanted)
          ? object
          : ({
              ...object,
              metadata: {
                ...object.metadata,
                annotations: { ...object.metadata.annotations, [autoUpdateSpec]: "true" },
              },
              spec: structuredClone(specOf(wanted)),
            } as KubeObject),
      { retry: true },
    )
    .catch((error: unknown) => {
      if (!isStatus(error, "NotFound")) throw error;
    });
}

const specOf = (object: KubeObject): unknown => (object as KubeObject & { spec?: unknown }).spec;

/**
 * Of a suggested object the annotation decides whose word counts; without one, whether anybody has changed it since it was made. The
 * shares of the level `exempt` are the user's.
 */
function isAsWanted(current: KubeObject, wanted: KubeObject): boolean {
  const { name, annotations, generation = 1 } = current.metadata;
  const says = annotations?.[autoUpdateSpec];
  if (!mandatory.has(name) && says !== "true" && (says !== undefined || generation > 1)) return true;
  if (name === "exempt" && current.kind === "PriorityLevelConfiguration")
    return (specOf(current) as { type?: string }).type === "Exempt";
  return jsonEqual(specOf(current), specOf(wanted));
}

async function tellDangling({ storage, registry, clock }: KeepFlowControlOptions, schema: FlowSchema): Promise<void> {
  const level = schema.spec.priorityLevelConfiguration.name;
  const levels = storage.of(resources.PriorityLevelConfiguration);
  const exists = levels.get(keyFor(resources.PriorityLevelConfiguration, { name: level })) !== undefined;
  const status = exists ? "False" : "True";
  const told = schema.status?.conditions?.find(({ type }) => type === "Dangling");
  if (told?.status === status) return;
  const what = `This FlowSchema references the PriorityLevelConfiguration object named ${JSON.stringify(level)}`;
  const condition = {
    type: "Dangling",
    status,
    reason: exists ? "Found" : "NotFound",
    message: exists ? `${what} and it exists` : `${what} but there is no such object`,
    lastTransitionTime: formatTime(clock.now()),
  };
  const context = { ...ownContext(resources.FlowSchema, ""), subresource: "status" };
  await registry
    .update(
      context,
      schema.metadata.name,
      (object) => {
        const now = structuredClone(object) as FlowSchema;
        const others = (now.status?.conditions ?? []).filter(({ type }) => type !== "Dangling");
        now.status = { ...now.status, conditions: [...others, condition] };
        return now;
      },
      { retry: true },
    )
    .catch((error: unknown) => {
      if (!isStatus(error, "NotFound")) throw error;
    });
}
