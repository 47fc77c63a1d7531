import type { Event, EventsEvent, KubeObject } from "../../kube/index.ts";

/** A stored core/v1 Event as events.k8s.io/v1 shows it: the old names live on as `deprecated...`. */
export function eventsEvent(stored: KubeObject): KubeObject {
  const { source, firstTimestamp, lastTimestamp, count, involvedObject, message, reportingComponent, ...same } =
    stored as Event;
  return {
    ...same,
    apiVersion: "events.k8s.io/v1",
    ...defined({
      regarding: involvedObject,
      note: message,
      reportingController: reportingComponent,
      deprecatedSource: source,
      deprecatedFirstTimestamp: firstTimestamp,
      deprecatedLastTimestamp: lastTimestamp,
      deprecatedCount: count,
    }),
  };
}

/** The reverse of `eventsEvent`. */
export function coreEvent(shown: KubeObject): KubeObject {
  const {
    regarding,
    note,
    reportingController,
    deprecatedSource,
    deprecatedFirstTimestamp,
    deprecatedLastTimestamp,
    deprecatedCount,
    ...same
  } = shown as EventsEvent;
  return {
    ...same,
    apiVersion: "v1",
    involvedObject: regarding ?? {},
    ...defined({
      message: note,
      reportingComponent: reportingController,
      source: deprecatedSource,
      firstTimestamp: deprecatedFirstTimestamp,
      lastTimestamp: deprecatedLastTimestamp,
      count: deprecatedCount,
    }),
  } as KubeObject;
}

/** What a field that events are selected by is called in a stored one. */
export function coreEventField(shown: string): string {
  return shown === "reportingController" ? "reportingComponent" : shown.replace(/^regarding\./, "involvedObject.");
}

function defined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
