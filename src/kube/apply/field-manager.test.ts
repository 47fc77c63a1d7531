import { describe, expect, it } from "vitest";
import type { ManagedFieldsEntry } from "../generated/types.ts";
import type { KubeObject } from "../object.ts";
import { resources } from "../resource.ts";
import { trackUpdate } from "./field-manager.ts";
import { managedFieldsFault } from "./field-manager.ts";
import { sameButTimes } from "./managers.ts";
import { managedKind, managersOf, noon, objectOf, written } from "./testing.ts";

const { ConfigMap, Deployment, Pod, Service } = resources;
const later = "2030-01-01T13:00:00Z";
const map = (data: object, metadata: object = {}) => ({ metadata: { name: "a", uid: "u", ...metadata }, data });
const web = {
  metadata: { name: "web", labels: { app: "web" } },
  spec: {
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: { containers: [{ name: "web", image: "nginx", ports: [{ containerPort: 80 }] }] },
    },
  },
};

describe("a create", () => {
  it("gives all fields to its writer, but not those of the server", () => {
    const { metadata } = written(ConfigMap, "kubectl-create", map({ k: "v" }, { labels: { app: "x" } }));
    expect(metadata.managedFields).toEqual([
      {
        manager: "kubectl-create",
        operation: "Update",
        apiVersion: "v1",
        time: noon,
        fieldsType: "FieldsV1",
        fieldsV1: { "f:data": { ".": {}, "f:k": {} }, "f:metadata": { "f:labels": { ".": {}, "f:app": {} } } },
      },
    ]);
  });

  it("of a Deployment has upstream's sets: structs are no fields, pointers and maps are", () => {
    const labels = { "f:labels": { ".": {}, "f:app": {} } };
    expect(managersOf(written(Deployment, "m", { ...web, status: { replicas: 3 } }))).toEqual({
      "m Update": {
        "f:metadata": labels,
        "f:spec": {
          "f:progressDeadlineSeconds": {},
          "f:replicas": {},
          "f:revisionHistoryLimit": {},
          "f:selector": {},
          "f:strategy": { "f:rollingUpdate": { ".": {}, "f:maxSurge": {}, "f:maxUnavailable": {} }, "f:type": {} },
          "f:template": {
            "f:metadata": labels,
            "f:spec": {
              "f:containers": {
                'k:{"name":"web"}': {
                  ".": {},
                  "f:image": {},
                  "f:imagePullPolicy": {},
                  "f:name": {},
                  "f:ports": {
                    ".": {},
                    'k:{"containerPort":80,"protocol":"TCP"}': { ".": {}, "f:containerPort": {}, "f:protocol": {} },
                  },
                  "f:resources": {},
                  "f:terminationMessagePath": {},
                  "f:terminationMessagePolicy": {},
                },
              },
              "f:dnsPolicy": {},
              "f:restartPolicy": {},
              "f:schedulerName": {},
              "f:securityContext": {},
              "f:terminationGracePeriodSeconds": {},
            },
          },
        },
      },
    });
  });

  it("orders the ports of a Service by number", () => {
    const ports = [
      { port: 443, name: "b" },
      { port: 80, name: "a" },
    ];
    const object = written(Service, "m", { metadata: { name: "s" }, spec: { ports } });
    const text = JSON.stringify(object.metadata.managedFields);
    expect(text.indexOf('port\\":80')).toBeLessThan(text.indexOf('port\\":443'));
  });

  it("by nobody known is by unknown", () => {
    expect(managersOf(written(ConfigMap, "", map({ a: "b" })))).toHaveProperty(["unknown Update"]);
  });

  it("takes managed fields that the client gives", () => {
    const managedFields = [
      {
        manager: "x",
        operation: "Apply",
        apiVersion: "v1",
        fieldsType: "FieldsV1",
        fieldsV1: { "f:data": { "f:k": {} } },
      },
    ];
    expect(managersOf(written(ConfigMap, "m", map({ k: "v" }, { managedFields })))).toEqual({
      "m Update": { "f:data": { ".": {}, "f:k": {} } },
    });
  });
});

describe("an update", () => {
  const old = written(ConfigMap, "one", map({ a: "1", b: "2" }));

  it("gives what changed to its writer and takes it from others", () => {
    const object = written(ConfigMap, "two", map({ a: "1", b: "3", c: "4" }), { old, now: later });
    expect(managersOf(object)).toEqual({
      "one Update": { "f:data": { ".": {}, "f:a": {} } },
      "two Update": { "f:data": { "f:b": {}, "f:c": {} } },
    });
    expect(object.metadata.managedFields?.map(({ time }) => time)).toEqual([noon, later]);
  });

  it("takes what is gone from everybody", () => {
    expect(managersOf(written(ConfigMap, "two", map({ a: "1" }), { old }))).toEqual({
      "one Update": { "f:data": { ".": {}, "f:a": {} } },
    });
  });

  it("by the same writer adds to what it has", () => {
    const object = written(ConfigMap, "one", map({ a: "1", b: "2", c: "3" }), { old, now: later });
    expect(managersOf(object)).toEqual({ "one Update": { "f:data": { ".": {}, "f:a": {}, "f:b": {}, "f:c": {} } } });
    expect(object.metadata.managedFields?.[0]?.time).toBe(later);
  });

  it("that changes nothing changes no manager and no time", () => {
    const object = written(ConfigMap, "two", map({ b: "2", a: "1" }), { old, now: later });
    expect(object.metadata.managedFields).toEqual(old.metadata.managedFields);
  });

  it("of a status names the part, and leaves out what it may not write", () => {
    const pod = { metadata: { name: "p", uid: "u" }, spec: { containers: [{ name: "a", image: "i" }] } };
    const before = written(Pod, "maker", pod);
    const changed = { ...pod, spec: { ...pod.spec, nodeName: "n" }, status: { phase: "Running" } };
    const after = written(Pod, "kubelet", changed, { old: before, subresource: "status" });
    expect(managersOf(after)).toEqual({
      ...managersOf(before),
      "kubelet Update status": { "f:status": { "f:phase": {} } },
    });
  });

  it("manages nothing where nobody did", () => {
    const unmanaged = objectOf(ConfigMap, map({ a: "1" }));
    expect(written(ConfigMap, "two", map({ a: "2" }), { old: unmanaged }).metadata.managedFields).toBeUndefined();
  });

  it.each([[[{}]], [[]]])("with managed fields %j clears them", (managedFields) => {
    const object = written(ConfigMap, "two", map({ a: "1", b: "3" }, { managedFields }), { old });
    expect(object.metadata.managedFields).toBeUndefined();
  });

  it("takes managed fields that the client changed, when they are valid", () => {
    const entry = { manager: "x", operation: "Apply", apiVersion: "v1", fieldsType: "FieldsV1" };
    const given = (fieldsV1: object, more: object = {}) =>
      managersOf(
        written(ConfigMap, "two", map({ a: "1", b: "2" }, { managedFields: [{ ...entry, fieldsV1, ...more }] }), {
          old,
        }),
      );
    expect(given({ "f:data": { "f:b": {}, "f:a": {} } })).toEqual({
      "x Apply": { "f:data": { "f:a": {}, "f:b": {} } },
    });
    const kept = managersOf(old);
    expect(given({ "f:data": 1 })).toEqual(kept);
    expect(given({}, { operation: "Delete" })).toEqual(kept);
    expect(given({}, { fieldsType: "" })).toEqual(kept);
    expect(given({}, { fieldsType: "FieldsV2" })).toEqual(kept);
    expect(given({}, { apiVersion: "" })).toEqual(kept);
  });

  it("through a part cannot change managed fields", () => {
    const object = written(Pod, "m", { metadata: { name: "p", uid: "u" }, spec: { containers: [{ name: "a" }] } });
    const managedFields: ManagedFieldsEntry[] = [];
    const after = { ...object, metadata: { ...object.metadata, managedFields } };
    expect(written(Pod, "k", after, { old: object, subresource: "status" }).metadata.managedFields).toEqual(
      object.metadata.managedFields,
    );
  });

  it("drops managers of versions that are served no more", () => {
    const entry = {
      manager: "x",
      operation: "Update",
      apiVersion: "v0",
      fieldsType: "FieldsV1",
      fieldsV1: { "f:data": {} },
    };
    const before: KubeObject = { ...old, metadata: { ...old.metadata, managedFields: [entry] } };
    const object = objectOf(ConfigMap, map({ a: "1", b: "2", c: "3" }));
    const done = trackUpdate(managedKind(ConfigMap), { manager: "two", now: later }, object, before);
    return Promise.resolve(done).then(() => {
      expect(managersOf(object)).toEqual({ "two Update": { "f:data": { "f:c": {} } } });
    });
  });

  it("by an eleventh writer puts the oldest together", () => {
    let object = written(ConfigMap, "w0", map({ k0: "0" }));
    for (let i = 1; i <= 12; i++) {
      const data = Object.fromEntries(Array.from({ length: i + 1 }, (_, j) => [`k${j}`, String(j)]));
      const now = `2030-01-01T14:00:${String(i).padStart(2, "0")}Z`;
      object = written(ConfigMap, `w${i}`, map(data), { old: object, now });
    }
    const managers = managersOf(object);
    expect(Object.keys(managers)).toHaveLength(10);
    expect(managers["ancient-changes Update"]).toEqual({
      "f:data": { ".": {}, "f:k0": {}, "f:k1": {}, "f:k2": {}, "f:k3": {} },
    });
    expect(object.metadata.managedFields?.[0]).toMatchObject({
      manager: "ancient-changes",
      time: "2030-01-01T14:00:03Z",
    });
  });
});

it("times alone make no difference", () => {
  const entry = { manager: "a", operation: "Apply", apiVersion: "v1", time: noon, fieldsV1: { "f:a": {} } };
  expect(sameButTimes([entry], [{ ...entry, time: later }])).toBe(true);
  expect(sameButTimes([entry], [{ ...entry, fieldsV1: {} }])).toBe(false);
  expect(sameButTimes([entry], [])).toBe(false);
});

it("what is wrong with managed fields is said", () => {
  expect(managedFieldsFault([])).toBeUndefined();
  expect(managedFieldsFault([{}])).toBe("operation must be `Apply` or `Update`");
});
