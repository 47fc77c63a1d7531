import { describe, expect, it } from "vitest";
import type { KubeObject } from "../object.ts";
import { generate, randomFrom } from "../random-value.ts";
import { resources, type Resource } from "../resource.ts";
import { definitionOf } from "../schema.ts";
import { StatusError } from "../status.ts";
import { cloneJson, jsonEqual } from "../values/equal.ts";
import { deduced } from "./atom.ts";
import { compare } from "./compare.ts";
import { applied, managedKind, managersOf, noon, objectOf, written } from "./testing.ts";
import { fieldsOf, misfit } from "./typed.ts";
import { merge } from "./merge.ts";

const { ConfigMap, Deployment, Service } = resources;
const later = "2030-01-01T13:00:00Z";
const map = (data?: object, metadata: object = {}) => ({
  metadata: { name: "a", ...metadata },
  ...(data ? { data } : {}),
});
const ports = (...numbers: number[]) => ({
  metadata: { name: "s" },
  spec: { ports: numbers.map((port) => ({ port, name: `p${port}` })) },
});
const dataOf = (object: KubeObject) => Reflect.get(object, "data") as unknown;
const portsOf = (object: KubeObject) =>
  (Reflect.get(object, "spec") as { ports?: { port: number }[] }).ports?.map(({ port }) => port);

async function refusal(result: Promise<unknown>): Promise<{ code: number; message: string; causes?: unknown }> {
  try {
    await result;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    return {
      code: error.code,
      message: error.message,
      ...(error.status.details ? { causes: error.status.details.causes } : {}),
    };
  }
  throw new Error("it was not refused");
}

describe("an apply", () => {
  it("that makes an object owns what it says, and no defaults", async () => {
    const object = await applied(Service, "me", ports(80));
    expect(managersOf(object)).toEqual({
      "me Apply": {
        "f:spec": { "f:ports": { 'k:{"port":80,"protocol":"TCP"}': { ".": {}, "f:name": {}, "f:port": {} } } },
      },
    });
    expect(object).toMatchObject({ spec: { type: "ClusterIP" } });
  });

  it("made again changes nothing, not even the time", async () => {
    const live = await applied(ConfigMap, "me", map({ a: "1" }));
    expect(await applied(ConfigMap, "me", map({ a: "1" }), { live, now: later })).toEqual(live);
  });

  it("takes away what it applied before and does not now", async () => {
    const live = await applied(ConfigMap, "me", map({ a: "1", b: "2" }, { labels: { x: "y" } }));
    const after = await applied(ConfigMap, "me", map({ b: "2" }), { live });
    expect(dataOf(after)).toEqual({ b: "2" });
    expect(after.metadata.labels).toBeUndefined();
    expect(managersOf(after)).toEqual({ "me Apply": { "f:data": { "f:b": {} } } });
  });

  it("leaves what others manage too", async () => {
    const mine = await applied(ConfigMap, "me", map({ a: "1", b: "2" }));
    const shared = await applied(ConfigMap, "you", map({ a: "1" }), { live: mine });
    const after = await applied(ConfigMap, "me", map({ b: "2" }), { live: shared });
    expect(dataOf(after)).toEqual({ a: "1", b: "2" });
    expect(managersOf(after)).toEqual({
      "me Apply": { "f:data": { "f:b": {} } },
      "you Apply": { "f:data": { "f:a": {} } },
    });
  });

  it("takes items from lists by their keys", async () => {
    const mine = await applied(Service, "me", ports(80, 81));
    const both = await applied(Service, "you", ports(82), { live: mine });
    expect(portsOf(both)).toEqual([80, 81, 82]);
    const after = await applied(Service, "me", ports(81), { live: both });
    expect(portsOf(after)).toEqual([81, 82]);
  });

  it("puts the items of a list in its own order, and leaves others where they are", async () => {
    const live = await applied(Service, "other", ports(1, 2, 3, 4));
    const after = await applied(Service, "me", ports(3, 5, 1), { live });
    expect(portsOf(after)).toEqual([2, 3, 4, 5, 1]);
  });

  it("replaces atomic lists and maps as a whole", async () => {
    const selector = (labels: object) => ({
      metadata: { name: "s" },
      spec: { selector: labels, ports: [{ port: 1 }] },
    });
    const live = await applied(Service, "me", selector({ a: "1", b: "2" }));
    const after = await applied(Service, "me", selector({ a: "1" }), { live });
    expect(after).toMatchObject({ spec: { selector: { a: "1" } } });
    expect(Reflect.get(Reflect.get(after, "spec") as object, "selector")).toEqual({ a: "1" });
  });

  it("over an object that nobody managed says who had it before", async () => {
    const live = objectOf(ConfigMap, map({ a: "1", b: "2" }, { uid: "u" }));
    const after = await applied(ConfigMap, "me", map({ a: "3" }), { live, force: true });
    expect(managersOf(after)).toEqual({
      "before-first-apply Update": { "f:data": { ".": {}, "f:b": {} } },
      "me Apply": { "f:data": { "f:a": {} } },
    });
  });

  it("leaves out fields that the server keeps", async () => {
    const config = { metadata: { name: "d" }, spec: { replicas: 1 }, status: { replicas: 7 } };
    const template = { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } };
    const live = written(Deployment, "m", {
      metadata: { name: "d", uid: "u" },
      spec: { selector: { matchLabels: { a: "b" } }, template },
    });
    const after = await applied(Deployment, "me", config, { live });
    expect(managersOf(after)["me Apply"]).toEqual({ "f:spec": { "f:replicas": {} } });
  });
});

describe("conflicts", () => {
  const live = written(ConfigMap, "kubectl-create", map({ a: "1", b: "2", c: "3" }, { uid: "u" }));

  it("name the manager and the field", async () => {
    expect(await refusal(applied(ConfigMap, "me", map({ a: "9" }), { live }))).toEqual({
      code: 409,
      message: 'Apply failed with 1 conflict: conflict with "kubectl-create" using v1: .data.a',
      causes: [
        { reason: "FieldManagerConflict", message: 'conflict with "kubectl-create" using v1', field: ".data.a" },
      ],
    });
  });

  it("are grouped by manager", async () => {
    const both = await applied(ConfigMap, "you", map({ c: "3", d: "4" }), { live });
    const { code, message, causes } = await refusal(
      applied(ConfigMap, "me", map({ a: "9", b: "9", d: "9" }), { live: both }),
    );
    expect(code).toBe(409);
    expect(message).toBe(
      'Apply failed with 3 conflicts: conflicts with "kubectl-create" using v1:\n- .data.a\n- .data.b\nconflicts with "you":\n- .data.d',
    );
    expect(causes).toHaveLength(3);
  });

  it("are no conflicts where the value is the same", async () => {
    const after = await applied(ConfigMap, "me", map({ a: "1" }), { live });
    expect(managersOf(after)).toMatchObject({ "me Apply": { "f:data": { "f:a": {} } }, ...managersOf(live) });
  });

  it("end by force: who applies is the only one to manage the field", async () => {
    const after = await applied(ConfigMap, "me", map({ a: "9" }), { live, force: true });
    expect(managersOf(after)).toEqual({
      "kubectl-create Update": { "f:data": { ".": {}, "f:b": {}, "f:c": {} } },
      "me Apply": { "f:data": { "f:a": {} } },
    });
  });

  it("name the part that somebody wrote", async () => {
    const web = { metadata: { name: "d", uid: "u" }, spec: { selector: {}, template: { spec: { containers: [] } } } };
    const made = written(Deployment, "m", web);
    const managed = { manager: "hpa", operation: "Update", apiVersion: "apps/v1", fieldsType: "FieldsV1" };
    const entry = { ...managed, fieldsV1: { "f:spec": { "f:replicas": {} } }, subresource: "scale" };
    const scaled: KubeObject = { ...made, metadata: { ...made.metadata, managedFields: [entry] } };
    const { message } = await refusal(
      applied(Deployment, "me", { metadata: { name: "d" }, spec: { replicas: 5 } }, { live: scaled }),
    );
    expect(message).toBe(
      'Apply failed with 1 conflict: conflict with "hpa" with subresource "scale" using apps/v1: .spec.replicas',
    );
  });
});

describe("kubectl, which applied from the client's side before,", () => {
  const key = "kubectl.kubernetes.io/last-applied-configuration";
  const last = (data: object) => JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", ...map(data) });
  const live = written(
    ConfigMap,
    "kubectl-client-side-apply",
    map({ a: "1", b: "2" }, { uid: "u", annotations: { [key]: last({ a: "1" }) } }),
  );

  it("takes over what it applied, and keeps its annotation true", async () => {
    const after = await applied(ConfigMap, "kubectl", map({ a: "9" }), { live });
    expect(dataOf(after)).toEqual({ a: "9", b: "2" });
    expect(after.metadata.annotations?.[key]).toBe(
      '{"apiVersion":"v1","data":{"a":"9"},"kind":"ConfigMap","metadata":{"name":"a"}}\n',
    );
  });

  it("has conflicts about the rest", async () => {
    const { message } = await refusal(applied(ConfigMap, "kubectl", map({ a: "9", b: "9" }), { live }));
    expect(message).toBe('Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: .data.b');
  });

  it("is alone in that: others have conflicts, and touch no annotation", async () => {
    expect(await refusal(applied(ConfigMap, "me", map({ a: "9" }), { live }))).toMatchObject({ code: 409 });
    const forced = await applied(ConfigMap, "me", map({ a: "9" }), { live, force: true });
    expect(forced.metadata.annotations?.[key]).toBe(last({ a: "1" }));
  });
});

describe("a configuration is refused", () => {
  it.each<[string, object, number, string]>([
    ["of another kind", { apiVersion: "v1", kind: "Secret" }, 400, "invalid object type: /v1, Kind=Secret"],
    ["of another version", { apiVersion: "apps/v1" }, 400, "invalid object type: apps/v1, Kind=Service"],
    ["with managed fields", { metadata: { name: "s", managedFields: [] } }, 400, "metadata.managedFields must be nil"],
    [
      "with a field that the kind does not have",
      { spec: { porst: 1 } },
      500,
      "failed to create typed patch object (/s; /v1, Kind=Service): .spec.porst: field not declared in schema",
    ],
    [
      "with values of a wrong type",
      { spec: { ports: [{ port: "80" }], type: 1, selector: "x", externalIPs: {} } },
      500,
      'failed to create typed patch object (/s; /v1, Kind=Service): errors:\n  .spec.ports[port="80",protocol="TCP"].port: ' +
        "expected numeric (int or float), got string\n  .spec.type: expected string, got &value.valueUnstructured{Value:1}\n" +
        "  .spec.selector: expected map, got &{x}\n  .spec.externalIPs: expected list, got &{map[]}",
    ],
    [
      "with one key twice",
      { spec: { ports: [{ port: 80 }, { port: 80, protocol: "TCP" }] } },
      500,
      "failed to create typed patch object (/s; /v1, Kind=Service): .spec.ports: duplicate entries for key " +
        '[port=80,protocol="TCP"]',
    ],
    [
      "with an item that is no map",
      { spec: { ports: [null] } },
      500,
      "failed to create typed patch object (/s; /v1, Kind=Service): .spec.ports: element 0: associative list with keys may not " +
        "have a null element",
    ],
  ])("%s", async (_, config, code, message) => {
    expect(await refusal(applied(Service, "me", { metadata: { name: "s" }, ...config }))).toMatchObject({
      code,
      message,
    });
  });
});

describe("without a schema", () => {
  it("maps are merged by field, and lists are one value", () => {
    const live = { a: { x: 1, y: [1, 2] }, b: 1 };
    expect(merge(deduced, live, { a: { y: [3] }, c: null })).toEqual({ a: { x: 1, y: [3] }, b: 1, c: null });
    expect(fieldsOf(deduced, live)).toEqual({ "f:a": { ".": {}, "f:x": {}, "f:y": {} }, "f:b": {} });
    expect(misfit(deduced, { a: [{ b: [null] }] })).toBeUndefined();
  });

  it("a value that becomes another sort of value is a change, and what it held is gone", () => {
    expect(compare(deduced, { a: { x: 1 } }, { a: 1 }, false)).toEqual({
      changed: { "f:a": {} },
      removed: { "f:a": { "f:x": {} } },
    });
  });
});

describe.each(Object.entries<Resource>(resources))("any %s", (_, resource) => {
  const random = randomFrom(17);
  const { definition = {} } = definitionOf(resource) ?? {};
  const { atom } = managedKind(resource).version;
  const any = (): Record<string, unknown> => {
    const {
      status: _status,
      apiVersion: _version,
      kind: _kind,
      ...value
    } = generate(definition, random) as Record<string, unknown>;
    return { ...value, metadata: { name: "x", labels: { a: "b" } } };
  };
  const valid = Array.from({ length: 60 }, any).flatMap((value) => {
    try {
      const object = objectOf(resource, value);
      return misfit(atom, object) === undefined ? [object] : [];
    } catch (error) {
      if (error instanceof StatusError) return [];
      throw error;
    }
  });

  it("is often enough a good one", () => {
    expect(valid.length).toBeGreaterThan(0);
  });

  it("applied twice is as applied once, and applied by two is owned by both", async () => {
    for (const config of valid.slice(0, 12)) {
      const { metadata, ...rest } = cloneJson(config);
      const body = { ...rest, metadata: { name: metadata.name, labels: { a: "b" } } };
      const once = await applied(resource, "me", body);
      expect(await applied(resource, "me", body, { live: once, now: later })).toEqual(once);
      const shared = await applied(resource, "you", body, { live: once, now: later });
      const [mine, yours] = [managersOf(shared)["me Apply"], managersOf(shared)["you Apply"]];
      expect(yours).toEqual(mine);
      const { managedFields: _managed, ...kept } = shared.metadata;
      const { managedFields: _before, ...had } = once.metadata;
      expect({ ...shared, metadata: kept }).toEqual({ ...once, metadata: had });
    }
  });

  it("differs from nothing in all its fields, and from itself in none", () => {
    for (const object of valid) {
      const same = compare(atom, object, cloneJson(object), true);
      expect(same).toEqual({ changed: {}, removed: {} });
      const [a, b] = [written(resource, "m", object), written(resource, "m", cloneJson(object))];
      expect(jsonEqual(a.metadata.managedFields, b.metadata.managedFields)).toBe(true);
      for (const { time } of a.metadata.managedFields ?? []) expect(time).toBe(noon);
    }
  });
});
