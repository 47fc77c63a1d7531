import { describe, expect, it } from "vitest";
import { resources, strategyFor, type KubeObject, type Resource, type Strategy } from "../../kube/index.ts";
import { deletionOf, isGone, type DeletionOptions } from "./deletion.ts";

const now = Date.UTC(2030, 0, 1);
const pod = (metadata: object = {}, spec: object = { nodeName: "n1", terminationGracePeriodSeconds: 30 }): KubeObject =>
  ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p", namespace: "n", uid: "u", resourceVersion: "7", ...metadata },
    spec,
  }) as KubeObject;
const kind = (resource: Resource): { resource: Resource; strategy: Strategy } => ({
  resource,
  strategy: strategyFor(resource),
});
const remove = (object: KubeObject, options: DeletionOptions = {}) =>
  deletionOf(kind(resources.Pod), object, options, now);

describe("deletion of a pod", () => {
  it("waits for its grace period", () => {
    expect(remove(pod({ generation: 1 }))).toMatchObject({
      type: "mark",
      object: {
        metadata: { deletionTimestamp: "2030-01-01T00:00:30Z", deletionGracePeriodSeconds: 30, generation: 2 },
      },
    });
  });

  it("takes the grace period that is asked for; a negative one is one second", () => {
    expect(remove(pod(), { gracePeriodSeconds: 5 })).toMatchObject({
      object: { metadata: { deletionGracePeriodSeconds: 5 } },
    });
    expect(remove(pod(), { gracePeriodSeconds: -1 })).toMatchObject({
      object: { metadata: { deletionGracePeriodSeconds: 1 } },
    });
  });

  it("happens at once with grace 0, or where it runs nowhere", () => {
    expect(remove(pod(), { gracePeriodSeconds: 0 })).toEqual({ type: "gone" });
    expect(remove(pod({}, { terminationGracePeriodSeconds: 30 }))).toEqual({ type: "gone" });
  });

  it("may later be made sooner, not later", () => {
    const marked = pod({ deletionTimestamp: "2030-01-01T00:00:30Z", deletionGracePeriodSeconds: 30 });
    expect(remove(marked)).toEqual({ type: "pending" });
    expect(remove(marked, { gracePeriodSeconds: 60 })).toEqual({ type: "pending" });
    expect(remove(marked, { gracePeriodSeconds: 10 })).toMatchObject({
      type: "mark",
      object: { metadata: { deletionTimestamp: "2030-01-01T00:00:10Z", deletionGracePeriodSeconds: 10 } },
    });
    expect(remove(marked, { gracePeriodSeconds: 0 })).toEqual({ type: "gone" });
  });

  it("does not pass over finalizers", () => {
    expect(remove(pod({ finalizers: ["a.b/c"] }), { gracePeriodSeconds: 0 })).toMatchObject({
      type: "mark",
      object: { metadata: { deletionGracePeriodSeconds: 0, finalizers: ["a.b/c"] } },
    });
  });
});

describe("deletion of other kinds", () => {
  const config = (metadata: object = {}): KubeObject => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "c", ...metadata },
  });
  const drop = (object: KubeObject, options: DeletionOptions = {}) =>
    deletionOf(kind(resources.ConfigMap), object, options, now);

  it("happens at once", () => {
    expect(drop(config())).toEqual({ type: "gone" });
  });

  it.each([
    ["Orphan", ["orphan"]],
    ["Foreground", ["foregroundDeletion"]],
  ] as const)("with %s waits for the garbage collector", (propagationPolicy, finalizers) => {
    expect(drop(config(), { propagationPolicy })).toMatchObject({ type: "mark", object: { metadata: { finalizers } } });
  });

  it("lets the last word on propagation hold", () => {
    const waiting = config({
      finalizers: ["orphan"],
      deletionTimestamp: "2030-01-01T00:00:00Z",
      deletionGracePeriodSeconds: 0,
    });
    expect(drop(waiting)).toEqual({ type: "pending" });
    expect(drop(waiting, { propagationPolicy: "Background" })).toEqual({ type: "gone" });
  });

  it.each([
    [{ uid: "other" }, /the UID in the precondition \(other\) does not match the UID in record \(u\)/],
    [
      { resourceVersion: "6" },
      /the ResourceVersion in the precondition \(6\) does not match the ResourceVersion in record \(7\)/,
    ],
  ])("refuses when %j does not hold", (preconditions, message) => {
    expect(() => remove(pod(), { preconditions })).toThrow(message);
  });
});

describe("deletion of a namespace", () => {
  const namespace = (metadata: object, finalizers: string[]): KubeObject =>
    ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: "n", ...metadata },
      spec: { finalizers },
      status: { phase: "Active" },
    }) as KubeObject;
  const drop = (object: KubeObject) => deletionOf(kind(resources.Namespace), object, {}, now);

  it("begins with its end being announced", () => {
    expect(drop(namespace({}, ["kubernetes"]))).toMatchObject({
      type: "mark",
      object: { metadata: { deletionTimestamp: "2030-01-01T00:00:00Z" }, status: { phase: "Terminating" } },
    });
  });

  it("ends when nobody holds it", () => {
    const marked = { deletionTimestamp: "2030-01-01T00:00:00Z" };
    expect(drop(namespace(marked, ["kubernetes"]))).toEqual({ type: "pending" });
    expect(drop(namespace(marked, []))).toEqual({ type: "gone" });
    expect(isGone(resources.Namespace, namespace(marked, ["kubernetes"]))).toBe(false);
    expect(isGone(resources.Namespace, namespace(marked, []))).toBe(true);
  });
});

describe("dependents of what is deleted without a word about them", () => {
  const job = (finalizers?: string[]): KubeObject => ({
    ...pod(finalizers ? { finalizers } : {}, {}),
    apiVersion: "batch/v1",
    kind: "Job",
  });
  const event = (finalizers?: string[]): KubeObject => ({
    ...pod(finalizers ? { finalizers } : {}, {}),
    kind: "Event",
  });
  const after = (resource: Resource, object: KubeObject, options: DeletionOptions = {}) => {
    const deletion = deletionOf(kind(resource), object, options, now);
    return deletion.type === "mark" ? deletion.object.metadata.finalizers : deletion.type;
  };

  it("stay where they always did, unless the request or a finalizer says otherwise", () => {
    expect(after(resources.Job, job())).toEqual(["orphan"]);
    expect(after(resources.Job, job(["a.b/c"]))).toEqual(["a.b/c", "orphan"]);
    expect(after(resources.Job, job(["foregroundDeletion"]))).toEqual(["foregroundDeletion"]);
    expect(after(resources.Job, job(), { propagationPolicy: "Background" })).toBe("gone");
    expect(after(resources.Job, job(), { propagationPolicy: "Foreground" })).toEqual(["foregroundDeletion"]);
  });

  it("are not looked for where there are none", () => {
    expect(after(resources.Event, event(), { propagationPolicy: "Foreground" })).toBe("gone");
    expect(after(resources.Event, event(["orphan"]))).toBe("gone");
  });

  it("who deletes a Job is told", () => {
    const strategy = strategyFor(resources.Job);
    expect(strategy.deletionWarnings?.(undefined)).toEqual([
      expect.stringContaining("child pods are preserved by default"),
    ]);
    expect(strategy.deletionWarnings?.("Orphan")).toEqual([]);
  });
});
