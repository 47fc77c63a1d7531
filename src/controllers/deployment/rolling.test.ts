import { describe, expect, test } from "vitest";
import type { Deployment, IntOrString, ReplicaSet } from "../../kube/index.ts";
import { maxSurgeOf, maxUnavailableOf } from "./limits.ts";
import { currentSize, resize, shrinkOld, wasResized } from "./rolling.ts";

function deployment(replicas: number, maxSurge: IntOrString = 1, maxUnavailable: IntOrString = 0): Deployment {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "d" },
    spec: {
      replicas,
      selector: {},
      template: {},
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge, maxUnavailable } },
    },
  };
}

/** A ReplicaSet of a size, so many of it available; scaled last when the Deployment had `desired` and at most `most`. */
function set(name: string, replicas: number, available = replicas, desired = 10, most = desired): ReplicaSet {
  return {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: {
      name,
      creationTimestamp: `2030-01-01T00:00:0${name.length}Z`,
      annotations: {
        "deployment.kubernetes.io/desired-replicas": String(desired),
        "deployment.kubernetes.io/max-replicas": String(most),
      },
    },
    spec: { replicas, selector: {} },
    status: { replicas, availableReplicas: available },
  };
}

const sizes = (scales: readonly { set: ReplicaSet; replicas: number }[]) =>
  Object.fromEntries(scales.map(({ set, replicas }) => [set.metadata.name, replicas]));

test.each<[number, IntOrString, IntOrString, number, number]>([
  [10, "25%", "25%", 3, 2],
  [3, "25%", "25%", 1, 0],
  [1, "25%", "25%", 1, 0],
  [10, 0, 0, 0, 1],
  [2, 5, 5, 5, 2],
  [0, "25%", "25%", 0, 0],
])("of %i replicas with %s and %s, %i may be too many and %i too few", (replicas, surge, unavailable, most, least) => {
  const given = deployment(replicas, surge, unavailable);
  expect([maxSurgeOf(given), maxUnavailableOf(given)]).toEqual([most, least]);
});

test.each([
  [10, 0, 10, 2, "the surge is all the room there is"],
  [10, 0, 12, 0, "no room"],
  [10, 9, 10, 10, "never more than is wanted"],
  [10, 12, 12, 10, "too many: down at once"],
  [10, 0, 0, 10, "nothing there: all at once"],
])("of %i with %i now and %i in all, the current one gets %i: %s", (wanted, size, total, expected) => {
  expect(currentSize(deployment(wanted, 2), size, total)).toBe(expected);
});

describe("old ReplicaSets shrink", () => {
  test("by none while the new pods aren't available", () => {
    expect(shrinkOld(deployment(10, 2, 0), { current: set("new", 2, 0), old: [set("old", 10)] })).toEqual([]);
  });
  test("by as many as are available beyond the least", () => {
    expect(sizes(shrinkOld(deployment(10, 2, 2), { current: set("new", 2, 2), old: [set("old", 10)] }))).toEqual({
      old: 6,
    });
  });
  test("first by those that aren't available anyway, oldest first", () => {
    const old = [set("o", 4, 1), set("olds", 6, 6)];
    expect(sizes(shrinkOld(deployment(10, 2, 0), { current: set("new", 2, 2), old }))).toEqual({ o: 2 });
  });
  test("to nothing when the new one does it all", () => {
    expect(sizes(shrinkOld(deployment(10), { current: set("new", 10), old: [set("old", 1)] }))).toEqual({ old: 0 });
  });
});

describe("after a change of size", () => {
  test("it is seen only while ReplicaSets have pods", () => {
    expect(wasResized(deployment(15), [set("a", 10)])).toBe(true);
    expect(wasResized(deployment(15), [set("a", 0)])).toBe(false);
    expect(wasResized(deployment(10), [set("a", 10)])).toBe(false);
  });
  test("a single ReplicaSet gets all, whichever it is", () => {
    expect(sizes(resize(deployment(5), { current: set("new", 0), old: [set("old", 3)] }))).toEqual({ old: 5 });
    expect(sizes(resize(deployment(5), { current: undefined, old: [set("o", 0), set("old", 0)] }))).toEqual({ old: 5 });
    expect(sizes(resize(deployment(5), { current: set("new", 0), old: [] }))).toEqual({ new: 5 });
  });
  test("several share, and the sum is right", () => {
    const resized = deployment(15, 3, 2);
    const sets = { current: set("new", 5, 5, 10, 13), old: [set("old", 8, 8, 10, 13)] };
    expect(sizes(resize(resized, sets))).toEqual({ old: 11, new: 7 });
  });
  test("down to nothing, all go", () => {
    const sets = { current: set("new", 5, 5, 10, 13), old: [set("old", 8, 8, 10, 13)] };
    expect(sizes(resize(deployment(0, 3, 2), sets))).toEqual({ old: 0, new: 0 });
  });
  test("a rollout that is done leaves only the new one", () => {
    expect(sizes(resize(deployment(10), { current: set("new", 10, 10, 10), old: [set("old", 2)] }))).toEqual({
      old: 0,
    });
  });
});
