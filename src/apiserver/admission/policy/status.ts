import { isStatus, jsonEqual, loadCel, resources, type ValidatingAdmissionPolicy } from "../../../kube/index.ts";
import type { Clock, Component, Logger } from "../../../system/index.ts";
import { ownContext, type Registry } from "../../registry/index.ts";
import type { Catalog } from "../../resources/index.ts";
import { prefixFor, type Storage } from "../../storage/index.ts";
import { typeCheck } from "./type-check.ts";

export interface PolicyStatusOptions {
  readonly storage: Storage;
  readonly registry: Registry;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Work begins when this is settled. */
  readonly after: Promise<unknown>;
}

const kind = resources.ValidatingAdmissionPolicy;
/** Milliseconds between two looks at whether a policy has changed. */
const every = 1000;

/** Keeps `status` of ValidatingAdmissionPolicies: which generation was checked, and what is wrong with its types. */
export function keepPolicyStatus(options: PolicyStatusOptions): Component {
  const { storage, clock, log, signal, after } = options;
  const policies = storage.of(kind);
  let seen = -1;
  const look = async (): Promise<void> => {
    const { changed } = policies;
    if (changed === seen) return;
    for (const { object } of policies.under(prefixFor(kind))) {
      const policy = object as ValidatingAdmissionPolicy;
      if (policy.status?.observedGeneration !== policy.metadata.generation) await write(options, policy);
    }
    seen = changed;
  };
  const run = async (): Promise<void> => {
    await after;
    while (!signal.aborted) {
      await look().catch((error: unknown) => {
        log.warn({ error: String(error) }, "the status of policies could not be written; it will be tried again");
      });
      await clock.sleep(every, signal).catch(() => {});
    }
  };
  return { name: "apiserver-policy-status", ready: Promise.resolve(), stopped: run().catch(() => {}) };
}

async function write({ registry, catalog }: PolicyStatusOptions, policy: ValidatingAdmissionPolicy): Promise<void> {
  const expressionWarnings = typeCheck(await loadCel(), catalog, policy);
  const context = { ...ownContext(kind, ""), subresource: "status" };
  const produce = (current: object): ValidatingAdmissionPolicy => {
    const now = structuredClone(current) as ValidatingAdmissionPolicy;
    // Another generation has come: the next look is for that one.
    if (!jsonEqual(now.spec, policy.spec)) return now;
    const generation = policy.metadata.generation;
    now.status = {
      ...now.status,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      typeChecking: expressionWarnings.length > 0 ? { expressionWarnings } : {},
    };
    return now;
  };
  await registry.update(context, policy.metadata.name, produce, { retry: true }).catch((error: unknown) => {
    if (!isStatus(error, "NotFound")) throw error;
  });
}
