import { createStrategy } from "../base-strategy.ts";
import type { Event } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { validateImmutable } from "../validation/metadata.ts";

const limits = { reason: 128, message: 1024, reportingInstance: 128, action: 128 } as const;

export const eventStrategy = createStrategy(resources.Event, {
  // Event names are made by recorders, from names of any kind.
  name: () => [],
  allowCreateOnUpdate: true,
  defaults(event) {
    event.involvedObject ??= {};
    event.source ??= {};
    event.reportingComponent ??= event.source.component ?? "";
    event.reportingInstance ??= event.source.host ?? "";
  },
  validate: (event, _context, old) => validateEvent(event, old),
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

/** Cluster-scoped objects have their events in the default namespace. */
function* validateEvent(event: Event, old?: Event): Faults {
  const { involvedObject, metadata } = event;
  const wanted = involvedObject.namespace || undefined;
  if (
    wanted === undefined
      ? !["default", "kube-system"].includes(metadata.namespace ?? "")
      : wanted !== metadata.namespace
  ) {
    yield fault.invalid("involvedObject.namespace", involvedObject.namespace ?? "", "does not match event.namespace");
  }
  // Events with an eventTime are of the newer kind, with stricter rules.
  if (event.eventTime === undefined) return;
  for (const [field, limit] of Object.entries(limits)) {
    const value = event[field as keyof typeof limits] ?? "";
    if (Buffer.byteLength(value) > limit) yield fault.invalid(field, "", `can have at most ${limit} characters`);
  }
  if (!event.reportingComponent) yield fault.required("reportingController");
  if (!event.reportingInstance) yield fault.required("reportingInstance");
  if (!event.action) yield fault.required("action");
  if (!event.reason) yield fault.required("reason");
  if (event.type !== "Normal" && event.type !== "Warning")
    yield fault.invalid("type", "", `has invalid value: ${event.type ?? ""}`);
  if (!old) return;
  for (const field of [
    "involvedObject",
    "reason",
    "reportingComponent",
    "reportingInstance",
    "action",
    "type",
  ] as const) {
    yield* validateImmutable(event[field], old[field], field);
  }
}
