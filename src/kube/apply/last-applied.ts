import type { KubeObject } from "../object.ts";
import { isObject } from "../values/equal.ts";
import { compare } from "./compare.ts";
import type { ManagedVersion } from "./field-manager.ts";
import { unmanaged } from "./field-manager.ts";
import { difference, type FieldSet } from "./field-set.ts";
import { FieldSetError, goJson } from "./path-element.ts";
import { fieldsOf, misfit, withStructs } from "./typed.ts";

/** Where kubectl keeps what it applied from the client's side. */
export const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration";

/** All annotations of an object together are no longer than this, in bytes. */
const annotationsLimit = 256 * 1024;

/** Fields that kubectl's annotation names and that are still as it says; undefined when it says nothing that can be read. */
export function allowedByLastApplied(version: ManagedVersion, live: KubeObject): FieldSet | undefined {
  const text = live.metadata.annotations?.[lastAppliedAnnotation];
  if (!text) return undefined;
  const applied = parsed(text);
  if (!applied || applied["apiVersion"] !== version.apiVersion) return undefined;
  const { atom } = version;
  if (misfit(atom, applied) !== undefined) return undefined;
  try {
    const { changed, removed } = compare(atom, applied, withStructs(atom, unmanaged(live)), false);
    return difference(difference(fieldsOf(atom, applied), changed), removed);
  } catch (error) {
    if (error instanceof FieldSetError) return undefined;
    throw error;
  }
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps the annotation true, where there is one, when kubectl applies on the server: older clients read it. */
export function syncLastApplied(
  object: KubeObject,
  { config, manager }: { readonly config: Readonly<Record<string, unknown>>; readonly manager: string },
): KubeObject {
  const annotations = object.metadata.annotations;
  if (manager !== "kubectl" || !annotations?.[lastAppliedAnnotation]) return object;
  const synced = { ...annotations, [lastAppliedAnnotation]: `${goJson(withoutAnnotation(config))}\n` };
  let size = 0;
  for (const [key, value] of Object.entries(synced)) size += Buffer.byteLength(key) + Buffer.byteLength(value);
  if (size > annotationsLimit) Reflect.deleteProperty(synced, lastAppliedAnnotation);
  return { ...object, metadata: { ...object.metadata, annotations: synced } };
}

function withoutAnnotation(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { metadata } = config;
  if (!isObject(metadata) || !isObject(metadata["annotations"])) return config;
  const { [lastAppliedAnnotation]: _last, ...annotations } = metadata["annotations"];
  return { ...config, metadata: { ...metadata, annotations } };
}
