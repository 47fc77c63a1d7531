import { goText, goType, type FieldError, type KubeObject } from "../../kube/index.ts";
import { valueAt, type ScalePaths } from "../resources/index.ts";

/** Faults of the numbers that a Scale shows. `statusOnly`: the spec is not being written. */
export function* validateScale(object: KubeObject, paths: ScalePaths, statusOnly: boolean): Generator<FieldError> {
  if (!statusOnly) yield* replicasAt(object, paths.replicas);
  yield* replicasAt(object, paths.statusReplicas);
  const selector = paths.selector && valueAt(object, paths.selector);
  if (selector !== undefined && typeof selector !== "string")
    yield {
      type: "Invalid",
      field: `.${(paths.selector ?? []).join(".")}`,
      value: "",
      detail: `.${(paths.selector ?? []).join(".")} accessor error: ${goText(selector)} is of the type ${goType(selector)}, expected string`,
    };
}

const mostReplicas = 2 ** 31 - 1;

function* replicasAt(object: KubeObject, path: readonly string[]): Generator<FieldError> {
  const value = valueAt(object, path) ?? 0;
  const field = `.${path.join(".")}`;
  const fault = (detail: string, shown: unknown = value): FieldError => ({
    type: "Invalid",
    field,
    value: shown,
    detail,
  });
  if (typeof value !== "number" || !Number.isInteger(value))
    yield fault(`${field} accessor error: ${goText(value)} is of the type ${goType(value)}, expected int64`, 0);
  else if (value < 0) yield fault("should be a non-negative integer");
  else if (value > mostReplicas) yield fault(`should be less than or equal to ${mostReplicas}`);
}
