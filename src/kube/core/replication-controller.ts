import { createStrategy } from "../base-strategy.ts";
import { defaultTemplate } from "../apps/pod-template.ts";
import type { ReplicationController } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { validateNonNegative } from "../validation/metadata.ts";
import { validatePodTemplate } from "./pod-validation.ts";
import { podWarnings } from "./pod-warnings.ts";

export const replicationControllerStrategy = createStrategy(resources.ReplicationController, {
  generationOf: (controller) => controller.spec,
  defaults({ metadata, spec }) {
    const labels = spec.template?.metadata?.labels;
    if (labels && Object.keys(labels).length > 0) {
      if (!spec.selector) spec.selector = { ...labels };
      if (!metadata.labels) metadata.labels = { ...labels };
    }
    spec.replicas ??= 1;
    if (spec.template) defaultTemplate(spec);
  },
  garbageCollection: "orphan",
  warnings: ({ spec }) => podWarnings(spec.template, "spec.template"),
  validate: ({ spec }) => validateSpec(spec),
  *validateStatus({ status }) {
    const { replicas = 0, fullyLabeledReplicas = 0, readyReplicas = 0, availableReplicas = 0 } = status ?? {};
    const parts = { fullyLabeledReplicas, readyReplicas, availableReplicas };
    for (const [field, count] of Object.entries({ replicas, ...parts }))
      yield* validateNonNegative(count, `status.${field}`);
    yield* validateNonNegative(status?.observedGeneration, "status.observedGeneration");
    for (const [field, count] of Object.entries(parts)) {
      if (count > replicas) yield fault.invalid(`status.${field}`, count, "cannot be greater than status.replicas");
    }
    if (availableReplicas > readyReplicas)
      yield fault.invalid("status.availableReplicas", availableReplicas, "cannot be greater than readyReplicas");
  },
  selectableFields: ({ status }) => ({ "status.replicas": String(status?.replicas ?? 0) }),
});

function* validateSpec(spec: ReplicationController["spec"]): Faults {
  const { selector = {}, replicas, minReadySeconds, template } = spec ?? {};
  yield* validateNonNegative(minReadySeconds, "spec.minReadySeconds");
  if (Object.keys(selector).length === 0) yield fault.required("spec.selector");
  yield* validateNonNegative(replicas, "spec.replicas");
  if (!template) {
    yield fault.required("spec.template");
    return;
  }
  const { labels = {} } = template.metadata ?? {};
  if (Object.entries(selector).some(([key, value]) => labels[key] !== value)) {
    const text = "`selector` does not match template `labels`";
    yield fault.invalid("spec.template.metadata.labels", template.metadata?.labels, text);
  }
  yield* validatePodTemplate(template, "spec.template");
  const { restartPolicy = "", activeDeadlineSeconds } = template.spec ?? {};
  if (restartPolicy !== "Always")
    yield fault.notSupported("spec.template.spec.restartPolicy", restartPolicy, ["Always"]);
  if (activeDeadlineSeconds !== undefined) {
    const text = "activeDeadlineSeconds in ReplicationController is not Supported";
    yield fault.forbidden("spec.template.spec.activeDeadlineSeconds", text);
  }
}
