import type { ManagedFieldsEntry } from "../generated/types.ts";
import { difference, hasPath, isEmpty, setOf } from "./field-set.ts";
import { identify, trustedManagers, writeManagers, type Managers } from "./managers.ts";
import { fieldElement, type PathElement } from "./path-element.ts";

type Path = readonly PathElement[];

const scaleVersion = "autoscaling/v1";
const scalePath: Path = [fieldElement("spec"), fieldElement("replicas")];

/** Where versions of a kind have their number of replicas; undefined for a version that is not served. */
export type ReplicasPaths = (apiVersion: string) => Path | undefined;

/** `spec.replicas` as a path. */
export const pathOfFields = (text: string): Path => text.split(".").map(fieldElement);

/** Who manages a Scale: those who manage the replicas of what it scales. */
export function managersOfScale(parent: readonly ManagedFieldsEntry[], paths: ReplicasPaths): ManagedFieldsEntry[] {
  const managers: Managers = new Map();
  for (const [id, manager] of trustedManagers(parent)) {
    const path = paths(manager.apiVersion);
    if (path && hasPath(manager.set, path))
      managers.set(id, { ...manager, apiVersion: scaleVersion, set: setOf(scalePath) });
  }
  return writeManagers(managers);
}

/** Who manages what is scaled, after its Scale was written: who took the replicas there takes them here. `apiVersion` is the parent's. */
export function managersOfScaled(
  parent: readonly ManagedFieldsEntry[],
  scale: readonly ManagedFieldsEntry[],
  apiVersion: string,
  paths: ReplicasPaths,
): ManagedFieldsEntry[] {
  const before = trustedManagers(parent);
  const taken = trustedManagers(scale);
  const managers: Managers = new Map();
  for (const [id, manager] of before) {
    const path = paths(manager.apiVersion);
    if (!path) continue;
    if (!hasPath(manager.set, path)) {
      managers.set(id, manager);
      continue;
    }
    // The same manager has another version of itself in the scale.
    const inScale = identify({ ...manager, apiVersion: scaleVersion });
    if (taken.delete(inScale)) {
      managers.set(id, manager);
      continue;
    }
    const set = difference(manager.set, setOf(path));
    if (!isEmpty(set)) managers.set(id, { ...manager, set });
  }
  const path = paths(apiVersion);
  for (const { time: _time, ...manager } of taken.values()) {
    if (path && hasPath(manager.set, scalePath)) {
      // As upstream, which keeps no time for these.
      const own = { ...manager, apiVersion, set: setOf(path) };
      managers.set(identify(own), own);
    }
  }
  return writeManagers(managers);
}
