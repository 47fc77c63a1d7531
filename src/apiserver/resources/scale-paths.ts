import { isObject, type CustomResourceSubresourceScale } from "../../kube/index.ts";

/** Where the numbers of a Scale are in an object. */
export interface ScalePaths {
  readonly replicas: readonly string[];
  readonly statusReplicas: readonly string[];
  readonly selector: readonly string[] | undefined;
}

export function scalePathsOf(scale: CustomResourceSubresourceScale): ScalePaths {
  const split = (path: string): string[] => path.replace(/^\./, "").split(".");
  return {
    replicas: split(scale.specReplicasPath),
    statusReplicas: split(scale.statusReplicasPath),
    selector: scale.labelSelectorPath ? split(scale.labelSelectorPath) : undefined,
  };
}

/** The value under a path of fields. */
export function valueAt(object: unknown, path: readonly string[]): unknown {
  let value = object;
  for (const field of path) {
    if (!isObject(value) || !Object.hasOwn(value, field)) return undefined;
    value = value[field];
  }
  return value;
}

/** A copy of `object` with `value` under a path of fields; what is missing on the way is made. */
export function withValueAt<T extends object>(object: T, path: readonly string[], value: unknown): T {
  const [field = "", ...rest] = path;
  const inner = Reflect.get(object, field) as unknown;
  return { ...object, [field]: rest.length === 0 ? value : withValueAt(isObject(inner) ? inner : {}, rest, value) };
}
