import type { StorageClass } from "../generated/types.ts";

/** The annotation that marks a default class. */
export const defaultClassAnnotation = "storageclass.kubernetes.io/is-default-class";

const marks = [defaultClassAnnotation, "storageclass.beta.kubernetes.io/is-default-class"];

/** The class of claims that name none: of several that are marked the newest, then the first by name. */
export function defaultStorageClassOf(classes: readonly StorageClass[]): StorageClass | undefined {
  const [chosen] = classes
    .filter(({ metadata }) => marks.some((mark) => metadata.annotations?.[mark] === "true"))
    .sort((a, b) => created(b).localeCompare(created(a)) || (a.metadata.name < b.metadata.name ? -1 : 1));
  return chosen;
}

const created = ({ metadata }: StorageClass): string => metadata.creationTimestamp ?? "";
