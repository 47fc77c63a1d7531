import { createStrategy } from "../base-strategy.ts";
import type { Event } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateImmutable } from "../validation/metadata.ts";
import { semanticEqual } from "../values/equal.ts";
import { isDns1123Subdomain, isPathSegment, isQualifiedName } from "../values/names.ts";

const longest = { reason: 128, message: 1024, reportingInstance: 128, action: 128 } as const;

export const eventStrategy = createStrategy(resources.Event, {
  // Event names are made by recorders, from names of any kind.
  name: isPathSegment,
  allowCreateOnUpdate: true,
  garbageCollection: "unsupported",
  defaults(event) {
    event.involvedObject ??= {};
  },
  *validate(event, { apiVersion }, old) {
    yield* validateEvent(event);
    if (apiVersion !== "events.k8s.io/v1") return;
    yield* old ? validateNewerUpdate(event, old) : validateNewer(event);
  },
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

/** What holds in both versions. Events with an eventTime are of the newer kind, with stricter rules. */
function* validateEvent(event: Event): Faults {
  yield* validateNamespace(event);
  if (!event.eventTime) return;
  const { reportingComponent = "" } = event;
  if (reportingComponent === "") yield fault.required("reportingController");
  yield* invalids("reportingController", reportingComponent, isQualifiedName(reportingComponent));
  for (const field of ["reportingInstance", "action", "reason"] as const) {
    if (!event[field]) yield fault.required(field);
    yield* validateLength(event, field);
  }
  yield* validateLength(event, "message");
}

function* validateLength(event: Event, field: keyof typeof longest): Faults {
  if (Buffer.byteLength(event[field] ?? "") > longest[field])
    yield fault.invalid(field, "", `can have at most ${longest[field]} characters`);
}

/** An event is in the namespace of its object; objects without one have theirs in `default`, or `kube-system`. */
function* validateNamespace({ involvedObject, metadata, eventTime }: Event): Faults {
  const wanted = involvedObject.namespace ?? "";
  const { namespace = "" } = metadata;
  const homes = wanted !== "" ? [wanted] : ["default", ...(eventTime ? ["kube-system"] : [])];
  // An event of the newer kind may be elsewhere than its object.
  if (!homes.includes(namespace) && !(eventTime && wanted !== ""))
    yield fault.invalid("involvedObject.namespace", wanted, "does not match event.namespace");
}

/** What events.k8s.io/v1 asks beside (KEP-383): nothing is left of the older form. */
function* validateNewer(event: Event): Faults {
  const { metadata, type = "", source = {} } = event;
  yield* invalids("metadata.name", metadata.name, isDns1123Subdomain(metadata.name));
  yield* validateSeries(event);
  if (!event.eventTime) yield fault.required("eventTime");
  if (type !== "Normal" && type !== "Warning") yield fault.invalid("type", "", `has invalid value: ${type}`);
  for (const field of ["firstTimestamp", "lastTimestamp", "count"] as const)
    if (event[field]) yield fault.invalid(field, "", "needs to be unset");
  if (source.component || source.host) yield fault.invalid("source", "", "needs to be unset");
}

function* validateSeries({ series }: Event): Faults {
  if (!series) return;
  if ((series.count ?? 0) < 2) yield fault.invalid("series.count", "", "should be at least 2");
  if (!series.lastObservedTime) yield fault.required("series.lastObservedTime");
}

/** In the order in which upstream looks at them, one of them twice. */
const fixed = [
  "involvedObject",
  "reason",
  "message",
  "source",
  "firstTimestamp",
  "lastTimestamp",
  "count",
  "reason",
  "type",
  "eventTime",
  "action",
  "related",
  "reportingComponent",
  "reportingInstance",
] as const;

/** Of an event only the series goes on. */
function* validateNewerUpdate(event: Event, old: Event): Faults {
  if (!semanticEqual(event.series, old.series)) yield* validateSeries(event);
  for (const field of fixed) {
    const path = field === "reportingComponent" ? "reportingController" : field;
    yield* validateImmutable(event[field] ?? null, old[field] ?? null, path);
  }
}
