import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonSchema } from "../../kube/index.ts";
import { mergePatch, startTestApi, type TestApi } from "../test-api.ts";
import { collection, definitions, eventually, install, widgets } from "./testing.ts";

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.stop());

const schema: JsonSchema = {
  type: "object",
  properties: {
    spec: {
      type: "object",
      required: ["size"],
      properties: {
        size: { type: "integer", minimum: 1, description: "How big." },
        color: { type: "string", default: "red", enum: ["red", "green"] },
        name: { type: "string", maxLength: 5, pattern: "^[a-z]+$" },
        port: { "x-kubernetes-int-or-string": true },
        free: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
        parts: {
          type: "array",
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["name"],
          items: { type: "object", required: ["name"], properties: { name: { type: "string" } } },
        },
        replicas: { type: "integer" },
      },
    },
    status: { type: "object", properties: { replicas: { type: "integer" }, selector: { type: "string" } } },
  },
};
const scale = {
  specReplicasPath: ".spec.replicas",
  statusReplicasPath: ".status.replicas",
  labelSelectorPath: ".status.selector",
};
const widget = (spec: object, metadata: object = {}): object => ({
  apiVersion: "acme.io/v1",
  kind: "Widget",
  metadata: { name: "w", ...metadata },
  spec,
});

describe("a CustomResourceDefinition", () => {
  it("is served when its names are accepted", async () => {
    expect((await api.call("GET", collection)).status).toBe(404);
    await install(api, widgets(schema));
    const { body } = await api.call("GET", `${definitions}/widgets.acme.io`);
    expect(body.status).toMatchObject({
      acceptedNames: {
        plural: "widgets",
        singular: "widget",
        kind: "Widget",
        listKind: "WidgetList",
        shortNames: ["wd"],
      },
      storedVersions: ["v1"],
      conditions: [
        { type: "NamesAccepted", status: "True", reason: "NoConflicts", message: "no conflicts found" },
        { type: "Established", status: "True", reason: "InitialNamesAccepted" },
      ],
    });
    expect((await api.call("GET", "/apis/acme.io/v1")).body.resources).toMatchObject([
      {
        name: "widgets",
        singularName: "widget",
        kind: "Widget",
        namespaced: true,
        shortNames: ["wd"],
        categories: ["all"],
      },
    ]);
    const openApi = await api.call("GET", "/openapi/v3/apis/acme.io/v1");
    expect(openApi.body.components.schemas["io.acme.v1.Widget"].properties.spec.properties.size.description).toBe(
      "How big.",
    );
    expect(openApi.body.components.schemas).toHaveProperty(["io.acme.v1.WidgetList"]);
    const { patch } = openApi.body.paths["/apis/acme.io/v1/namespaces/{namespace}/widgets/{name}"];
    expect(Object.keys(patch.requestBody.content)).not.toContain("application/strategic-merge-patch+json");
    const v2 = await api.call("GET", "/openapi/v2");
    expect(v2.body.definitions["io.acme.v1.Widget"].properties.spec.properties.port).toEqual({
      "x-kubernetes-int-or-string": true,
    });
  });

  it("does not get names that another one has", async () => {
    await install(api, widgets(schema));
    const gadgets = widgets(schema, {}, { names: { plural: "gadgets", kind: "Gadget", shortNames: ["wd"] } }) as {
      metadata: object;
    };
    await api.call("POST", definitions, { ...gadgets, metadata: { name: "gadgets.acme.io" } });
    const { body } = await eventually(
      api,
      `${definitions}/gadgets.acme.io`,
      ({ body: found }) => found?.status?.conditions?.length === 2,
    );
    expect(body.status.conditions).toMatchObject([
      { type: "NamesAccepted", status: "False", reason: "ShortNamesConflict", message: '"wd" is already in use' },
      { type: "Established", status: "False", reason: "NotAccepted", message: "not all names are accepted" },
    ]);
    expect((await api.call("GET", "/apis/acme.io/v1/gadgets")).status).toBe(404);
    // When the name is free, the other one gets it.
    await api.call("DELETE", `${definitions}/widgets.acme.io`);
    await eventually(api, "/apis/acme.io/v1/gadgets", ({ status }) => status === 200);
  });

  it("takes all objects of its kind with it", async () => {
    await install(api, widgets(schema));
    await api.call("POST", collection, widget({ size: 1 }));
    await api.call("POST", collection, widget({ size: 1 }, { name: "held", finalizers: ["acme.io/hold"] }));
    const watch = await api.watch(`${collection}?watch=1`);
    expect([await watch.next(), await watch.next()].map((frame) => frame?.type)).toEqual(["ADDED", "ADDED"]);
    await api.call("DELETE", `${definitions}/widgets.acme.io`);
    await eventually(api, `${collection}/w`, ({ status }) => status === 404);
    const held = await api.call("GET", `${definitions}/widgets.acme.io`);
    expect(held.body.metadata.finalizers).toEqual(["customresourcecleanup.apiextensions.k8s.io"]);
    expect(held.body.status.conditions).toContainEqual(
      expect.objectContaining({ type: "Terminating", status: "True", reason: "InstanceDeletionInProgress" }),
    );
    await api.call("PATCH", `${collection}/held`, { metadata: { finalizers: null } }, mergePatch);
    await eventually(api, `${definitions}/widgets.acme.io`, ({ status }) => status === 404);
    await eventually(api, collection, ({ status }) => status === 404);
    let last = await watch.next();
    while (last) {
      expect(["MODIFIED", "DELETED"]).toContain(last.type);
      last = await watch.next();
    }
  });

  it("is refused with what is wrong with it", async () => {
    const wrong = widgets({
      type: "object",
      properties: { spec: { properties: { a: { type: "array" }, b: { type: "string", pattern: "(" } } } },
    });
    const { status, body } = await api.call("POST", definitions, wrong);
    expect(status).toBe(422);
    const root = "spec.validation.openAPIV3Schema.properties[spec]";
    expect(body.details.causes.map(({ field }: { field: string }) => field)).toEqual([
      `${root}.properties[a].items`,
      `${root}.properties[b].pattern`,
      `${root}.type`,
    ]);
    const twice = widgets(schema, {}, { versions: [] });
    expect((await api.call("POST", definitions, twice)).body.message).toContain(
      "must have exactly one version marked as storage version",
    );
  });
});

describe("a custom resource", () => {
  it("is pruned, defaulted and validated", async () => {
    await install(api, widgets(schema));
    const made = await api.call("POST", collection, widget({ size: 2, extra: 1, free: { any: [1] }, port: "http" }));
    expect(made.status).toBe(201);
    expect(made.headers["warning"]).toContain('unknown field \\"spec.extra\\"');
    expect(made.body).toMatchObject({ metadata: { generation: 1, namespace: "default" } });
    expect(made.body.spec).toEqual({ size: 2, color: "red", free: { any: [1] }, port: "http" });

    const strict = await api.call("POST", `${collection}?fieldValidation=Strict`, widget({ size: 2, extra: 1 }));
    expect(strict.status).toBe(400);
    expect(strict.body.message).toBe(
      'Widget in version "v1" cannot be handled as a Widget: strict decoding error: unknown field "spec.extra"',
    );
    const wrong = await api.call(
      "POST",
      collection,
      widget({ size: "big", color: "blue", name: "TOOLONG", parts: [{ name: "a" }, { name: "a" }] }),
    );
    expect(wrong.status).toBe(422);
    expect(wrong.body.message).toBe(
      'Widget.acme.io "w" is invalid: [' +
        'spec.color: Unsupported value: "blue": supported values: "red", "green", ' +
        "spec.name: Too long: may not be more than 5 bytes, " +
        "spec.name: Invalid value: \"TOOLONG\": spec.name in body should match '^[a-z]+$', " +
        'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string", ' +
        'spec.parts[1]: Duplicate value: {"name":"a"}]',
    );
    expect((await api.call("POST", collection, widget({}))).body.message).toBe(
      'Widget.acme.io "w" is invalid: spec.size: Required value',
    );
  });

  it("is updated only from a version that is named, and keeps faults that were there", async () => {
    await install(api, widgets({ type: "object", "x-kubernetes-preserve-unknown-fields": true }));
    const made = await api.call("POST", collection, { ...widget({ size: "old" }) });
    const { resourceVersion: _version, ...metadata } = made.body.metadata;
    const put = await api.call("PUT", `${collection}/w`, { ...made.body, metadata });
    expect(put.body.message).toContain("metadata.resourceVersion: Invalid value: 0");
    // A schema that what is stored does not meet.
    const before = await api.call("GET", `${definitions}/widgets.acme.io`);
    const definition = widgets(schema) as { spec: object };
    await api.call("PUT", `${definitions}/widgets.acme.io`, { ...before.body, spec: definition.spec });
    await eventually(api, "/openapi/v3/apis/acme.io/v1", ({ text }) => text.includes("How big."));
    const read = await api.call("GET", `${collection}/w`);
    expect(read.body.spec).toEqual({ size: "old", color: "red" });
    const labelled = await api.call("PATCH", `${collection}/w`, { metadata: { labels: { a: "b" } } }, mergePatch);
    expect(labelled.status).toBe(200);
    const still = await api.call("PATCH", `${collection}/w`, { spec: { size: "older" } }, mergePatch);
    expect(still.status).toBe(422);
  });

  it("has a status and a scale of its own", async () => {
    await install(api, widgets(schema, { subresources: { status: {}, scale } }));
    const made = await api.call("POST", collection, { ...widget({ size: 1, replicas: 2 }), status: { replicas: 9 } });
    expect(made.body.status).toBeUndefined();
    const status = await api.call(
      "PATCH",
      `${collection}/w/status`,
      { spec: { size: 5 }, status: { replicas: 1, selector: "a=b" } },
      mergePatch,
    );
    expect(status.body).toMatchObject({ spec: { size: 1 }, status: { replicas: 1 }, metadata: { generation: 1 } });
    // A controller that writes what is there already does not wake itself.
    const same = await api.call("PATCH", `${collection}/w/status`, { status: { replicas: 1 } }, mergePatch);
    expect(same.body.metadata.resourceVersion).toBe(status.body.metadata.resourceVersion);
    const shown = await api.call("GET", `${collection}/w/scale`);
    expect(shown.body).toMatchObject({
      kind: "Scale",
      spec: { replicas: 2 },
      status: { replicas: 1, selector: "a=b" },
    });
    await api.call("PATCH", `${collection}/w/scale`, { spec: { replicas: 7 } }, mergePatch);
    expect((await api.call("GET", `${collection}/w`)).body).toMatchObject({
      spec: { replicas: 7 },
      status: { replicas: 1 },
      metadata: { generation: 2 },
    });
  });

  it("is shown in its columns and selected by its fields", async () => {
    const additionalPrinterColumns = [
      { name: "Size", type: "integer", jsonPath: ".spec.size" },
      { name: "Color", type: "string", jsonPath: ".spec.color", priority: 1 },
    ];
    const selectableFields = [{ jsonPath: ".spec.color" }];
    await install(api, widgets(schema, { additionalPrinterColumns, selectableFields }));
    await api.call("POST", collection, widget({ size: 3 }));
    await api.call("POST", collection, widget({ size: 4, color: "green" }, { name: "g" }));
    const table = await api.call("GET", collection, undefined, {
      headers: { accept: "application/json;as=Table;g=meta.k8s.io;v=v1" },
    });
    expect(table.body.columnDefinitions.map(({ name }: { name: string }) => name)).toEqual(["Name", "Size", "Color"]);
    expect(table.body.rows.map(({ cells }: { cells: unknown[] }) => cells)).toEqual([
      ["g", 4, "green"],
      ["w", 3, "red"],
    ]);
    const green = await api.call("GET", `${collection}?fieldSelector=spec.color%3Dgreen`);
    expect(green.body.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name)).toEqual(["g"]);
    expect((await api.call("GET", `${collection}?fieldSelector=spec.size%3D3`)).status).toBe(400);
  });

  it("cannot be patched strategically", async () => {
    await install(api, widgets(schema));
    await api.call("POST", collection, widget({ size: 3 }));
    const headers = { "content-type": "application/strategic-merge-patch+json" };
    const patched = await api.call("PATCH", `${collection}/w`, { spec: { size: 4 } }, { headers });
    expect(patched.status).toBe(415);
  });
});

describe("several versions", () => {
  const versions = [
    { name: "v1", served: true, storage: true, schema: { openAPIV3Schema: schema } },
    {
      name: "v1beta1",
      served: true,
      storage: false,
      deprecated: true,
      schema: { openAPIV3Schema: schema },
    },
  ];
  const beta = collection.replace("/v1/", "/v1beta1/");

  it("show the same objects", async () => {
    await install(api, widgets(schema, {}, { versions }));
    const made = await api.call("POST", beta, { ...widget({ size: 1 }), apiVersion: "acme.io/v1beta1" });
    expect(made.body.apiVersion).toBe("acme.io/v1beta1");
    expect(made.headers["warning"]).toBe('299 - "acme.io/v1beta1 Widget is deprecated"');
    expect((await api.call("GET", `${collection}/w`)).body).toMatchObject({
      apiVersion: "acme.io/v1",
      spec: { size: 1 },
    });
    const list = await api.call("GET", beta);
    expect(list.body).toMatchObject({
      apiVersion: "acme.io/v1beta1",
      kind: "WidgetList",
      items: [{ apiVersion: "acme.io/v1beta1" }],
    });
    const watch = await api.watch(`${beta}?watch=1`);
    expect((await watch.next())?.object).toMatchObject({ apiVersion: "acme.io/v1beta1" });
    watch.stop();
    const group = await api.call("GET", "/apis/acme.io");
    expect(group.body.preferredVersion.version).toBe("v1");
    expect(group.body.versions.map(({ version }: { version: string }) => version)).toEqual(["v1", "v1beta1"]);
  });

  it("may store old objects in an old version", async () => {
    await install(api, widgets(schema, {}, { versions }));
    await api.call("POST", collection, widget({ size: 1 }));
    const before = await api.call("GET", `${definitions}/widgets.acme.io`);
    const spec = { ...before.body.spec, versions: versions.map((one) => ({ ...one, storage: !one.storage })) };
    const changed = await api.call("PUT", `${definitions}/widgets.acme.io`, { ...before.body, spec });
    expect(changed.body.status.storedVersions).toEqual(["v1", "v1beta1"]);
    await eventually(api, "/openapi/v3", () => true);
    await api.call("POST", collection, widget({ size: 2 }, { name: "x" }));
    const list = await api.call("GET", collection);
    expect(
      list.body.items.map(({ apiVersion, spec: { size } }: { apiVersion: string; spec: { size: number } }) => [
        apiVersion,
        size,
      ]),
    ).toEqual([
      ["acme.io/v1", 1],
      ["acme.io/v1", 2],
    ]);
    const patched = await api.call("PATCH", `${collection}/w`, { spec: { size: 3 } }, mergePatch);
    expect(patched.body).toMatchObject({ apiVersion: "acme.io/v1", spec: { size: 3 } });
    const dropped = await api.call("GET", `${definitions}/widgets.acme.io`);
    const only = { ...dropped.body.spec, versions: [spec.versions[1]] };
    const refused = await api.call("PUT", `${definitions}/widgets.acme.io`, { ...dropped.body, spec: only });
    expect(refused.body.message).toContain("must remain in spec.versions until a storage migration");
  });
});

describe("rules", () => {
  const rules = (spec: JsonSchema): JsonSchema => ({ type: "object", properties: { spec } });
  const spec: JsonSchema = {
    type: "object",
    "x-kubernetes-validations": [
      { rule: "self.min <= self.max", message: "min must not be above max", fieldPath: ".min" },
      { rule: "!has(oldSelf.fixed) || self.fixed == oldSelf.fixed", messageExpression: "'fixed is ' + oldSelf.fixed" },
      { rule: "!has(self.word) || self.word != 'no'", reason: "FieldValueForbidden" },
      { rule: "oldSelf.hasValue() || self.min == 0", optionalOldSelf: true, message: "must begin with 0" },
    ],
    properties: {
      min: { type: "integer", default: 0 },
      max: { type: "integer", default: 10 },
      fixed: { type: "string", maxLength: 10 },
      word: { type: "string", maxLength: 10 },
    },
  };

  it("hold for what is written, and transitions for what was there before", async () => {
    await install(api, widgets(rules(spec)));
    const wrong = await api.call("POST", collection, widget({ min: 5, max: 1, word: "no" }));
    expect(wrong.body.message).toBe(
      'Widget.acme.io "w" is invalid: [spec.min: Invalid value: min must not be above max, ' +
        "spec: Forbidden: failed rule: !has(self.word) || self.word != 'no', spec: Invalid value: must begin with 0]",
    );
    expect((await api.call("POST", collection, widget({ fixed: "a" }))).status).toBe(201);
    const changed = await api.call("PATCH", `${collection}/w`, { spec: { fixed: "b", min: 3 } }, mergePatch);
    expect(changed.body.message).toBe('Widget.acme.io "w" is invalid: spec: Invalid value: fixed is a');
    const blocked = await api.call("POST", collection, widget({ min: "x" }, { name: "x" }));
    expect(blocked.body.message).toContain("some validation rules were not checked because the object was invalid");
  });

  it("are refused with the definition when they do not compile, can not be followed or cost too much", async () => {
    const bad: JsonSchema = {
      type: "object",
      properties: {
        a: { type: "string", "x-kubernetes-validations": [{ rule: "self > 1" }, { rule: "self" }, { rule: " " }] },
      },
    };
    const answer = await api.call("POST", definitions, widgets(rules(bad)));
    expect(answer.status).toBe(422);
    expect(answer.body.message).toContain("rule is not specified");
    const two = {
      ...bad,
      properties: { a: { type: "string", "x-kubernetes-validations": [{ rule: "self > 1" }, { rule: "self" }] } },
    };
    const compile = await api.call("POST", definitions, widgets(rules(two)));
    expect(compile.body.message).toContain("compilation failed: ERROR: <input>:1:6: found no matching overload");
    expect(compile.body.message).toContain("cel expression must evaluate to a bool");
    const listed: JsonSchema = {
      type: "object",
      properties: {
        list: {
          type: "array",
          maxItems: 5,
          items: { type: "string", maxLength: 5, "x-kubernetes-validations": [{ rule: "self == oldSelf" }] },
        },
      },
    };
    const uncorrelated = await api.call("POST", definitions, widgets(rules(listed)));
    expect(uncorrelated.body.message).toContain(
      "oldSelf cannot be used on the uncorrelatable portion of the schema within",
    );
    const costly: JsonSchema = {
      type: "object",
      properties: {
        list: {
          type: "array",
          items: { type: "string" },
          "x-kubernetes-validations": [{ rule: "self.all(a, self.all(b, a == b))" }],
        },
      },
    };
    const cost = await api.call("POST", definitions, widgets(rules(costly)));
    expect(cost.body.message).toContain("estimated rule cost exceeds budget by factor of more than 100x");
  });
});
