import type { Pod, PodSpec, PodTemplateSpec } from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateAnnotations, validateLabels } from "../validation/metadata.ts";
import { validateChoice, validateOneOf } from "../validation/ports.ts";
import { inRange, isDns1123Label, isDns1123Subdomain, isQualifiedName } from "../values/names.ts";
import { validateContainers } from "./container-validation.ts";
import { validateDnsConfig, validateHostAliases, validateTolerations } from "./pod-network-validation.ts";
import { validateAffinity, validateTopologySpread } from "./scheduling-validation.ts";
import { validatePodSecurityContext } from "./security-validation.ts";
import { checkVolumes } from "./volume-validation.ts";

const restartPolicies = ["Always", "OnFailure", "Never"];
const dnsPolicies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const preemptionPolicies = ["PreemptLowerPriority", "Never"];
const maxDeadline = 2 ** 31 - 1;

/** Faults of a new Pod beside its metadata. */
export function* validatePodCreate({ spec }: Pod): Faults {
  yield* validatePodSpec(spec, "spec", true);
  if (spec.ephemeralContainers?.length) yield fault.forbidden("spec.ephemeralContainers", "cannot be set on create");
  if (spec.nodeName && spec.schedulingGates?.length) {
    yield fault.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared");
  }
}

/** Faults of a pod template: its labels and annotations, and the spec of its pods. */
export function* validatePodTemplate(template: PodTemplateSpec, path: string): Faults {
  yield* validateLabels(template.metadata?.labels, `${path}.labels`);
  yield* validateAnnotations(template.metadata?.annotations, `${path}.annotations`);
  yield* validatePodSpec(template.spec ?? { containers: [] }, `${path}.spec`, false);
  if (template.spec?.ephemeralContainers?.length) {
    yield fault.forbidden(`${path}.spec.ephemeralContainers`, "ephemeral containers not allowed in pod template");
  }
}

/** Names of other objects in a pod's spec, and what they must look like. */
const names = [
  ["serviceAccountName", isDns1123Subdomain],
  ["nodeName", isDns1123Subdomain],
  ["hostname", isDns1123Label],
  ["subdomain", isDns1123Label],
  ["priorityClassName", isDns1123Subdomain],
  ["runtimeClassName", isDns1123Subdomain],
] as const;

/** Faults of a pod's spec, as `ValidatePodSpec`. `path` is where it stands; `isPod` is false in a template. */
export function* validatePodSpec(spec: PodSpec, path: string, isPod: boolean): Faults {
  if (spec.terminationGracePeriodSeconds === undefined) yield fault.required(`${path}.terminationGracePeriodSeconds`);
  const { faults, volumes } = checkVolumes(spec.volumes ?? [], `${path}.volumes`);
  yield* faults;
  yield* validateContainers({ spec, isPod, volumes }, path);
  if (spec.hostNetwork) yield* validateHostNetwork(spec, path, isPod);
  yield* validateChoice(spec.restartPolicy, restartPolicies, `${path}.restartPolicy`);
  yield* validateChoice(spec.dnsPolicy, dnsPolicies, `${path}.dnsPolicy`);
  yield* validateLabels(spec.nodeSelector, `${path}.nodeSelector`);
  yield* validatePodSecurityContext(spec.securityContext, `${path}.securityContext`);
  yield* validateAffinity(spec.affinity, `${path}.affinity`);
  yield* validateDnsConfig(spec, `${path}.dnsConfig`);
  yield* validateGates(spec, path);
  yield* validateTopologySpread(spec.topologySpreadConstraints ?? [], `${path}.topologySpreadConstraints`);
  for (const [field, check] of names) {
    const name = spec[field];
    if (name) yield* invalids(`${path}.${field}`, name, check(name));
  }
  const deadline = spec.activeDeadlineSeconds;
  if (deadline !== undefined) {
    yield* invalids(`${path}.activeDeadlineSeconds`, deadline, inRange(deadline, 1, maxDeadline));
  }
  yield* validateTolerations(spec.tolerations ?? [], `${path}.tolerations`);
  yield* validateHostAliases(spec.hostAliases ?? [], `${path}.hostAliases`);
  if (spec.preemptionPolicy !== undefined) {
    yield* validateChoice(spec.preemptionPolicy, preemptionPolicies, `${path}.preemptionPolicy`);
  }
  if (spec.os?.name === "") yield fault.required(`${path}.os.name`);
  else if (spec.os) yield* validateOneOf(spec.os.name, ["linux", "windows"], `${path}.os`);
}

/** With the host's network a container's port is a port of the node. */
function* validateHostNetwork(spec: PodSpec, path: string, isPod: boolean): Faults {
  for (const [i, { ports = [] }] of spec.containers.entries()) {
    for (const [j, { hostPort = 0, containerPort }] of ports.entries()) {
      // A template may leave it open: the pod made of it will get one.
      if (hostPort === containerPort || (!isPod && hostPort === 0)) continue;
      const text = "must match `containerPort` when `hostNetwork` is true";
      yield fault.invalid(`${path}.containers[${i}].ports[${j}].hostPort`, hostPort, text);
    }
  }
}

function* validateGates({ readinessGates = [], schedulingGates = [] }: PodSpec, path: string): Faults {
  for (const [i, { conditionType }] of readinessGates.entries()) {
    yield* invalids(`${path}.readinessGates[${i}].conditionType`, conditionType, isQualifiedName(conditionType));
  }
  for (const [i, { name }] of schedulingGates.entries()) {
    const at = `${path}.schedulingGates[${i}]`;
    yield* invalids(at, name, isQualifiedName(name));
    if (schedulingGates.findIndex((other) => other.name === name) < i) yield fault.duplicate(at, name);
  }
}
