import type { Admission, AdmissionRequest } from "../../registry/index.ts";
import { consult, invocationOf, subjectFor, type Invocation, type WebhookOptions } from "./dispatch.ts";
import { validatingHooks, type Hook } from "./hooks.ts";

/**
 * Asks the webhooks of all ValidatingWebhookConfigurations at once. All must allow the request; of several refusals the first in order
 * is told.
 */
export function validatingWebhooks(options: WebhookOptions): Admission {
  const hooks = validatingHooks(options.storage);

  const ask = async (request: AdmissionRequest, list: readonly Hook[]): Promise<void> => {
    const subject = subjectFor(request, options);
    if (!subject) return;
    const invocations: Invocation[] = [];
    for (const hook of list) {
      const invocation = await invocationOf(hook, "validating", request, subject, options);
      if (invocation) invocations.push(invocation);
    }
    const begun = performance.now();
    const answers = await Promise.allSettled(invocations.map((one) => consult(one, "validating", request, options)));
    request.context.waited?.(performance.now() - begun);
    const refused = answers.find((answer) => answer.status === "rejected");
    if (refused) throw refused.reason;
  };

  return (request) => {
    const list = hooks.list();
    if (list.length === 0) return undefined;
    return ask(request, list);
  };
}
