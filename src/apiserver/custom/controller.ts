import {
  cleanupFinalizer,
  cloneJson,
  definitionOf,
  isConditionTrue,
  isEstablished,
  isStatus,
  resources,
  semanticEqual,
  setCondition,
  type CustomResourceDefinition,
  type CustomResourceDefinitionCondition,
  type KubeObject,
} from "../../kube/index.ts";
import type { Clock, Component, Logger } from "../../system/index.ts";
import type { Egress } from "../egress/index.ts";
import { ownContext, timestamp, type Registry } from "../registry/index.ts";
import type { Catalog } from "../resources/index.ts";
import { prefixFor, type Storage } from "../storage/index.ts";
import { removeInstances } from "./instances.ts";
import { resourceOf, servedOf } from "./kinds.ts";
import { acceptNames, namesTaken, statusWithNames } from "./names.ts";

export interface CustomResourcesOptions {
  readonly catalog: Catalog;
  readonly storage: Storage;
  readonly registry: Registry;
  readonly egress: Egress;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Serves the kinds of all CustomResourceDefinitions, as long as they are there. */
export interface CustomResources extends Component {
  /** Settles when every definition that was there at the start is served. */
  readonly ready: Promise<void>;
}

const kind = resources.CustomResourceDefinition;
/** Milliseconds until what has failed is tried again. */
const retryAfter = 1000;

/** What is served for a definition, and the state of it that this was made for. */
interface Serving {
  readonly uid: string;
  readonly generation: number | undefined;
  readonly names: object | undefined;
  readonly stored: ReturnType<typeof resourceOf>;
}

export function startCustomResources(options: CustomResourcesOptions): CustomResources {
  const { catalog, storage, registry, egress, clock, log, signal } = options;
  const cache = () => storage.of(kind);
  const serving = new Map<string, Serving>();
  /** Definitions to look at; one that fails comes again. */
  const dirty = new Set<string>();
  /** Definitions whose objects are being removed. */
  const finishing = new Map<string, Promise<void>>();

  const definitions = (): CustomResourceDefinition[] =>
    cache()
      .under(prefixFor(kind))
      .map(({ object }) => object as CustomResourceDefinition);

  const writeStatus = async (
    name: string,
    change: (current: CustomResourceDefinition) => CustomResourceDefinition,
  ): Promise<CustomResourceDefinition | undefined> => {
    const context = { ...ownContext(kind, ""), subresource: "status" };
    try {
      const produce = (current: KubeObject): KubeObject => change(current as CustomResourceDefinition);
      const { entry } = await registry.update(context, name, produce, { retry: true });
      return entry.object as CustomResourceDefinition;
    } catch (error) {
      if (isStatus(error, "NotFound")) return undefined;
      throw error;
    }
  };
  const setOn = (
    definition: CustomResourceDefinition,
    condition: Omit<CustomResourceDefinitionCondition, "lastTransitionTime">,
  ): CustomResourceDefinition => {
    const conditions = setCondition(definition.status?.conditions, condition, timestamp(clock.now()));
    return { ...definition, status: { ...definition.status, conditions: [...conditions] } };
  };

  /** Gives the definition its names. The definition as it is afterwards. */
  const name = async (definition: CustomResourceDefinition): Promise<CustomResourceDefinition | undefined> => {
    const { metadata, spec, status } = definition;
    if (isConditionTrue(status?.conditions, "NamesAccepted") && semanticEqual(spec.names, status?.acceptedNames))
      return definition;
    const others = definitions().filter(({ metadata: other }) => other.name !== metadata.name);
    const outcome = acceptNames(definition, namesTaken(others, spec.group));
    const now = timestamp(clock.now());
    const named = await writeStatus(metadata.name, (current) => ({
      ...current,
      status: statusWithNames(current, outcome, now),
    }));
    // A name that was given up may be what another one waits for.
    for (const other of others) if (other.spec.group === spec.group) dirty.add(other.metadata.name);
    return named;
  };

  const serve = async (definition: CustomResourceDefinition): Promise<void> => {
    const { metadata, spec, status } = definition;
    const storageVersion = spec.versions.find((version) => version.storage);
    if (!storageVersion) return;
    const last = serving.get(metadata.name);
    const state: Serving = {
      uid: metadata.uid ?? "",
      generation: metadata.generation,
      names: status?.acceptedNames,
      stored: resourceOf(definition, storageVersion),
    };
    if (last?.uid === state.uid && last.generation === state.generation && semanticEqual(last.names, state.names))
      return;
    if (last && last.uid !== state.uid) withdraw(metadata.name);
    if (!(await storage.add(state.stored))) return;
    catalog.replace(ownerOf(metadata.name), servedOf(definition, { egress, since: storage.revision }));
    serving.set(metadata.name, state);
    // Watches go on in the form in which they began: clients begin them anew, where they were.
    if (last) storage.of(state.stored).endWatches();
  };

  const withdraw = (name: string): void => {
    const last = serving.get(name);
    if (!last) return;
    serving.delete(name);
    catalog.replace(ownerOf(name), []);
    storage.remove(last.stored);
  };

  const establish = async (definition: CustomResourceDefinition): Promise<void> => {
    if (isEstablished(definition)) return serve(definition);
    // It is served before it says so: who waits for the condition can go on at once.
    await serve(definition);
    await writeStatus(definition.metadata.name, (current) =>
      isConditionTrue(current.status?.conditions, "NamesAccepted")
        ? setOn(current, {
            type: "Established",
            status: "True",
            reason: "InitialNamesAccepted",
            message: "the initial names have been accepted",
          })
        : current,
    );
  };

  const finish = async (definition: CustomResourceDefinition): Promise<void> => {
    const { metadata } = definition;
    if (!metadata.finalizers?.includes(cleanupFinalizer)) return;
    if (isEstablished(definition)) await serve(definition);
    const begun = await writeStatus(metadata.name, (current) =>
      setOn(current, {
        type: "Terminating",
        status: "True",
        reason: "InstanceDeletionInProgress",
        message: "CustomResource deletion is in progress",
      }),
    );
    if (!begun) return;
    const served = catalog.all().find(({ resource }) => isOf(begun, resource));
    const condition = !isEstablished(begun)
      ? { reason: "NeverEstablished", message: "resource was never established" }
      : served
        ? await removeInstances({ served, storage, registry, signal })
        : { reason: "InstanceDeletionCompleted", message: "removed all instances" };
    const context = ownContext(kind, "");
    await writeStatus(metadata.name, (current) =>
      setOn(current, { type: "Terminating", status: "False", ...condition }),
    );
    try {
      await registry.update(
        context,
        metadata.name,
        (current) => {
          const next = cloneJson(current);
          next.metadata.finalizers = (next.metadata.finalizers ?? []).filter((one) => one !== cleanupFinalizer);
          return next;
        },
        { retry: true },
      );
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
    }
  };

  /** Objects may be held for long by their finalizers: others do not wait for that. */
  const finishOnce = (definition: CustomResourceDefinition): void => {
    const { name: one } = definition.metadata;
    if (finishing.has(one)) return;
    const done = finish(definition)
      .catch(async (error: unknown) => {
        if (signal.aborted) return;
        log.error({ definition: one, error: String(error) }, "objects of a kind could not be removed");
        await clock.sleep(retryAfter, signal).catch(() => {});
        finishing.delete(one);
        const again = definitions().find(({ metadata }) => metadata.name === one);
        if (again?.metadata.deletionTimestamp) finishOnce(again);
      })
      .finally(() => finishing.delete(one));
    finishing.set(one, done);
  };

  const reconcile = async (name_: string): Promise<void> => {
    await storage.caughtUp();
    const found = definitions().find(({ metadata }) => metadata.name === name_);
    if (!found) {
      const gone = serving.get(name_);
      withdraw(name_);
      // The names are free again.
      if (gone)
        for (const { metadata, spec } of definitions()) if (spec.group === gone.stored.group) dirty.add(metadata.name);
      return;
    }
    // A built-in kind of the same name and group is served whatever else is asked for.
    if (found.spec.versions.some(({ name: version }) => overlaps(found, version))) return;
    if (found.metadata.deletionTimestamp) return finishOnce(found);
    const named = await name(found);
    if (named && isConditionTrue(named.status?.conditions, "NamesAccepted")) await establish(named);
    else if (named && isEstablished(named)) await serve(named);
  };

  const drain = async (): Promise<void> => {
    for (const one of dirty) {
      if (signal.aborted) return;
      dirty.delete(one);
      try {
        await reconcile(one);
      } catch (error) {
        if (signal.aborted) return;
        log.error({ definition: one, error: String(error) }, "a CustomResourceDefinition could not be served");
        dirty.add(one);
        await clock.sleep(retryAfter, signal).catch(() => {});
      }
    }
  };

  let settled: () => void;
  const ready = new Promise<void>((resolve) => {
    settled = resolve;
  });

  const run = async (): Promise<void> => {
    await storage.ready;
    while (!signal.aborted) {
      const watcher = cache().follow(storage.revision, () => true);
      if (watcher === "expired") continue;
      const forget = (): void => cache().forget(watcher);
      signal.addEventListener("abort", forget, { once: true });
      for (const { metadata } of definitions()) dirty.add(metadata.name);
      for (const one of serving.keys()) dirty.add(one);
      await drain();
      settled();
      while (!watcher.ended && !signal.aborted) {
        for (let seen = watcher.take(); seen; seen = watcher.take()) dirty.add(seen.entry.object.metadata.name);
        await drain();
        if (dirty.size === 0) await watcher.more();
      }
      signal.removeEventListener("abort", forget);
      forget();
    }
  };
  const stopped = run()
    .catch((error: unknown) => {
      if (!signal.aborted) log.error({ error: String(error) }, "custom resources are not followed any more");
    })
    .finally(() => settled());
  return { name: "custom resources", ready, stopped };
}

const ownerOf = (name: string): string => `CustomResourceDefinition ${name}`;

function isOf({ spec }: CustomResourceDefinition, { group, plural }: { group: string; plural: string }): boolean {
  return spec.group === group && spec.names.plural === plural;
}

function overlaps({ spec }: CustomResourceDefinition, version: string): boolean {
  return definitionOf({ group: spec.group, version, kind: spec.names.kind }) !== undefined;
}
