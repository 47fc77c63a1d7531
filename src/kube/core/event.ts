import { createStrategy } from "../base-strategy.ts";
import type { Event } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { isQualifiedName } from "../values/names.ts";

const limits = { reason: 128, message: 1024, reportingInstance: 128, action: 128 } as const;

export const eventStrategy = createStrategy(resources.Event, {
  // Event names are made by recorders, from names of any kind.
  name: () => [],
  allowCreateOnUpdate: true,
  defaults(event) {
    event.involvedObject ??= {};
  },
  validate: validateEvent,
  selectableFields(event) {
    const object = event.involvedObject ?? {};
    return {
      "involvedObject.kind": object.kind ?? "",
      "involvedObject.namespace": object.namespace ?? "",
      "involvedObject.name": object.name ?? "",
      "involvedObject.uid": object.uid ?? "",
      "involvedObject.apiVersion": object.apiVersion ?? "",
      "involvedObject.resourceVersion": object.resourceVersion ?? "",
      "involvedObject.fieldPath": object.fieldPath ?? "",
      reason: event.reason ?? "",
      reportingComponent: event.reportingComponent ?? "",
      source: event.source?.component || event.reportingComponent || "",
      type: event.type ?? "",
    };
  },
});

/** Events with an eventTime are of the newer kind, with stricter rules. */
function* validateEvent(event: Event): Faults {
  yield* validateNamespace(event);
  if (!event.eventTime) return;
  if (!event.reportingComponent) yield fault.required("reportingController");
  else yield* invalids("reportingController", event.reportingComponent, isQualifiedName(event.reportingComponent));
  for (const field of ["reportingInstance", "action", "reason"] as const) {
    if (!event[field]) yield fault.required(field);
  }
  for (const [field, limit] of Object.entries(limits)) {
    const value = event[field as keyof typeof limits] ?? "";
    if (Buffer.byteLength(value) > limit) yield fault.invalid(field, "", `can have at most ${limit} characters`);
  }
}

/** An event is in the namespace of its object; objects without one have theirs in `default`, or `kube-system`. */
function* validateNamespace({ involvedObject, metadata, eventTime }: Event): Faults {
  const wanted = involvedObject.namespace ?? "";
  const homes = wanted !== "" ? [wanted] : eventTime ? ["default", "kube-system"] : ["default"];
  if (!homes.includes(metadata.namespace ?? "")) {
    yield fault.invalid("involvedObject.namespace", wanted, "does not match event.namespace");
  }
}
