import { decode, definitionOf, type KubeObject } from "../../kube/index.ts";
import type { Logger, Metrics } from "../../system/index.ts";
import type { Authorizer } from "../auth/index.ts";
import type { Egress } from "../egress/index.ts";
import type { AdmissionChain, AdmissionRequest } from "../registry/index.ts";
import type { Catalog } from "../resources/index.ts";
import type { Storage } from "../storage/index.ts";
import { defaultIngressClass } from "./default-ingress-class.ts";
import { catalogEquivalents } from "./equivalents.ts";
import { namespaceLifecycle } from "./namespace-lifecycle.ts";
import { podSecurity } from "./pod-security/index.ts";
import { roleEscalation } from "./role-escalation.ts";
import { defaultServiceAccount } from "./service-account.ts";
import {
  createWebhookFigures,
  mutatingWebhooks,
  validatingWebhooks,
  webhookConditions,
  type WebhookOptions,
} from "./webhooks/index.ts";

export interface AdmissionOptions {
  readonly storage: Storage;
  readonly catalog: Catalog;
  readonly authorizer: Authorizer;
  readonly egress: Egress;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** Everything that is asked about a write, in the order in which Kubernetes asks its plugins. */
export function createAdmission(options: AdmissionOptions): AdmissionChain {
  const { storage, authorizer, catalog, egress, log, metrics } = options;
  const webhooks: WebhookOptions = {
    storage,
    egress,
    log,
    conditions: webhookConditions(authorizer),
    figures: createWebhookFigures(metrics),
    equivalents: catalogEquivalents(catalog),
    settle,
  };
  return {
    mutating: [
      namespaceLifecycle(storage),
      defaultServiceAccount,
      defaultIngressClass(storage),
      mutatingWebhooks(webhooks),
    ],
    validating: [podSecurity(storage), roleEscalation(authorizer), validatingWebhooks(webhooks)],
  };
}

/** What a webhook has made of an object: unknown fields of a kind that is known go, defaults come. */
function settle({ context, kind }: AdmissionRequest, seen: AdmissionRequest["kind"], patched: unknown): KubeObject {
  const object = definitionOf(seen) ? decode(seen, patched as object).object : (patched as KubeObject);
  const isStored =
    seen.kind === context.resource.kind && seen.group === context.resource.group && kind.kind === seen.kind;
  if (isStored && seen.version === context.resource.version) context.strategy.defaults(object);
  return object;
}
