import { applyJsonPatch, isObject, jsonEqual, type MutatingWebhook } from "../../../kube/index.ts";
import type { Admission, AdmissionRequest } from "../../registry/index.ts";
import { consult, internalError, invocationOf, subjectFor, type Invocation, type WebhookOptions } from "./dispatch.ts";
import { mutatingHooks, type Hook } from "./hooks.ts";
import type { Verdict } from "./review.ts";

/** What is remembered between the two rounds of one write. */
interface Memory {
  /** The object as the webhooks left it. */
  output: unknown;
  /** Webhooks that were asked and want to be asked again when something changes after them. */
  invoked: Set<string>;
  /** Those that something has changed after. */
  again: Set<string>;
}

/**
 * Asks the webhooks of all MutatingWebhookConfigurations one after the other, in the order of names, and applies their patches. When one
 * has changed the object there is a second round, in which only those with reinvocationPolicy IfNeeded are asked that came before
 * a change.
 */
export function mutatingWebhooks(options: WebhookOptions): Admission {
  const hooks = mutatingHooks(options.storage);
  const memoryKey = {};

  const round = async (request: AdmissionRequest, list: readonly Hook<MutatingWebhook>[]): Promise<void> => {
    const subject = subjectFor(request, options);
    if (!subject) return;
    const kept = (request.round.memory ??= new Map());
    const known = kept.get(memoryKey) as Memory | undefined;
    const memory: Memory = known ?? { output: undefined, invoked: new Set(), again: new Set() };
    kept.set(memoryKey, memory);
    const changed = (): void => {
      for (const id of memory.invoked) memory.again.add(id);
      memory.invoked.clear();
    };
    // The built-in steps of the second round may have changed it too.
    if (request.round.again && !jsonEqual(memory.output, request.object)) changed();
    try {
      for (const hook of list) {
        // Who was not asked before is not asked now, even if it would match what the others have made of the object.
        if (request.round.again && !memory.again.has(hook.id)) continue;
        const invocation = await invocationOf(hook, "admit", request, subject, options);
        if (!invocation) continue;
        const begun = performance.now();
        const verdict = await consult(invocation, "admit", request, options).finally(() =>
          request.context.waited?.(performance.now() - begun),
        );
        if (verdict && (await applyPatch(request, invocation, verdict, options))) {
          changed();
          request.round.wanted = true;
        }
        if (hook.webhook.reinvocationPolicy === "IfNeeded") memory.invoked.add(hook.id);
      }
    } finally {
      memory.output = request.object && structuredClone(request.object);
    }
  };

  return (request) => {
    const list = hooks.list();
    if (list.length === 0) return undefined;
    return round(request, list);
  };
}

/** True when the patch has changed the object. Throws StatusError InternalError for one that does not apply. */
async function applyPatch(
  request: AdmissionRequest,
  { hook, equivalent, seen }: Invocation,
  { patch }: Verdict,
  { settle }: WebhookOptions,
): Promise<boolean> {
  if (patch.length === 0) return false;
  if (!seen.object)
    throw internalError(
      `admission webhook ${JSON.stringify(hook.webhook.name)} attempted to modify the object, which is not supported for this operation`,
    );
  const patched = patchedBy(patch, seen.object);
  const object = settle(request, seen.kind, patched);
  const isChanged = !jsonEqual(seen.object, object);
  request.object = equivalent ? await equivalent.take(object) : object;
  return isChanged;
}

function patchedBy(patch: readonly unknown[], object: object): unknown {
  try {
    return applyJsonPatch(object, patch);
  } catch (error) {
    throw internalError(faultIn(error));
  }
}

/** Why a patch does not apply: the cause says it, the message is for whoever sends a PATCH. */
function faultIn(error: unknown): string {
  const status: unknown = isObject(error) ? error["status"] : undefined;
  const details: unknown = isObject(status) ? status["details"] : undefined;
  const causes: unknown = isObject(details) ? details["causes"] : undefined;
  const [first] = Array.isArray(causes) ? (causes as unknown[]) : [];
  const message: unknown = isObject(first) ? first["message"] : undefined;
  return typeof message === "string" ? message : (error as Error).message;
}
