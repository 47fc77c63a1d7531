import { describe, expect, it } from "vitest";
import type { Event } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { create, update } from "../testing.ts";

const kind = resources.Event;
const newer = { apiVersion: "events.k8s.io/v1" };
const event = (rest: object = {}) => ({
  involvedObject: { kind: "Pod", name: "p", namespace: "default" },
  eventTime: "2030-01-01T00:00:00.000000Z",
  reportingComponent: "example.test/c",
  reportingInstance: "c-1",
  action: "Start",
  reason: "Started",
  type: "Normal",
  ...rest,
});

describe("as events.k8s.io/v1", () => {
  it.each<[object, ...string[]]>([
    [event()],
    [event({ metadata: { name: "A" } }), expect.stringContaining("a lowercase RFC 1123 subdomain") as string],
    [
      event({ series: { count: 1 } }),
      'series.count: Invalid value: "": should be at least 2',
      "series.lastObservedTime: Required value",
    ],
    [event({ type: "Odd" }), 'type: Invalid value: "": has invalid value: Odd'],
    [
      event({ firstTimestamp: "2030-01-01T00:00:00Z", lastTimestamp: "2030-01-01T00:00:00Z", count: 1 }),
      'firstTimestamp: Invalid value: "": needs to be unset',
      'lastTimestamp: Invalid value: "": needs to be unset',
      'count: Invalid value: "": needs to be unset',
    ],
    [event({ source: { host: "h" } }), 'source: Invalid value: "": needs to be unset'],
    [event({ reason: "r".repeat(129) }), 'reason: Invalid value: "": can have at most 128 characters'],
    [
      event({ reportingInstance: "i".repeat(129) }),
      'reportingInstance: Invalid value: "": can have at most 128 characters',
    ],
    [event({ involvedObject: {}, metadata: { namespace: "kube-system" } })],
    [
      event({ involvedObject: {}, metadata: { namespace: "other" } }),
      'involvedObject.namespace: Invalid value: "": does not match event.namespace',
    ],
  ])("create %#", (value, ...expected) => {
    expect(create(kind, value, newer).faults).toEqual(expected);
  });

  it("goes on in its series alone", () => {
    const { object } = create(kind, event(), newer);
    const series = { count: 2, lastObservedTime: "2030-01-01T00:00:01.000000Z" };
    expect(update(kind, object, (draft: Event) => (draft.series = series), newer).faults).toEqual([]);
    const other = (draft: Event) =>
      Object.assign(draft, { message: "m", related: { kind: "Node" }, series: { count: 0 } });
    expect(update(kind, object, other, newer).faults).toEqual([
      'series.count: Invalid value: "": should be at least 2',
      "series.lastObservedTime: Required value",
      'message: Invalid value: "m": field is immutable',
      'related: Invalid value: {"kind":"Node"}: field is immutable',
    ]);
  });
});

it("as v1, what was always allowed still is", () => {
  const { object, faults } = create(kind, event({ type: "Odd", count: 1, series: {}, metadata: { name: "A_b" } }));
  expect(faults).toEqual([]);
  expect(update(kind, object, (draft: Event) => (draft.reason = "Other")).faults).toEqual([]);
});
