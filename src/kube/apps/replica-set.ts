import { createStrategy } from "../base-strategy.ts";
import { podWarnings } from "../core/pod-warnings.ts";
import type { ReplicaSetSpec } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault } from "../validation/fault.ts";
import { validateNonNegative } from "../validation/metadata.ts";
import {
  defaultTemplate,
  validateReplicas,
  validateSelectorUnchanged,
  validateSelectorAndTemplate,
} from "./pod-template.ts";

export const replicaSetStrategy = createStrategy(resources.ReplicaSet, {
  generationOf: (set) => set.spec,
  defaults(set) {
    const spec = (set.spec ??= {} as ReplicaSetSpec);
    spec.replicas ??= 1;
    defaultTemplate(spec);
  },
  warnings: ({ spec }) => podWarnings(spec.template, "spec.template"),
  prepareForCreate(set) {
    set.status = { replicas: 0 };
  },
  *validate({ spec }, _context, old) {
    yield* validateReplicas(spec);
    yield* validateNonNegative(spec.minReadySeconds, "spec.minReadySeconds");
    yield* validateSelectorAndTemplate(spec);
    if (old) yield* validateSelectorUnchanged(spec.selector, old.spec.selector);
  },
  *validateStatus({ status = { replicas: 0 } }) {
    const { replicas, fullyLabeledReplicas = 0, readyReplicas = 0, availableReplicas = 0 } = status;
    const counts = { replicas, fullyLabeledReplicas, readyReplicas, availableReplicas };
    for (const [field, count] of Object.entries(counts)) {
      yield* validateNonNegative(count, `status.${field}`);
      if (count > replicas) yield fault.invalid(`status.${field}`, count, "cannot be greater than status.replicas");
    }
    if (availableReplicas > readyReplicas) {
      yield fault.invalid("status.availableReplicas", availableReplicas, "cannot be greater than readyReplicas");
    }
  },
  selectableFields: ({ status }) => ({ "status.replicas": String(status?.replicas ?? 0) }),
});
