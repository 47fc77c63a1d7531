import type {
  Container,
  ContainerPort,
  EphemeralContainer,
  PodSpec,
  ResourceRequirements,
  VolumeMount,
} from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateOneOf, validateProtocol } from "../validation/ports.ts";
import { isDns1123Label, isPortName, isPortNumber, isQualifiedName } from "../values/names.ts";
import { compareQuantities } from "../values/quantity.ts";
import { validateIp } from "../validation/address.ts";
import { validateEnvironment, validateEnvironmentSources } from "./environment-validation.ts";
import { validateHandler, validateProbes } from "./probe-validation.ts";

type AnyContainer = Container | EphemeralContainer;

const pullPolicies = ["Always", "IfNotPresent", "Never"];
const messagePolicies = ["FallbackToLogsOnError", "File"];

/** Faults of all containers of a pod. `volumes` are the names that may be mounted. */
export function* validateContainers(spec: PodSpec, volumes: ReadonlySet<string>, path: string): Faults {
  if (!spec.containers?.length) yield fault.required(`${path}.containers`);
  const names = new Set<string>();
  for (const field of ["containers", "initContainers", "ephemeralContainers"] as const) {
    for (const [i, container] of (spec[field] ?? []).entries()) {
      const at = `${path}.${field}[${i}]`;
      yield* validateContainer(container, volumes, at);
      if (container.name && names.has(container.name)) yield fault.duplicate(`${at}.name`, container.name);
      names.add(container.name);
      if (field === "initContainers") yield* validateInitContainer(container, at);
    }
  }
  yield* validateHostPorts(spec, path);
}

function* validateContainer(container: AnyContainer, volumes: ReadonlySet<string>, path: string): Faults {
  const { name = "", image = "", imagePullPolicy = "", terminationMessagePolicy = "" } = container;
  if (name === "") yield fault.required(`${path}.name`);
  else yield* invalids(`${path}.name`, name, isDns1123Label(name));
  if (image === "") yield fault.required(`${path}.image`);
  else if (image.trim() !== image) {
    yield fault.invalid(`${path}.image`, image, "must not have leading or trailing whitespace");
  }
  if (terminationMessagePolicy === "") yield fault.required(`${path}.terminationMessagePolicy`);
  else yield* validateOneOf(terminationMessagePolicy, messagePolicies, `${path}.terminationMessagePolicy`);
  yield* validatePorts(container.ports ?? [], `${path}.ports`);
  yield* validateEnvironment(container.env ?? [], `${path}.env`);
  yield* validateEnvironmentSources(container.envFrom ?? [], `${path}.envFrom`);
  yield* validateMounts(container.volumeMounts ?? [], volumes, `${path}.volumeMounts`);
  if (imagePullPolicy === "") yield fault.required(`${path}.imagePullPolicy`);
  else yield* validateOneOf(imagePullPolicy, pullPolicies, `${path}.imagePullPolicy`);
  yield* validateResources(container.resources ?? {}, `${path}.resources`);
  yield* validateProbes(container, path);
  for (const hook of ["postStart", "preStop"] as const) {
    const handler = container.lifecycle?.[hook];
    if (handler) yield* validateHandler(handler, `${path}.lifecycle.${hook}`);
  }
}

function* validateInitContainer(container: AnyContainer, path: string): Faults {
  const { restartPolicy } = container;
  if (restartPolicy !== undefined && restartPolicy !== "Always") {
    yield fault.notSupported(`${path}.restartPolicy`, restartPolicy, ["Always"]);
  }
  // A sidecar runs beside the main containers, so it may have what they have.
  if (restartPolicy === "Always") return;
  for (const field of ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] as const) {
    if (container[field]) {
      yield fault.forbidden(`${path}.${field}`, "may not be set for init containers without restartPolicy=Always");
    }
  }
}

function* validatePorts(ports: readonly ContainerPort[], path: string): Faults {
  const names = new Set<string>();
  for (const [i, { name = "", containerPort, hostPort, hostIP, protocol }] of ports.entries()) {
    const at = `${path}[${i}]`;
    if (name !== "") {
      const messages = isPortName(name);
      yield* invalids(`${at}.name`, name, messages);
      if (messages.length === 0 && names.has(name)) yield fault.duplicate(`${at}.name`, name);
      names.add(name);
    }
    if (!containerPort) yield fault.required(`${at}.containerPort`);
    else yield* invalids(`${at}.containerPort`, containerPort, isPortNumber(containerPort));
    if (hostPort) yield* invalids(`${at}.hostPort`, hostPort, isPortNumber(hostPort));
    if (hostIP) yield* validateIp(hostIP, `${at}.hostIP`);
    yield* validateProtocol(protocol, `${at}.protocol`);
  }
}

/** Two containers of a pod share its node's ports; with the host's network every port is one of the node's. */
function* validateHostPorts(spec: PodSpec, path: string): Faults {
  const used = new Set<string>();
  for (const [i, { ports = [] }] of (spec.containers ?? []).entries()) {
    for (const [j, { hostPort, hostIP = "", protocol = "", containerPort }] of ports.entries()) {
      const at = `${path}.containers[${i}].ports[${j}]`;
      if (spec.hostNetwork && hostPort && hostPort !== containerPort) {
        yield fault.invalid(`${at}.containerPort`, containerPort, "must match `hostPort` when `hostNetwork` is true");
      }
      if (!hostPort) continue;
      const key = `${protocol}/${hostIP}/${hostPort}`;
      if (used.has(key)) yield fault.duplicate(`${at}.hostPort`, key);
      used.add(key);
    }
  }
}

function* validateMounts(mounts: readonly VolumeMount[], volumes: ReadonlySet<string>, path: string): Faults {
  const points = new Set<string>();
  for (const [i, mount] of mounts.entries()) {
    const at = `${path}[${i}]`;
    const { name = "", mountPath = "", subPath = "", subPathExpr = "" } = mount;
    if (name === "") yield fault.required(`${at}.name`);
    else if (!volumes.has(name)) yield fault.notFound(`${at}.name`, name);
    if (mountPath === "") yield fault.required(`${at}.mountPath`);
    if (points.has(mountPath)) yield fault.invalid(`${at}.mountPath`, mountPath, "must be unique");
    points.add(mountPath);
    if (subPath !== "") yield* validateLocalPath(subPath, `${at}.subPath`);
    if (subPathExpr === "") continue;
    if (subPath !== "") {
      yield fault.invalid(`${at}.subPathExpr`, subPathExpr, "subPathExpr and subPath are mutually exclusive");
    }
    yield* validateLocalPath(subPathExpr, `${at}.subPathExpr`);
  }
}

/** A path that stays below where it begins. */
export function* validateLocalPath(value: string, path: string): Faults {
  if (value.startsWith("/")) yield fault.invalid(path, value, "must be a relative path");
  if (value.split("/").includes("..")) yield fault.invalid(path, value, "must not contain '..'");
}

const standardResources = /^(cpu|memory|ephemeral-storage|hugepages-.+)$/;

function* validateResources({ limits = {}, requests = {} }: ResourceRequirements, path: string): Faults {
  yield* validateAmounts(limits, `${path}.limits`);
  yield* validateAmounts(requests, `${path}.requests`);
  for (const [name, amount] of Object.entries(requests)) {
    const limit = limits[name];
    if (limit !== undefined && compareQuantities(amount, limit) > 0) {
      yield fault.invalid(`${path}.requests`, amount, `must be less than or equal to ${name} limit of ${limit}`);
    }
  }
}

function* validateAmounts(amounts: Readonly<Record<string, string>>, path: string): Faults {
  for (const [name, amount] of Object.entries(amounts)) {
    const at = `${path}[${name}]`;
    yield* invalids(at, name, isQualifiedName(name));
    if (!name.includes("/") && !standardResources.test(name)) {
      yield fault.invalid(at, name, "must be a standard resource type or fully qualified");
      yield fault.invalid(at, name, "must be a standard resource for containers");
    }
    if (compareQuantities(amount, "0") < 0) yield fault.invalid(at, amount, "must be greater than or equal to 0");
  }
}
