import { defaultPodSpec } from "../core/pod-defaults.ts";
import { validatePodTemplate } from "../core/pod-validation.ts";
import type { LabelSelector, PodTemplateSpec } from "../generated/types.ts";
import { matchesLabels, requirementsOf } from "../selectors/label-selector.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { validateImmutable, validateNonNegative } from "../validation/metadata.ts";

interface WorkloadSpec {
  readonly replicas?: number;
  readonly selector?: LabelSelector;
  readonly template?: PodTemplateSpec;
}

/** Defaults of the pods that a workload makes. What is left out is there, but empty: so validation says what is missing, and no more. */
export function defaultTemplate(spec: { template?: PodTemplateSpec }): void {
  const template = (spec.template ??= {});
  defaultPodSpec((template.spec ??= { containers: [] }));
}

export const validateReplicas = ({ replicas }: WorkloadSpec): Faults => validateNonNegative(replicas, "spec.replicas");

/** The pods of a workload are found by its selector, so it stays what it was. */
export const validateSelectorUnchanged = (selector: LabelSelector, old: LabelSelector): Faults =>
  validateImmutable(selector, old, "spec.selector");

/** Faults of the selector and the pod template of a Deployment or ReplicaSet, and whether they fit. */
export function* validateSelectorAndTemplate({ selector, template = {} }: WorkloadSpec): Faults {
  if (!selector) yield fault.required("spec.selector");
  else {
    const faults = [...validateLabelSelector(selector, "spec.selector")];
    yield* faults;
    if (requirementsOf(selector).length === 0) {
      yield fault.invalid("spec.selector", selector, "empty selector is invalid for deployment");
    }
    if (faults.length > 0) {
      yield fault.invalid("spec.selector", selector, "invalid label selector");
      return;
    }
  }
  const labels = template.metadata?.labels;
  if (!matchesLabels(selector, labels)) {
    yield fault.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
  }
  yield* validatePodTemplate(template, "spec.template");
  const policy = template.spec?.restartPolicy;
  if (policy !== undefined && policy !== "Always") {
    yield fault.notSupported("spec.template.spec.restartPolicy", policy, ["Always"]);
  }
  if (template.spec?.activeDeadlineSeconds !== undefined) {
    const text = "activeDeadlineSeconds in ReplicaSet is not Supported";
    yield fault.forbidden("spec.template.spec.activeDeadlineSeconds", text);
  }
}
