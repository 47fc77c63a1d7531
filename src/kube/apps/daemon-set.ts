import { createStrategy } from "../base-strategy.ts";
import { podWarnings } from "../core/pod-warnings.ts";
import { validatePodTemplate } from "../core/pod-validation.ts";
import type { DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { matchesLabels, requirementsOf } from "../selectors/label-selector.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { validateImmutable, validateNonNegative } from "../validation/metadata.ts";
import { semanticEqual } from "../values/equal.ts";
import { defaultTemplate } from "./pod-template.ts";
import { isZeroAmount, validateAmount, validateAtMostAll } from "./rolling-update.ts";

/** Counts the changes of the template: what was a field before apps/v1. */
const templateGeneration = "deprecated.daemonset.template.generation";

const counts = [
  "currentNumberScheduled",
  "numberMisscheduled",
  "desiredNumberScheduled",
  "numberReady",
  "observedGeneration",
  "updatedNumberScheduled",
  "numberAvailable",
  "numberUnavailable",
  "collisionCount",
] as const;

export const daemonSetStrategy = createStrategy(resources.DaemonSet, {
  generationOf: (set) => set.spec,
  defaults({ metadata, spec }) {
    // It was a field once, which an object has whether it is set or not.
    metadata.annotations = { [templateGeneration]: "0", ...metadata.annotations };
    const strategy = (spec.updateStrategy ??= {});
    strategy.type ||= "RollingUpdate";
    if (strategy.type === "RollingUpdate")
      strategy.rollingUpdate = { maxUnavailable: 1, maxSurge: 0, ...strategy.rollingUpdate };
    spec.revisionHistoryLimit ??= 10;
    defaultTemplate(spec);
  },
  prepareForCreate: (set) => setTemplateGeneration(set, templateGenerationOf(set) || 1),
  prepareForUpdate(set, old) {
    const before = templateGenerationOf(old);
    const changed = !semanticEqual(set.spec.template, old.spec.template);
    setTemplateGeneration(set, changed ? before + 1 : before);
  },
  prepareStatus: (set, old) => setTemplateGeneration(set, templateGenerationOf(old)),
  warnings: ({ spec }) => podWarnings(spec.template, "spec.template"),
  *validate({ spec }, _context, old) {
    if (old) yield* validateImmutable(spec.selector, old.spec.selector, "spec.selector");
    yield* validateSpec(spec);
  },
  *validateStatus({ status }, old) {
    for (const field of counts) yield* validateNonNegative(status?.[field], `status.${field}`);
    if (old.status?.collisionCount !== undefined && (status?.collisionCount ?? 0) < old.status.collisionCount)
      yield fault.invalid("status.collisionCount", status?.collisionCount ?? 0, "cannot be decremented");
  },
});

const templateGenerationOf = ({ metadata }: DaemonSet): number =>
  Number(metadata.annotations?.[templateGeneration] ?? 0) || 0;

function setTemplateGeneration({ metadata }: DaemonSet, generation: number): void {
  metadata.annotations = { ...metadata.annotations, [templateGeneration]: String(generation) };
}

function* validateSpec(spec: DaemonSetSpec): Faults {
  const { selector } = spec as Partial<DaemonSetSpec>;
  const labels = spec.template.metadata?.labels;
  const faults = [...validateLabelSelector(selector, "spec.selector")];
  yield* faults;
  if (faults.length === 0 && !matchesLabels(selector, labels))
    yield fault.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
  if (selector && requirementsOf(selector).length === 0)
    yield fault.invalid("spec.selector", selector, "empty selector is invalid for daemonset");
  yield* validatePodTemplate(spec.template, "spec.template");
  const { restartPolicy = "", activeDeadlineSeconds } = spec.template.spec ?? {};
  if (restartPolicy !== "Always")
    yield fault.notSupported("spec.template.spec.restartPolicy", restartPolicy, ["Always"]);
  if (activeDeadlineSeconds !== undefined) {
    const text = "activeDeadlineSeconds in DaemonSet is not Supported";
    yield fault.forbidden("spec.template.spec.activeDeadlineSeconds", text);
  }
  yield* validateNonNegative(spec.minReadySeconds, "spec.minReadySeconds");
  yield* validateUpdateStrategy(spec.updateStrategy ?? {}, "spec.updateStrategy");
  yield* validateNonNegative(spec.revisionHistoryLimit, "spec.revisionHistoryLimit");
}

function* validateUpdateStrategy({ type = "", rollingUpdate }: DaemonSetUpdateStrategy, path: string): Faults {
  if (type === "OnDelete") return;
  if (type !== "RollingUpdate") {
    // Upstream shows its internal names here.
    const { maxUnavailable: MaxUnavailable, maxSurge: MaxSurge } = rollingUpdate ?? {};
    const shown = { Type: type, RollingUpdate: rollingUpdate ? { MaxUnavailable, MaxSurge } : null };
    yield fault.notSupported(path, shown, ["RollingUpdate", "OnDelete"]);
    return;
  }
  const { maxUnavailable = 0, maxSurge = 0 } = rollingUpdate ?? {};
  const at = `${path}.rollingUpdate`;
  yield* validateAmount(maxUnavailable, `${at}.maxUnavailable`);
  yield* validateAmount(maxSurge, `${at}.maxSurge`);
  yield* validateAtMostAll(maxUnavailable, `${at}.maxUnavailable`);
  yield* validateAtMostAll(maxSurge, `${at}.maxSurge`);
  if (isZeroAmount(maxUnavailable)) {
    if (isZeroAmount(maxSurge)) yield fault.required(`${at}.maxUnavailable`, "cannot be 0 when maxSurge is 0");
  } else if (!isZeroAmount(maxSurge))
    yield fault.invalid(`${at}.maxSurge`, maxSurge, "may not be set when maxUnavailable is non-zero");
}
