import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from "../kube/index.ts";
import type { StorageObjects } from "./volumes.ts";

/** Storage objects for tests: those that are given, and no others. */
export const storageOf = (
  given: {
    readonly claims?: readonly PersistentVolumeClaim[];
    readonly volumes?: readonly PersistentVolume[];
    readonly classes?: readonly StorageClass[];
  } = {},
): StorageObjects => {
  const { claims = [], volumes = [], classes = [] } = given;
  return {
    claim: (namespace, name) =>
      claims.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
    volume: (name) => volumes.find(({ metadata }) => metadata.name === name),
    volumesFor: () => volumes,
    storageClass: (name) => classes.find(({ metadata }) => metadata.name === name),
  };
};
