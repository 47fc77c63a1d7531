import type { Container, ContainerPort, EphemeralContainer, PodSpec, Volume } from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateChoice, validateOneOf, validateProtocol } from "../validation/ports.ts";
import { isDns1123Label, isPortName, isPortNumber } from "../values/names.ts";
import { validateEnvironment, validateEnvironmentSources } from "./environment-validation.ts";
import { validateMounts } from "./mount-validation.ts";
import { validateLifecycle, validateProbes } from "./probe-validation.ts";
import { validateResources } from "./resource-validation.ts";
import { validateSecurityContext } from "./security-validation.ts";

type AnyContainer = Container | EphemeralContainer;

/** What the faults of a container depend on. */
export interface PodContext {
  readonly spec: PodSpec;
  /** False for the template of a workload, of which less is asked. */
  readonly isPod: boolean;
  /** The volumes that may be mounted: those without faults of their own, by name. */
  readonly volumes: ReadonlyMap<string, Volume>;
}

const pullPolicies = ["Always", "IfNotPresent", "Never"];
const messagePolicies = ["File", "FallbackToLogsOnError"];
const restartPolicies = ["Always", "Never", "OnFailure"];

/** Faults of all containers of a pod. */
export function* validateContainers(pod: PodContext, path: string): Faults {
  const { containers, initContainers = [], ephemeralContainers = [] } = pod.spec;
  const names = new Set<string>();
  if (containers.length === 0) yield fault.required(`${path}.containers`);
  for (const [i, container] of containers.entries()) {
    const at = `${path}.containers[${i}]`;
    yield* validateContainer(container, pod, at);
    yield* validateUnique(container.name, names, at);
    yield* validateRunning(container, pod, at);
    yield* validateRestart(container, at);
  }
  yield* validateHostPorts(containers, `${path}.containers`);
  for (const [i, container] of initContainers.entries()) {
    const at = `${path}.initContainers[${i}]`;
    yield* validateContainer(container, pod, at);
    yield* validateRestart(container, at);
    yield* validateUnique(container.name, names, at);
    yield* validateHostPorts([container], `${path}.initContainers`);
    yield* container.restartPolicy === "Always" ? validateRunning(container, pod, at) : validatePassing(container, at);
  }
  for (const [i, container] of ephemeralContainers.entries()) {
    const at = `${path}.ephemeralContainers[${i}]`;
    yield* validateContainer(container, pod, at);
    yield* validateUnique(container.name, names, at);
    yield* validateEphemeral(container, [...containers, ...initContainers], at);
  }
}

/** What all containers have in common. */
function* validateContainer(container: AnyContainer, pod: PodContext, path: string): Faults {
  const { name, image = "" } = container;
  if (name === "") yield fault.required(`${path}.name`);
  else yield* invalids(`${path}.name`, name, isDns1123Label(name));
  if (image === "") yield fault.required(`${path}.image`);
  else if (pod.isPod && image.trim() !== image) {
    yield fault.invalid(`${path}.image`, image, "must not have leading or trailing whitespace");
  }
  yield* validateChoice(container.terminationMessagePolicy, messagePolicies, `${path}.terminationMessagePolicy`);
  yield* validatePorts(container.ports ?? [], `${path}.ports`);
  yield* validateEnvironment(container.env ?? [], `${path}.env`);
  yield* validateEnvironmentSources(container.envFrom ?? [], `${path}.envFrom`);
  yield* validateMounts(container, pod.volumes, path);
  yield* validateChoice(container.imagePullPolicy, pullPolicies, `${path}.imagePullPolicy`);
  yield* validateResources(container.resources ?? {}, `${path}.resources`);
  yield* validateSecurityContext(container.securityContext, `${path}.securityContext`);
}

function* validateUnique(name: string, names: Set<string>, path: string): Faults {
  if (name !== "" && names.has(name)) yield fault.duplicate(`${path}.name`, name);
  names.add(name);
}

/** What containers have that run as long as the pod. */
function* validateRunning(container: AnyContainer, { spec }: PodContext, path: string): Faults {
  if (container.lifecycle) yield* validateLifecycle(container.lifecycle, spec, `${path}.lifecycle`);
  yield* validateProbes(container, path);
}

/** An init container that must end has no use for hooks and probes. */
function* validatePassing(container: AnyContainer, path: string): Faults {
  for (const field of ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] as const) {
    if (container[field]) {
      yield fault.forbidden(`${path}.${field}`, "may not be set for init containers without restartPolicy=Always");
    }
  }
}

function* validateRestart({ restartPolicy, restartPolicyRules = [] }: AnyContainer, path: string): Faults {
  if (restartPolicy !== undefined) yield* validateOneOf(restartPolicy, restartPolicies, `${path}.restartPolicy`);
  else if (restartPolicyRules.length > 0) {
    yield fault.required(`${path}.restartPolicy`, "must specify restartPolicy when restart rules are used");
  }
}

const notForEphemeral = [
  "ports",
  "resources",
  "lifecycle",
  "livenessProbe",
  "readinessProbe",
  "startupProbe",
  "resizePolicy",
  "restartPolicy",
] as const;

function* validateEphemeral(container: EphemeralContainer, others: readonly Container[], path: string): Faults {
  const target = container.targetContainerName;
  if (target && !others.some(({ name }) => name === target)) {
    yield fault.notFound(`${path}.targetContainerName`, target);
  }
  for (const field of notForEphemeral) {
    if (Object.keys(container[field] ?? {}).length > 0) {
      yield fault.forbidden(`${path}.${field}`, "cannot be set for an Ephemeral Container");
    }
  }
}

function* validatePorts(ports: readonly ContainerPort[], path: string): Faults {
  const names = new Set<string>();
  for (const [i, { name = "", containerPort, hostPort, protocol }] of ports.entries()) {
    const at = `${path}[${i}]`;
    if (name !== "") {
      const messages = isPortName(name);
      yield* invalids(`${at}.name`, name, messages);
      if (messages.length === 0 && names.has(name)) yield fault.duplicate(`${at}.name`, name);
      names.add(name);
    }
    if (containerPort === 0) yield fault.required(`${at}.containerPort`);
    else yield* invalids(`${at}.containerPort`, containerPort, isPortNumber(containerPort));
    if (hostPort) yield* invalids(`${at}.hostPort`, hostPort, isPortNumber(hostPort));
    yield* validateProtocol(protocol, `${at}.protocol`);
  }
}

/** Containers that run together share the ports of their node. */
function* validateHostPorts(containers: readonly Container[], path: string): Faults {
  const used = new Set<string>();
  for (const [i, { ports = [] }] of containers.entries()) {
    for (const [j, { hostPort, hostIP = "", protocol = "" }] of ports.entries()) {
      if (!hostPort) continue;
      const key = `${protocol}/${hostIP}/${hostPort}`;
      if (used.has(key)) yield fault.duplicate(`${path}[${i}].ports[${j}].hostPort`, key);
      used.add(key);
    }
  }
}
