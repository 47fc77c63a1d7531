import { decode, definitionOf, type KubeObject } from "../../kube/index.ts";
import type { Logger, Metrics } from "../../system/index.ts";
import type { Authorizer } from "../auth/index.ts";
import type { Egress } from "../egress/index.ts";
import type { AdmissionChain, AdmissionRequest } from "../registry/index.ts";
import type { Catalog } from "../resources/index.ts";
import type { Storage } from "../storage/index.ts";
import { certificateApproval, certificateSigning, certificateSubjects } from "./certificates.ts";
import { claimResize, defaultStorageClass, storageInUse } from "./claims.ts";
import { defaultIngressClass } from "./default-ingress-class.ts";
import { defaultTolerationSeconds } from "./default-toleration-seconds.ts";
import { catalogEquivalents } from "./equivalents.ts";
import { limitRangeDefaults, limitRanger } from "./limit-ranger.ts";
import { namespaceLifecycle } from "./namespace-lifecycle.ts";
import { nodeRestriction } from "./node-restriction.ts";
import { taintNewNodes } from "./node-taints.ts";
import { mutatingPolicies, validatingPolicies } from "./policy/index.ts";
import { podSecurity } from "./pod-security/index.ts";
import { oneDefaultPriority, priority } from "./priority.ts";
import { resourceQuota } from "./resource-quota.ts";
import { roleEscalation } from "./role-escalation.ts";
import { runtimeClass, runtimeOverhead } from "./runtime-class.ts";
import { createStepFigures } from "./step-figures.ts";
import { serviceAccount } from "./service-account.ts";
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
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Everything that is asked about a write, in the order in which Kubernetes asks its plugins. */
export function createAdmission(options: AdmissionOptions): AdmissionChain {
  const { storage, authorizer, catalog, egress, log, metrics, now } = options;
  const webhooks: WebhookOptions = {
    storage,
    egress,
    log,
    conditions: webhookConditions(authorizer),
    figures: createWebhookFigures(metrics),
    equivalents: catalogEquivalents(catalog),
    settle,
  };
  const policies = { storage, catalog, authorizer, equivalents: webhooks.equivalents };
  const timed = createStepFigures(metrics);
  return {
    mutating: timed("admit", [
      namespaceLifecycle(storage),
      limitRangeDefaults(storage),
      serviceAccount(storage, now),
      taintNewNodes,
      priority(storage),
      defaultTolerationSeconds,
      defaultStorageClass(storage),
      storageInUse,
      runtimeClass(storage),
      defaultIngressClass(storage),
      mutatingPolicies({ ...policies, settle }),
      mutatingWebhooks(webhooks),
    ]),
    validating: timed("validate", [
      limitRanger(storage),
      nodeRestriction(storage),
      podSecurity(storage),
      oneDefaultPriority(storage),
      claimResize(storage),
      runtimeOverhead(storage),
      certificateApproval(authorizer),
      certificateSigning(authorizer),
      certificateSubjects,
      roleEscalation(authorizer),
      validatingPolicies(policies),
      validatingWebhooks(webhooks),
      resourceQuota(storage),
    ]),
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
