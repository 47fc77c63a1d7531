import type { Pod, PodSpec, PodTemplateSpec } from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateAnnotations, validateLabels } from "../validation/metadata.ts";
import { validateOneOf } from "../validation/ports.ts";
import { isDns1123Label, isDns1123Subdomain } from "../values/names.ts";
import { validateContainers } from "./container-validation.ts";
import { validateDnsConfig, validateHostAliases, validateTolerations } from "./pod-network-validation.ts";
import { validateAffinity, validateTopologySpread } from "./scheduling-validation.ts";
import { validateVolumes } from "./volume-validation.ts";

const restartPolicies = ["Always", "OnFailure", "Never"];
const dnsPolicies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const maxInt32 = 2 ** 31 - 1;

/** Faults of a new Pod beside its metadata. */
export const validatePod = (pod: Pod): Faults => validatePodSpec(pod.spec, "spec");

/** Faults of a pod template: its labels and annotations, and the spec of its pods. */
export function* validatePodTemplate(template: PodTemplateSpec, path: string): Faults {
  yield* validateLabels(template.metadata?.labels, `${path}.labels`);
  yield* validateAnnotations(template.metadata?.annotations, `${path}.annotations`);
  yield* validatePodSpec(template.spec ?? { containers: [] }, `${path}.spec`);
  if (template.spec?.ephemeralContainers?.length) {
    yield fault.forbidden(`${path}.spec.ephemeralContainers`, "ephemeral containers not allowed in pod template");
  }
}

/** Faults of a pod's spec, as `ValidatePodSpec`. `path` is where it stands. */
export function* validatePodSpec(spec: PodSpec, path: string): Faults {
  const volumes = new Set((spec.volumes ?? []).map((volume) => volume.name));
  yield* validateVolumes(spec.volumes ?? [], `${path}.volumes`);
  yield* validateContainers(spec, volumes, path);
  yield* validateChoice(spec.restartPolicy, restartPolicies, `${path}.restartPolicy`);
  yield* validateChoice(spec.dnsPolicy, dnsPolicies, `${path}.dnsPolicy`);
  yield* validateLabels(spec.nodeSelector, `${path}.nodeSelector`);
  yield* validateHost(spec, path);
  for (const field of ["serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"] as const) {
    const name = spec[field];
    if (name) yield* invalids(`${path}.${field}`, name, isDns1123Subdomain(name));
  }
  if (spec.schedulerName !== undefined && spec.schedulerName === "") yield fault.required(`${path}.schedulerName`);
  const deadline = spec.activeDeadlineSeconds;
  if (deadline !== undefined && (deadline < 1 || deadline > maxInt32)) {
    yield fault.invalid(`${path}.activeDeadlineSeconds`, deadline, `must be between 1 and ${maxInt32}, inclusive`);
  }
  const grace = spec.terminationGracePeriodSeconds;
  if (grace === undefined) yield fault.required(`${path}.terminationGracePeriodSeconds`);
  else if (grace < 0)
    yield fault.invalid(`${path}.terminationGracePeriodSeconds`, grace, "must be greater than or equal to 0");
  for (const [i, { name }] of (spec.imagePullSecrets ?? []).entries()) {
    if (name) yield* invalids(`${path}.imagePullSecrets[${i}].name`, name, isDns1123Subdomain(name));
  }
  yield* validateAffinity(spec.affinity, `${path}.affinity`);
  yield* validateTopologySpread(spec.topologySpreadConstraints ?? [], `${path}.topologySpreadConstraints`);
  yield* validateTolerations(spec.tolerations ?? [], `${path}.tolerations`);
  yield* validateHostAliases(spec.hostAliases ?? [], `${path}.hostAliases`);
  yield* validateDnsConfig(spec, `${path}.dnsConfig`);
  yield* validateGates(spec, path);
}

function* validateChoice(value: string | undefined, supported: readonly string[], path: string): Faults {
  if (!value) yield fault.required(path);
  else yield* validateOneOf(value, supported, path);
}

function* validateHost(spec: PodSpec, path: string): Faults {
  for (const field of ["hostname", "subdomain"] as const) {
    const name = spec[field];
    if (name) yield* invalids(`${path}.${field}`, name, isDns1123Label(name));
  }
  const ids = {
    runAsUser: spec.securityContext?.runAsUser,
    runAsGroup: spec.securityContext?.runAsGroup,
    fsGroup: spec.securityContext?.fsGroup,
  };
  for (const [field, id] of Object.entries(ids)) {
    if (id === undefined || (id >= 0 && id <= maxInt32)) continue;
    yield fault.invalid(`${path}.securityContext.${field}`, id, `must be between 0 and ${maxInt32}, inclusive`);
  }
}

function* validateGates(spec: PodSpec, path: string): Faults {
  const gates = spec.schedulingGates ?? [];
  for (const [i, { name }] of gates.entries()) {
    yield* invalids(`${path}.schedulingGates[${i}].name`, name, isDns1123Subdomain(name));
    if (gates.findIndex((other) => other.name === name) < i)
      yield fault.duplicate(`${path}.schedulingGates[${i}]`, name);
  }
  if (gates.length > 0 && spec.nodeName) {
    yield fault.forbidden(`${path}.nodeName`, "cannot be set until all schedulingGates have been cleared");
  }
}
