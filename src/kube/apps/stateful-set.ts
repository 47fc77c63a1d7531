import { createStrategy } from "../base-strategy.ts";
import { claimWarnings, defaultClaim, validateClaimSpec } from "../core/persistent-volume-claim.ts";
import { podWarnings } from "../core/pod-warnings.ts";
import { validatePodTemplate } from "../core/pod-validation.ts";
import type { PodTemplateSpec, StatefulSetSpec, StatefulSetUpdateStrategy } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { matchesLabels, requirementsOf } from "../selectors/label-selector.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { validateAnnotations, validateLabels, validateNonNegative } from "../validation/metadata.ts";
import { validateOneOf } from "../validation/ports.ts";
import { semanticEqual } from "../values/equal.ts";
import { isDns1123Label } from "../values/names.ts";
import { defaultTemplate, validateReplicas } from "./pod-template.ts";
import { isZeroAmount, validateAmount, validateAtMostAll } from "./rolling-update.ts";

/** Fields that may change. */
const mutable = [
  "replicas",
  "ordinals",
  "template",
  "updateStrategy",
  "revisionHistoryLimit",
  "persistentVolumeClaimRetentionPolicy",
  "minReadySeconds",
] as const;

export const statefulSetStrategy = createStrategy(resources.StatefulSet, {
  // A pod of the set is called after it, and a pod's name is its host name.
  name: isDns1123Label,
  generationOf: (set) => set.spec,
  defaults({ spec }) {
    spec.podManagementPolicy ||= "OrderedReady";
    const strategy = (spec.updateStrategy ??= {});
    if (!strategy.type) {
      strategy.type = "RollingUpdate";
      strategy.rollingUpdate ??= {};
    }
    if (strategy.type === "RollingUpdate" && strategy.rollingUpdate) {
      strategy.rollingUpdate.partition ??= 0;
      strategy.rollingUpdate.maxUnavailable ??= 1;
    }
    const retention = (spec.persistentVolumeClaimRetentionPolicy ??= {});
    retention.whenDeleted ||= "Retain";
    retention.whenScaled ||= "Retain";
    spec.replicas ??= 1;
    spec.revisionHistoryLimit ??= 10;
    for (const claim of spec.volumeClaimTemplates ?? []) {
      claim.apiVersion ||= "v1";
      claim.kind ||= "PersistentVolumeClaim";
      defaultClaim(claim);
    }
    defaultTemplate(spec);
  },
  warnings: ({ spec }) => [
    ...podWarnings(spec.template, "spec.template"),
    ...(spec.volumeClaimTemplates ?? []).flatMap((claim, i) =>
      claimWarnings(claim.spec, `spec.volumeClaimTemplates[${i}]`),
    ),
    ...((spec.revisionHistoryLimit ?? 0) < 0
      ? ["spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"]
      : []),
  ],
  *validate({ spec }, _context, old) {
    yield* validateSpec(spec, old !== undefined);
    if (!old) return;
    const fixed = { ...spec };
    for (const field of mutable) Object.assign(fixed, { [field]: old.spec[field] });
    if (!semanticEqual(fixed, old.spec)) {
      const text =
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
      yield fault.forbidden("spec", text);
    }
  },
  *validateStatus({ status = { replicas: 0 } }, old) {
    const { replicas, readyReplicas = 0, currentReplicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status;
    const counts = { readyReplicas, currentReplicas, updatedReplicas, availableReplicas };
    for (const [field, count] of Object.entries({ replicas, ...counts }))
      yield* validateNonNegative(count, `status.${field}`);
    yield* validateNonNegative(status.observedGeneration, "status.observedGeneration");
    yield* validateNonNegative(status.collisionCount, "status.collisionCount");
    for (const [field, count] of Object.entries(counts)) {
      if (count > replicas) yield fault.invalid(`status.${field}`, count, "cannot be greater than status.replicas");
    }
    if (availableReplicas > readyReplicas) {
      const text = "cannot be greater than status.readyReplicas";
      yield fault.invalid("status.availableReplicas", availableReplicas, text);
    }
    if (old.status?.collisionCount !== undefined && (status.collisionCount ?? 0) < old.status.collisionCount) {
      yield fault.invalid("status.collisionCount", status.collisionCount ?? 0, "cannot be decremented");
    }
  },
});

function* validateSpec(spec: StatefulSetSpec, isUpdate: boolean): Faults {
  const { podManagementPolicy: policy = "", persistentVolumeClaimRetentionPolicy: retention = {} } = spec;
  if (policy !== "OrderedReady" && policy !== "Parallel")
    yield fault.invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'");
  yield* validateUpdateStrategy(spec.updateStrategy ?? {}, "spec.updateStrategy");
  for (const field of ["whenDeleted", "whenScaled"] as const) {
    const path = `spec.persistentVolumeClaimRetentionPolicy.${field}`;
    yield* validateOneOf(retention[field] ?? "", ["Retain", "Delete"], path);
  }
  if (!isUpdate) {
    for (const [i, claim] of (spec.volumeClaimTemplates ?? []).entries())
      yield* validateClaimSpec(claim.spec, `spec.volumeClaimTemplates[${i}].spec`);
  }
  yield* validateReplicas(spec);
  yield* validateNonNegative(spec.minReadySeconds, "spec.minReadySeconds");
  yield* validateNonNegative(spec.ordinals?.start, "spec.ordinals.start");
  if (!isUpdate && spec.serviceName)
    yield* invalids("spec.serviceName", spec.serviceName, isDns1123Label(spec.serviceName));
  yield* validateSelectorAndTemplate(spec);
  const { restartPolicy = "", activeDeadlineSeconds } = spec.template.spec ?? {};
  if (restartPolicy !== "Always")
    yield fault.notSupported("spec.template.spec.restartPolicy", restartPolicy, ["Always"]);
  if (activeDeadlineSeconds !== undefined) {
    const text = "activeDeadlineSeconds in StatefulSet is not Supported";
    yield fault.forbidden("spec.template.spec.activeDeadlineSeconds", text);
  }
}

function* validateUpdateStrategy({ type = "", rollingUpdate }: StatefulSetUpdateStrategy, path: string): Faults {
  const partition = rollingUpdate?.partition ?? 0;
  const amount = rollingUpdate?.maxUnavailable;
  // Upstream shows its internal names here.
  const shown = rollingUpdate ? { Partition: partition, MaxUnavailable: amount ?? null } : null;
  if (type === "OnDelete") {
    if (shown) yield fault.invalid(`${path}.rollingUpdate`, shown, "only allowed for updateStrategy 'RollingUpdate'");
    return;
  }
  if (type !== "RollingUpdate") {
    yield fault.invalid(path, { Type: type, RollingUpdate: shown }, "must be 'RollingUpdate' or 'OnDelete'");
    return;
  }
  yield* validateNonNegative(partition, `${path}.rollingUpdate.partition`);
  if (amount === undefined) return;
  const at = `${path}.rollingUpdate.maxUnavailable`;
  yield* validateAmount(amount, at);
  if (isZeroAmount(amount)) yield fault.invalid(at, amount, "cannot be 0");
  yield* validateAtMostAll(amount, at);
}

function* validateSelectorAndTemplate(spec: StatefulSetSpec): Faults {
  const { selector } = spec as Partial<StatefulSetSpec>;
  const faults = selector ? [...validateLabelSelector(selector, "spec.selector")] : [];
  if (!selector) yield fault.required("spec.selector");
  else {
    yield* faults;
    if (requirementsOf(selector).length === 0)
      yield fault.invalid("spec.selector", selector, "empty selector is invalid for statefulset");
  }
  if (faults.length > 0) {
    yield fault.invalid("spec.selector", selector, "");
    return;
  }
  const template = podTemplateOf(spec);
  const { labels, annotations } = template.metadata ?? {};
  const selectsAll = selector && requirementsOf(selector).length === 0;
  if (!selectsAll && !matchesLabels(selector, labels))
    yield fault.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
  yield* validatePodTemplate(template, "spec.template");
  yield* validateLabels(labels, "spec.template.labels");
  yield* validateAnnotations(annotations, "spec.template.annotations");
}

/**
 * The template as pods of the set will have it: with a volume for each claim template, and without the host name and subdomain, which
 * the controller sets.
 */
function podTemplateOf({ template, volumeClaimTemplates = [] }: StatefulSetSpec): PodTemplateSpec {
  const { hostname: _host, subdomain: _sub, ...spec } = template.spec ?? { containers: [] };
  // A template need not have a name to be read: then its volume has none either.
  const claims = volumeClaimTemplates.map(({ metadata }) => {
    const { name = "" } = metadata as Partial<typeof metadata>;
    return { name, persistentVolumeClaim: { claimName: name } };
  });
  const names = new Set(claims.map(({ name }) => name));
  const volumes = [...claims, ...(spec.volumes ?? []).filter(({ name }) => !names.has(name))];
  return { ...template, spec: volumes.length > 0 ? { ...spec, volumes } : spec };
}
