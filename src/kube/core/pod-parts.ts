import type { Container, EphemeralContainer, Pod } from "../generated/types.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { cloneJson, semanticEqual } from "../values/equal.ts";
import { qosClassOf } from "./pod-status.ts";
import { validatePodSpec } from "./pod-validation.ts";

/** Keeps from a write to `pods/ephemeralcontainers` the ephemeral containers alone, from one to `pods/resize` the resources. In place. */
export function preparePodPart(pod: Pod, old: Pod, part: "ephemeralcontainers" | "resize"): void {
  const { spec } = pod;
  const kept = cloneJson(old.spec);
  if (part === "ephemeralcontainers") {
    if (spec.ephemeralContainers) kept.ephemeralContainers = spec.ephemeralContainers;
    else delete kept.ephemeralContainers;
  } else {
    for (const field of ["containers", "initContainers"] as const) {
      for (const container of kept[field] ?? []) {
        const wanted = spec[field]?.find(({ name }) => name === container.name);
        if (wanted) takeResources(container, wanted);
      }
    }
  }
  pod.spec = kept;
  const { name, namespace, uid, labels, annotations, ownerReferences, finalizers, ...rest } = old.metadata;
  const own = { labels, annotations, ownerReferences, finalizers };
  const present = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
  pod.metadata = {
    ...rest,
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...present,
    ...(pod.metadata.resourceVersion === undefined ? {} : { resourceVersion: pod.metadata.resourceVersion }),
    ...(pod.metadata.managedFields === undefined ? {} : { managedFields: pod.metadata.managedFields }),
  };
}

function takeResources(container: Container, wanted: Container): void {
  if (wanted.resources) container.resources = wanted.resources;
  else delete container.resources;
  if (wanted.resizePolicy) container.resizePolicy = wanted.resizePolicy;
}

/** Faults of ephemeral containers that are added: those that are there stay as they are (ValidatePodEphemeralContainersUpdate). */
export function* validateEphemeralUpdate({ spec }: Pod, old: Pod): Faults {
  yield* validatePodSpec(spec, "spec", true);
  const path = "spec.ephemeralContainers";
  const now = spec.ephemeralContainers ?? [];
  for (const before of old.spec.ephemeralContainers ?? []) {
    const after = now.find(({ name }: EphemeralContainer) => name === before.name);
    const text = `existing ephemeral containers ${JSON.stringify(before.name)} may not be`;
    if (!after) yield fault.forbidden(path, `${text} removed\n`);
    else if (!semanticEqual(after, before)) yield fault.forbidden(path, `${text} changed\n`);
  }
}

/** What a running container may be given more or less of. */
const resizable = ["cpu", "memory"];

/** Faults of new resources for running containers (KEP-1287, ValidatePodResize). */
export function* validateResize({ spec }: Pod, old: Pod): Faults {
  yield* validatePodSpec(spec, "spec", true);
  for (const field of ["containers", "initContainers"] as const) {
    for (const [i, { resources = {} }] of (spec[field] ?? []).entries()) {
      const before = old.spec[field]?.[i]?.resources ?? {};
      for (const kind of ["requests", "limits"] as const) {
        const others = (amounts: Readonly<Record<string, string>> = {}) =>
          Object.fromEntries(Object.entries(amounts).filter(([name]) => !resizable.includes(name)));
        if (semanticEqual(others(resources[kind]), others(before[kind]))) continue;
        yield fault.forbidden(`spec.${field}[${i}].resources.${kind}`, "only cpu and memory resources are mutable");
      }
    }
  }
  if (qosClassOf(spec) !== qosClassOf(old.spec))
    yield fault.invalid("spec", qosClassOf(old.spec), "Pod QOS Class may not change as a result of resizing");
}
