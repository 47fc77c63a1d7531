import { randomUUID } from "node:crypto";
import type { Logger } from "../../../system/index.ts";
import type { Egress } from "../../egress/index.ts";
import { forbidden, type AdmissionRequest } from "../../registry/index.ts";
import type { Storage } from "../../storage/index.ts";
import { statusError, StatusError, type KubeObject } from "../../../kube/index.ts";
import { isAdmissionConfiguration, matchRequest, type AdmissionSubject } from "../match.ts";
import { subjectOf, type Equivalent, type FindEquivalents } from "../subject.ts";
import { CallError, postReview } from "./call.ts";
import type { Call, WebhookFigures } from "./figures.ts";
import type { Hook } from "./hooks.ts";
import {
  admissionReview,
  refusal,
  ReviewError,
  reviewVersion,
  verdictOf,
  type SeenAs,
  type Verdict,
} from "./review.ts";

/** Decides by the match conditions of a webhook whether it wants to see a request. Throws with a message when it can not. */
export type Conditions = (hook: Hook, request: AdmissionRequest, seen: SeenAs) => boolean | Promise<boolean>;

export interface WebhookOptions {
  readonly storage: Storage;
  readonly egress: Egress;
  readonly figures: WebhookFigures;
  readonly log: Logger;
  readonly equivalents: FindEquivalents;
  readonly conditions: Conditions;
  /** An object that a webhook has changed, read again in the structure of its kind and with its defaults. Throws StatusError. */
  readonly settle: (request: AdmissionRequest, kind: SeenAs["kind"], object: unknown) => KubeObject;
}

/** A webhook that is to be asked, and the form in which it is. */
export interface Invocation<H extends Hook = Hook> {
  readonly hook: H;
  readonly equivalent?: Equivalent;
  readonly seen: SeenAs;
}

/** Reviews are not sent to webhooks that could then keep everybody out (upstream's excluded virtual resources). */
const reviewGroups: ReadonlySet<string> = new Set(["authentication.k8s.io", "authorization.k8s.io"]);

/** What may be asked about a request; undefined when no webhook may see it. */
export function subjectFor(request: AdmissionRequest, options: WebhookOptions): AdmissionSubject | undefined {
  const { resource } = request.context;
  if (isAdmissionConfiguration({ group: resource.group, version: resource.version, resource: resource.plural }))
    return undefined;
  if (reviewGroups.has(resource.group)) return undefined;
  return subjectOf(request, options.storage, options.equivalents);
}

/** How a webhook is to be asked about a request as it is now; undefined: not at all. Throws StatusError Forbidden. */
export async function invocationOf<H extends Hook>(
  hook: H,
  type: Call["type"],
  request: AdmissionRequest,
  subject: AdmissionSubject,
  options: WebhookOptions,
): Promise<Invocation<H> | undefined> {
  const { webhook } = hook;
  const found = matchRequest(webhook, subject);
  if (!found) return undefined;
  const equivalent = found === subject ? undefined : (found as Equivalent);
  const kind = equivalent ? { ...found, kind: equivalent.kind } : request.kind;
  const show = async (object: KubeObject): Promise<KubeObject> => (equivalent ? equivalent.show(object) : object);
  const seen: SeenAs = {
    kind,
    resource: { group: found.group, version: found.version, resource: found.resource },
    ...(request.object ? { object: await show(request.object) } : {}),
    ...(request.old ? { old: await show(request.old) } : {}),
  };
  if (webhook.matchConditions?.length && !(await wants(hook, request, seen, options))) {
    options.figures.excluded({ name: webhook.name, type, operation: request.operation });
    return undefined;
  }
  return { hook, seen, ...(equivalent ? { equivalent } : {}) };
}

async function wants(
  hook: Hook,
  request: AdmissionRequest,
  seen: SeenAs,
  { conditions }: WebhookOptions,
): Promise<boolean> {
  try {
    return await conditions(hook, request, seen);
  } catch (error) {
    if (hook.webhook.failurePolicy === "Ignore") return false;
    throw error instanceof StatusError
      ? error
      : forbidden(request.context.resource, request.name, (error as Error).message);
  }
}

/**
 * Asks one webhook. Its verdict when it allows the request; undefined when it failed and may be passed over.
 * Throws StatusError: the webhook's refusal, InternalError when it failed and must not, BadRequest for a dry run that it does not know.
 */
export async function consult(
  { hook, seen }: Invocation,
  type: Call["type"],
  request: AdmissionRequest,
  { egress, figures, log }: WebhookOptions,
): Promise<Verdict | undefined> {
  const { webhook } = hook;
  const call: Call = { name: webhook.name, type, operation: request.operation };
  const begun = performance.now();
  const seconds = (): number => (performance.now() - begun) / 1000;
  if (request.context.dryRun && webhook.sideEffects !== "None" && webhook.sideEffects !== "NoneOnDryRun") {
    figures.rejected(call, "apiserver_internal_error", 0);
    figures.called(call, seconds(), 0, true);
    throw statusError("BadRequest", `admission webhook ${JSON.stringify(webhook.name)} does not support dry run`);
  }
  try {
    const version = reviewVersion(webhook.admissionReviewVersions);
    const uid = randomUUID();
    const review = admissionReview(version, uid, request, seen);
    const answer = await postReview(egress, webhook.clientConfig, review, webhook.timeoutSeconds ?? 10);
    const verdict = verdictOf(version, uid, type === "admit", answer);
    for (const warning of verdict.warnings) request.context.warn(warning);
    for (const [key, value] of Object.entries(verdict.auditAnnotations))
      request.context.annotate?.(`${webhook.name}/${key}`, value);
    if (!verdict.allowed) {
      const refused = refusal(webhook.name, verdict.status);
      figures.rejected(call, "no_error", refused.code);
      figures.called(call, seconds(), refused.code, true);
      throw refused;
    }
    figures.called(call, seconds(), 200, false);
    return verdict;
  } catch (error) {
    if (!(error instanceof CallError) && !(error instanceof ReviewError)) throw error;
    const code = error instanceof CallError ? error.code : error.code === "UNKNOWN_VERSION" ? 400 : 503;
    const text = `failed calling webhook ${JSON.stringify(webhook.name)}: ${error.message}`;
    const ignored = webhook.failurePolicy === "Ignore";
    figures.called(call, seconds(), code, !ignored);
    log.warn(
      { webhook: webhook.name, configuration: hook.configuration, error: error.message, ignored },
      "webhook failed",
    );
    if (ignored) {
      figures.failedOpen(call);
      request.context.annotate?.(
        `failed-open.${type === "admit" ? "mutation" : "validating"}.webhook.admission.k8s.io/${hook.id}`,
        webhook.name,
      );
      return undefined;
    }
    figures.rejected(call, "calling_webhook_error", code);
    throw internalError(text);
  }
}

/** 500 as apimachinery words it. */
export function internalError(message: string): StatusError {
  return statusError("InternalError", `Internal error occurred: ${message}`, { causes: [{ message }] });
}
