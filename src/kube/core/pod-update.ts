import type { Container, Pod, PodSpec, Toleration } from "../generated/types.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { isObject, semanticEqual } from "../values/equal.ts";
import { validatePodSpec } from "./pod-validation.ts";

const maxInt32 = 2 ** 31 - 1;
const updatable = [
  "`spec.containers[*].image`",
  "`spec.initContainers[*].image`",
  "`spec.activeDeadlineSeconds`",
  "`spec.tolerations` (only additions to existing tolerations)",
  "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
];

/** Faults of a Pod that is changed, as `ValidatePodUpdate`. */
export function* validatePodUpdate({ spec }: Pod, old: Pod): Faults {
  yield* validatePodSpec(spec, "spec", true);
  for (const field of ["containers", "initContainers"] as const) {
    if ((spec[field]?.length ?? 0) === (old.spec[field]?.length ?? 0)) continue;
    yield fault.forbidden(`spec.${field}`, "pod updates may not add or remove containers");
    return;
  }
  yield* validateDeadline(spec.activeDeadlineSeconds, old.spec.activeDeadlineSeconds);
  yield* validateTolerations(spec.tolerations ?? [], old.spec.tolerations ?? []);
  yield* validateGates(spec, old.spec);
  const masked = withChangeable(spec, old.spec);
  if (semanticEqual(masked, old.spec)) return;
  const text = `pod updates may not change fields other than ${updatable.join(",")}\n${differences(old.spec, masked)}`;
  yield fault.forbidden("spec", text);
}

function* validateDeadline(seconds: number | undefined, old: number | undefined): Faults {
  const path = "spec.activeDeadlineSeconds";
  if (seconds === undefined) {
    if (old !== undefined) yield fault.invalid(path, null, "must not update from a positive integer to nil value");
    return;
  }
  if (seconds < 0 || seconds > maxInt32) {
    yield fault.invalid(path, seconds, `must be between 0 and ${maxInt32}, inclusive`);
  } else if (old !== undefined && seconds > old) {
    yield fault.invalid(path, seconds, "must be less than or equal to previous value");
  }
}

/** Tolerations may be added; of those there are, only how long they last may change. */
function* validateTolerations(tolerations: readonly Toleration[], old: readonly Toleration[]): Faults {
  for (const toleration of old) {
    const timeless = (other: Toleration) => ({ ...other, tolerationSeconds: 0 });
    const kept = tolerations.some((candidate) => semanticEqual(timeless(candidate), timeless(toleration)));
    if (kept) continue;
    const text = "existing toleration can not be modified except its tolerationSeconds";
    yield fault.forbidden("spec.tolerations", text);
    return;
  }
}

function* validateGates(spec: PodSpec, old: PodSpec): Faults {
  const before = new Set((old.schedulingGates ?? []).map(({ name }) => name));
  for (const [i, { name }] of (spec.schedulingGates ?? []).entries()) {
    if (before.has(name)) continue;
    yield fault.forbidden(
      `spec.schedulingGates[${i}].name`,
      `only deletion is allowed, but found new scheduling gate '${name}'`,
    );
  }
}

/** The new spec with what may change put back as it was: then nothing else must differ. */
function withChangeable(spec: PodSpec, old: PodSpec): PodSpec {
  const images = (containers: Container[] | undefined, before: Container[] | undefined) =>
    containers?.map((container, i) => ({ ...container, image: before?.[i]?.image ?? "" }));
  const masked: Record<string, unknown> = { ...spec };
  const put = (field: keyof PodSpec, value: unknown) => {
    if (value === undefined) delete masked[field];
    else masked[field] = value;
  };
  put("containers", images(spec.containers, old.containers));
  put("initContainers", images(spec.initContainers, old.initContainers));
  put("activeDeadlineSeconds", old.activeDeadlineSeconds);
  put("tolerations", old.tolerations);
  put("schedulingGates", old.schedulingGates);
  if ((old.terminationGracePeriodSeconds ?? 0) < 0 && spec.terminationGracePeriodSeconds === 1) {
    put("terminationGracePeriodSeconds", old.terminationGracePeriodSeconds);
  }
  return masked as unknown as PodSpec;
}

const maxDifferences = 20;

/** Each field that differs, with both values, one a line. */
function differences(old: unknown, now: unknown): string {
  const lines: string[] = [];
  const walk = (path: string, a: unknown, b: unknown): void => {
    if (semanticEqual(a, b) || lines.length >= maxDifferences) return;
    const bothLists = Array.isArray(a) && Array.isArray(b) && a.length === b.length;
    if (bothLists) for (const [i, item] of a.entries()) walk(`${path}[${i}]`, item, b[i]);
    else if (isObject(a) && isObject(b)) {
      for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) walk(`${path}.${key}`, a[key], b[key]);
    } else lines.push(`- ${path}: ${shown(a)}\n+ ${path}: ${shown(b)}\n`);
  };
  walk("spec", old, now);
  return lines.join("");
}

const shown = (value: unknown) => JSON.stringify(value ?? null);
