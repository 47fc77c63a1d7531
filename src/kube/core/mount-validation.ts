import type { Container, EphemeralContainer, Volume, VolumeDevice, VolumeMount } from "../generated/types.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { validateOneOf } from "../validation/ports.ts";

/** Faults of what a container mounts. */
export function* validateMounts(
  container: Container | EphemeralContainer,
  volumes: ReadonlyMap<string, Volume>,
  path: string,
): Faults {
  const { volumeMounts = [], volumeDevices = [] } = container;
  const points = new Set<string>();
  for (const [i, mount] of volumeMounts.entries()) {
    const at = `${path}.volumeMounts[${i}]`;
    const { name, mountPath } = mount;
    if (name === "") yield fault.required(`${at}.name`);
    if (!volumes.has(name)) yield fault.notFound(`${at}.name`, name);
    if (mountPath === "") yield fault.required(`${at}.mountPath`);
    if (points.has(mountPath)) yield fault.invalid(`${at}.mountPath`, mountPath, "must be unique");
    points.add(mountPath);
    if (volumeDevices.some((device) => device.name === name)) {
      yield fault.invalid(`${at}.name`, name, "must not already exist in volumeDevices");
    }
    // Upstream names these fields without the index of the mount.
    yield* validateSubPath(mount, at, `${path}.volumeMounts`);
    yield* validatePropagation(mount, container, `${path}.volumeMounts`);
  }
  yield* validateDevices(volumeDevices, volumes, `${path}.volumeDevices`);
}

function* validateSubPath({ subPath = "", subPathExpr = "" }: VolumeMount, at: string, path: string): Faults {
  if (subPath !== "") yield* validateLocalPath(subPath, `${path}.subPath`);
  if (subPathExpr === "") return;
  if (subPath !== "") {
    yield fault.invalid(`${at}.subPathExpr`, subPathExpr, "subPathExpr and subPath are mutually exclusive");
  }
  yield* validateLocalPath(subPathExpr, `${path}.subPathExpr`);
}

const propagations = ["Bidirectional", "HostToContainer", "None"];

function* validatePropagation(
  { mountPropagation }: VolumeMount,
  { securityContext }: Container | EphemeralContainer,
  path: string,
): Faults {
  if (mountPropagation === undefined) return;
  yield* validateOneOf(mountPropagation, propagations, `${path}.mountPropagation`);
  if (mountPropagation === "Bidirectional" && !securityContext?.privileged) {
    const text = "Bidirectional mount propagation is available only to privileged containers";
    yield fault.forbidden(`${path}.mountPropagation`, text);
  }
}

function* validateDevices(
  devices: readonly VolumeDevice[],
  volumes: ReadonlyMap<string, Volume>,
  path: string,
): Faults {
  for (const [i, { name, devicePath }] of devices.entries()) {
    const at = `${path}[${i}]`;
    const volume = volumes.get(name);
    if (name === "") yield fault.required(`${at}.name`);
    if (!volume) yield fault.notFound(`${at}.name`, name);
    else if (!volume.persistentVolumeClaim && !volume.ephemeral) {
      const text = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
      yield fault.invalid(`${at}.name`, name, text);
    }
    if (devicePath === "") yield fault.required(`${at}.devicePath`);
    else if (devicePath.split("/").includes("..")) {
      yield fault.invalid(`${at}.devicePath`, devicePath, "can not contain backsteps ('..')");
    }
  }
}

/** A path that stays below where it begins. */
export function* validateLocalPath(value: string, path: string): Faults {
  if (value.startsWith("/")) yield fault.invalid(path, value, "must be a relative path");
  yield* validateNoBacksteps(value, path);
}

export function* validateNoBacksteps(value: string, path: string): Faults {
  if (value.split("/").includes("..")) yield fault.invalid(path, value, "must not contain '..'");
}
