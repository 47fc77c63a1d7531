import type {
  ConfigMap,
  ConfigMapVolumeSource,
  Container,
  DownwardAPIVolumeFile,
  KeyToPath,
  ProjectedVolumeSource,
  Secret,
  SecretVolumeSource,
  Volume,
} from "../../kube/index.ts";
import { ConfigError } from "../pods/config-error.ts";
import { type DownwardFacts, fieldValue, resourceValue } from "../pods/downward-api.ts";
import type { Lookup } from "../pods/environment.ts";
import type { AccountTokens } from "./account-tokens.ts";

export interface PayloadFile {
  readonly data: Buffer;
  /** Permission bits. */
  readonly mode: number;
}

/** The files of a volume, by path relative to it. */
export type Payload = ReadonlyMap<string, PayloadFile>;

const usualMode = 0o644;

/** True for volumes whose content comes from the API. */
export function isConfigVolume(volume: Volume): boolean {
  return Boolean(volume.configMap ?? volume.secret ?? volume.downwardAPI ?? volume.projected);
}

/** What is in a configMap, secret, downwardAPI or projected volume now. Throws `ConfigError`. */
export async function payloadOf(
  volume: Volume,
  facts: DownwardFacts,
  lookup: Lookup,
  tokens: AccountTokens,
): Promise<Payload> {
  const files = new Map<string, PayloadFile>();
  const { configMap, secret, downwardAPI, projected } = volume;
  if (configMap) await addConfigMap(files, configMap, configMap.defaultMode ?? usualMode, lookup);
  if (secret) await addSecret(files, secret, secret.secretName, secret.defaultMode ?? usualMode, lookup);
  if (downwardAPI) addDownward(files, downwardAPI.items ?? [], downwardAPI.defaultMode ?? usualMode, facts);
  if (projected) await addProjected(files, projected, facts, lookup, tokens);
  return files;
}

type Files = Map<string, PayloadFile>;

async function addProjected(
  files: Files,
  { sources = [], defaultMode: mode = usualMode }: ProjectedVolumeSource,
  facts: DownwardFacts,
  lookup: Lookup,
  tokens: AccountTokens,
): Promise<void> {
  for (const source of sources) {
    if (source.configMap) await addConfigMap(files, source.configMap, mode, lookup);
    else if (source.secret) await addSecret(files, source.secret, source.secret.name, mode, lookup);
    else if (source.downwardAPI) addDownward(files, source.downwardAPI.items ?? [], mode, facts);
    else if (source.serviceAccountToken) {
      const { path } = source.serviceAccountToken;
      const token = await tokens.token(facts.pod, source.serviceAccountToken);
      files.set(safePath(path), { data: Buffer.from(token), mode });
    } else {
      const [kind = "nothing"] = Object.keys(source);
      const known = "configMap, secret, downwardAPI or serviceAccountToken";
      throw new ConfigError(`projected source ${kind} is not supported: use ${known}`);
    }
  }
}

async function addConfigMap(
  files: Files,
  { name = "", items, optional }: Pick<ConfigMapVolumeSource, "name" | "items" | "optional">,
  mode: number,
  lookup: Lookup,
): Promise<void> {
  const object = await lookup.configMap(name);
  if (!object && !optional) throw new ConfigError(`configmap "${name}" not found`);
  add(files, dataOfConfigMap(object), { items, optional, mode, what: `configmap "${name}"` });
}

async function addSecret(
  files: Files,
  { items, optional }: Pick<SecretVolumeSource, "items" | "optional">,
  name: string | undefined,
  mode: number,
  lookup: Lookup,
): Promise<void> {
  const object = await lookup.secret(name ?? "");
  if (!object && !optional) throw new ConfigError(`secret "${name}" not found`);
  add(files, dataOfSecret(object), { items, optional, mode, what: `secret "${name}"` });
}

function addDownward(files: Files, items: readonly DownwardAPIVolumeFile[], mode: number, facts: DownwardFacts): void {
  for (const { path, fieldRef, resourceFieldRef, mode: own } of items) {
    const name = resourceFieldRef?.containerName;
    const container: Container | undefined = facts.pod.spec.containers.find((container) => container.name === name);
    let text = "";
    if (fieldRef) text = fieldValue(fieldRef.fieldPath, facts);
    else if (resourceFieldRef) text = resourceValue(resourceFieldRef, container ?? { name: "" }, facts);
    files.set(safePath(path), { data: Buffer.from(text), mode: own ?? mode });
  }
}

function add(
  files: Files,
  data: ReadonlyMap<string, Buffer>,
  how: { items: readonly KeyToPath[] | undefined; optional: boolean | undefined; mode: number; what: string },
): void {
  if (!how.items) {
    for (const [key, bytes] of data) files.set(safePath(key), { data: bytes, mode: how.mode });
    return;
  }
  for (const { key, path, mode } of how.items) {
    const bytes = data.get(key);
    if (!bytes && !how.optional) throw new ConfigError(`${how.what} references non-existent key: ${key}`);
    if (bytes) files.set(safePath(path), { data: bytes, mode: mode ?? how.mode });
  }
}

function dataOfConfigMap(object: ConfigMap | undefined): Map<string, Buffer> {
  const text = Object.entries(object?.data ?? {}).map(([key, value]) => [key, Buffer.from(value)] as const);
  const binary = Object.entries(object?.binaryData ?? {}).map(([key, value]) => [key, decode(value)] as const);
  return new Map([...text, ...binary]);
}

function dataOfSecret(object: Secret | undefined): Map<string, Buffer> {
  return new Map(Object.entries(object?.data ?? {}).map(([key, value]) => [key, decode(value)]));
}

/** The API refuses such paths too; a file outside the volume must not depend on that. */
function safePath(path: string): string {
  if (path.startsWith("/") || path.startsWith("..") || path.split("/").includes("..") || path === "") {
    throw new ConfigError(`path "${path}" must be relative and may not contain or begin with ".."`);
  }
  return path;
}

const decode = (base64: string): Buffer => Buffer.from(base64, "base64");
