import type { DownwardAPIVolumeFile, KeyToPath, Volume } from "../generated/types.ts";
import type { FieldError } from "../field-error.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateOneOf } from "../validation/ports.ts";
import { isConfigKey, isDns1123Label } from "../values/names.ts";
import { compareQuantities } from "../values/quantity.ts";
import { validateLocalPath, validateNoBacksteps } from "./mount-validation.ts";
import { validateFieldRef, validateResourceFieldRef } from "./environment-validation.ts";

const fileFields = ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
const hostPathTypes = [
  "",
  "BlockDevice",
  "CharDevice",
  "Directory",
  "DirectoryOrCreate",
  "File",
  "FileOrCreate",
  "Socket",
];

/** The faults of the volumes of a pod, and those that have none, by name: only they can be mounted. */
export function checkVolumes(
  volumes: readonly Volume[],
  path: string,
): { faults: FieldError[]; volumes: ReadonlyMap<string, Volume> } {
  const faults: FieldError[] = [];
  const good = new Map<string, Volume>();
  for (const [i, volume] of volumes.entries()) {
    const found = [...validateVolume(volume, good.has(volume.name), `${path}[${i}]`)];
    faults.push(...found);
    if (found.length === 0) good.set(volume.name, volume);
  }
  return { faults, volumes: good };
}

function* validateVolume(volume: Volume, isDuplicate: boolean, path: string): Faults {
  yield* validateSource(volume, path);
  if (volume.name === "") yield fault.required(`${path}.name`);
  else yield* invalids(`${path}.name`, volume.name, isDns1123Label(volume.name));
  if (isDuplicate) yield fault.duplicate(`${path}.name`, volume.name);
}

function* validateSource(volume: Volume, path: string): Faults {
  const sources = Object.keys(volume).filter((key) => key !== "name");
  if (sources.length === 0) yield fault.required(path, "must specify a volume type");
  for (const extra of sources.slice(1))
    yield fault.forbidden(`${path}.${extra}`, "may not specify more than 1 volume type");
  const { emptyDir, hostPath, configMap, secret, downwardAPI, projected, persistentVolumeClaim } = volume;
  if (emptyDir?.sizeLimit && compareQuantities(emptyDir.sizeLimit, "0") < 0) {
    yield fault.forbidden(`${path}.emptyDir.sizeLimit`, "SizeLimit field must be a valid resource quantity");
  }
  if (hostPath) {
    if (!hostPath.path) yield fault.required(`${path}.hostPath.path`);
    yield* validateNoBacksteps(hostPath.path, `${path}.hostPath.path`);
    yield* validateOneOf(hostPath.type ?? "", hostPathTypes, `${path}.hostPath.type`);
  }
  if (configMap) {
    if (!configMap.name) yield fault.required(`${path}.configMap.name`);
    yield* validateFiles(configMap, `${path}.configMap`);
  }
  if (secret) {
    if (!secret.secretName) yield fault.required(`${path}.secret.secretName`);
    yield* validateFiles(secret, `${path}.secret`);
  }
  if (downwardAPI) {
    yield* validateMode(downwardAPI.defaultMode, `${path}.downwardAPI.defaultMode`);
    yield* validateDownwardFiles(downwardAPI.items ?? [], `${path}.downwardAPI`);
  }
  if (persistentVolumeClaim && !persistentVolumeClaim.claimName) {
    yield fault.required(`${path}.persistentVolumeClaim.claimName`);
  }
  if (projected) yield* validateProjected(projected, `${path}.projected`);
}

function* validateFiles(source: { items?: KeyToPath[]; defaultMode?: number }, path: string): Faults {
  yield* validateMode(source.defaultMode, `${path}.defaultMode`);
  for (const [i, { key, path: target, mode }] of (source.items ?? []).entries()) {
    const at = `${path}.items[${i}]`;
    if (key === "") yield fault.required(`${at}.key`);
    else yield* invalids(`${at}.key`, key, isConfigKey(key));
    yield* validateTarget(target, `${at}.path`);
    yield* validateMode(mode, `${at}.mode`);
  }
}

function* validateDownwardFiles(items: readonly DownwardAPIVolumeFile[], path: string): Faults {
  for (const { path: target, mode, fieldRef, resourceFieldRef } of items) {
    yield* validateTarget(target, `${path}.path`);
    if (fieldRef) {
      yield* validateFieldRef(fieldRef, fileFields, `${path}.fieldRef`);
      if (resourceFieldRef) {
        yield fault.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
      }
    } else if (resourceFieldRef) {
      if (!resourceFieldRef.containerName) yield fault.required(`${path}.resourceFieldRef.containerName`);
      yield* validateResourceFieldRef(resourceFieldRef, `${path}.resourceFieldRef`);
    } else yield fault.required(path, "one of fieldRef and resourceFieldRef is required");
    yield* validateMode(mode, `${path}.mode`);
  }
}

function* validateProjected(projected: NonNullable<Volume["projected"]>, path: string): Faults {
  yield* validateMode(projected.defaultMode, `${path}.defaultMode`);
  for (const [i, source] of (projected.sources ?? []).entries()) {
    const at = `${path}.sources[${i}]`;
    const kinds = Object.keys(source);
    for (const extra of kinds.slice(1))
      yield fault.forbidden(`${at}.${extra}`, "may not specify more than 1 volume type");
    const { secret, configMap, downwardAPI, serviceAccountToken: token } = source;
    for (const [field, reference] of Object.entries({ secret, configMap })) {
      if (!reference) continue;
      if (!reference.name) yield fault.required(`${at}.${field}.name`);
      yield* validateFiles(reference, `${at}.${field}`);
    }
    if (downwardAPI) yield* validateDownwardFiles(downwardAPI.items ?? [], `${at}.downwardAPI`);
    if (!token) continue;
    const seconds = token.expirationSeconds ?? 3600;
    if (seconds < 600)
      yield fault.invalid(
        `${at}.serviceAccountToken.expirationSeconds`,
        seconds,
        "may not specify a duration less than 10 minutes",
      );
    if (!token.path) yield fault.required(`${at}.serviceAccountToken.path`);
    else yield* validateTarget(token.path, `${at}.serviceAccountToken.path`);
  }
}

function* validateTarget(target: string, path: string): Faults {
  if (target === "") yield fault.required(path);
  yield* validateLocalPath(target, path);
  // "..name" would hide among the links that make updates atomic.
  const [first = ""] = target.split("/");
  if (first.startsWith("..") && first !== "..") yield fault.invalid(path, target, "must not start with '..'");
}

function* validateMode(mode: number | undefined, path: string): Faults {
  if (mode !== undefined && (mode < 0 || mode > 0o777)) {
    yield fault.invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive");
  }
}
