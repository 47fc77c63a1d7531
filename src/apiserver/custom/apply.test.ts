import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonSchema } from "../../kube/index.ts";
import { mergePatch, startTestApi, type TestApi } from "../test-api.ts";
import { collection, install, widgets } from "./testing.ts";

const yaml = { headers: { "content-type": "application/apply-patch+yaml" } };
const schema: JsonSchema = {
  type: "object",
  properties: {
    spec: {
      type: "object",
      properties: {
        size: { type: "integer", default: 3 },
        tags: { type: "array", items: { type: "string" }, "x-kubernetes-list-type": "set" },
        parts: {
          type: "array",
          items: {
            type: "object",
            required: ["name"],
            properties: {
              name: { type: "string" },
              kind: { type: "string", default: "round" },
              count: { type: "integer" },
            },
          },
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["name", "kind"],
        },
        whole: { type: "object", additionalProperties: { type: "string" }, "x-kubernetes-map-type": "atomic" },
        free: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
      },
    },
    status: { type: "object", properties: { ready: { type: "boolean" } } },
  },
};
const widget = (spec: object, more: object = {}) => ({
  apiVersion: "acme.io/v1",
  kind: "Widget",
  metadata: { name: "w" },
  spec,
  ...more,
});

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.stop());

const apply = (body: object, query = "fieldManager=me", url = `${collection}/w`) =>
  api.call("PATCH", `${url}?${query}`, body, yaml);
const sets = (body: { metadata: { managedFields: { manager: string; fieldsV1: object }[] } }) =>
  Object.fromEntries(body.metadata.managedFields.map(({ manager, fieldsV1 }) => [manager, fieldsV1]));

describe("custom resources", () => {
  it("are merged as their schema says", async () => {
    await install(api, widgets(schema));
    const spec = {
      tags: ["b", "a"],
      parts: [{ name: "x" }, { name: "x", kind: "flat", count: 1 }],
      whole: { a: "1" },
      free: { deep: { a: 1 }, list: [{ a: 1 }] },
    };
    const made = await apply(widget(spec));
    expect(made.status).toBe(201);
    expect(made.body.spec.size).toBe(3);
    expect(sets(made.body)).toEqual({
      me: {
        "f:spec": {
          "f:free": { "f:deep": { ".": {}, "f:a": {} }, "f:list": {} },
          "f:parts": {
            'k:{"kind":"flat","name":"x"}': { ".": {}, "f:count": {}, "f:kind": {}, "f:name": {} },
            'k:{"kind":"round","name":"x"}': { ".": {}, "f:name": {} },
          },
          "f:tags": { 'v:"a"': {}, 'v:"b"': {} },
          "f:whole": {},
        },
      },
    });
    const other = { tags: ["c"], parts: [{ name: "y" }], free: { deep: { b: 2 } } };
    const both = await apply(widget(other), "fieldManager=you");
    expect(both.body.spec).toMatchObject({ tags: ["b", "a", "c"], free: { deep: { a: 1, b: 2 } }, whole: { a: "1" } });
    const less = await apply(widget({ tags: ["a"], parts: [{ name: "x" }], whole: { b: "2" } }));
    expect(less.body.spec).toEqual({
      size: 3,
      tags: ["a", "c"],
      parts: [
        { name: "x", kind: "round" },
        { name: "y", kind: "round" },
      ],
      whole: { b: "2" },
      free: { deep: { b: 2 } },
    });
  });

  it("tell of conflicts and of fields that their schema does not have", async () => {
    await install(api, widgets(schema));
    await api.call("POST", collection, widget({ size: 1 }));
    expect((await apply(widget({ size: 2 }))).body).toMatchObject({
      code: 409,
      message: 'Apply failed with 1 conflict: conflict with "unknown" using acme.io/v1: .spec.size',
    });
    expect((await apply(widget({ sise: 2 }))).body).toMatchObject({
      code: 500,
      message:
        "failed to create typed patch object (/w; acme.io/v1, Kind=Widget): .spec.sise: field not declared in schema",
    });
    const strategic = { headers: { "content-type": "application/strategic-merge-patch+json" } };
    expect((await api.call("PATCH", `${collection}/w`, {}, strategic)).status).toBe(415);
  });

  it("have the fields of a status apart", async () => {
    await install(api, widgets(schema, { subresources: { status: {} } }));
    await apply(widget({ size: 1 }, { status: { ready: true } }));
    const { body } = await apply(
      widget({ size: 2 }, { status: { ready: true } }),
      "fieldManager=st",
      `${collection}/w/status`,
    );
    expect(body).toMatchObject({ spec: { size: 1 }, status: { ready: true } });
    expect(sets(body)).toEqual({ me: { "f:spec": { "f:size": {} } }, st: { "f:status": { "f:ready": {} } } });
  });

  it("in several versions have each manager's fields in the version that it spoke", async () => {
    const version = (name: string, storage: boolean) => ({
      name,
      served: true,
      storage,
      schema: { openAPIV3Schema: schema },
    });
    await install(api, widgets(schema, {}, { versions: [version("v1", true), version("v2", false)] }));
    const v2 = "/apis/acme.io/v2/namespaces/default/widgets/w";
    await apply(widget({ size: 1, tags: ["a"] }));
    const conflict = await apply({ ...widget({ size: 2 }), apiVersion: "acme.io/v2" }, "fieldManager=you", v2);
    expect(conflict.body.message).toBe('Apply failed with 1 conflict: conflict with "me": .spec.size');
    await api.call("PATCH", `${v2}?fieldManager=two`, { spec: { size: 5 } }, mergePatch);
    const { body } = await api.call("GET", `${collection}/w`);
    expect(body.metadata.managedFields).toMatchObject([
      { manager: "me", apiVersion: "acme.io/v1", fieldsV1: { "f:spec": { "f:tags": { 'v:"a"': {} } } } },
      { manager: "two", apiVersion: "acme.io/v2", fieldsV1: { "f:spec": { "f:size": {} } } },
    ]);
    // Applied in another version, what was applied before in the first goes all the same.
    const moved = await apply({ ...widget({ tags: ["b"] }), apiVersion: "acme.io/v2" }, "fieldManager=me", v2);
    expect(moved.body.spec.tags).toEqual(["b"]);
  });
});
