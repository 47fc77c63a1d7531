import { afterEach, expect, it } from "vitest";
import type { JsonSchema, KubeObject } from "../../kube/index.ts";
import { createMemoryStore } from "../../store/index.ts";
import { createFakeEgress, type FakeAnswer } from "../egress/fake-egress.ts";
import { mergePatch, startTestApi, type TestApi } from "../test-api.ts";
import { collection, definitions, eventually, install, widgets } from "./testing.ts";

let running: TestApi[] = [];
afterEach(async () => {
  for (const api of running) await api.stop();
  running = [];
});
const start = async (options: Parameters<typeof startTestApi>[0]): Promise<TestApi> => {
  const api = await startTestApi(options);
  running.push(api);
  return api;
};

const specOf = (spec: JsonSchema): object => ({
  openAPIV3Schema: { type: "object", properties: { spec } },
});
const v1 = {
  type: "object",
  required: ["size"],
  properties: { size: { type: "integer" }, color: { type: "string", default: "red" } },
};
const v2 = {
  type: "object",
  required: ["width"],
  properties: { width: { type: "integer" }, color: { type: "string", default: "blue" } },
};
const versions = [
  { name: "v1", served: true, storage: true, schema: specOf(v1) },
  { name: "v2", served: true, storage: false, schema: specOf(v2) },
];
const webhook = {
  conversionReviewVersions: ["v1"],
  clientConfig: { service: { namespace: "default", name: "converter", path: "/convert" } },
};
const converted = collection.replace("/v1/", "/v2/");

interface Review {
  readonly request: {
    readonly uid: string;
    readonly desiredAPIVersion: string;
    readonly objects: readonly (KubeObject & { spec: Record<string, unknown> })[];
  };
}
const answer = ({ request }: Review): FakeAnswer => {
  const wanted = request.desiredAPIVersion;
  const convertedObjects = request.objects.map((object) => {
    const { size, width, ...spec } = object.spec;
    const field = wanted === "acme.io/v2" ? { width: size ?? width } : { size: width ?? size };
    return { ...object, apiVersion: wanted, spec: { ...spec, ...field } };
  });
  return {
    body: {
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "ConversionReview",
      response: { uid: request.uid, result: { status: "Success" }, convertedObjects },
    },
  };
};
const widget = (version: string, name: string, spec: object): object => ({
  apiVersion: `acme.io/${version}`,
  kind: "Widget",
  metadata: { name },
  spec,
});

it("asks a webhook to turn objects of one version into another", async () => {
  const egress = createFakeEgress((_origin, _request, body) => answer(body as Review));
  const api = await start({ egress });
  await install(api, widgets({}, {}, { versions, conversion: { strategy: "Webhook", webhook } }));
  await api.call("POST", collection, widget("v1", "a", { size: 1 }));
  expect(egress.sent).toHaveLength(0);
  const made = await api.call("POST", converted, widget("v2", "b", { width: 2 }));
  expect(made.body).toMatchObject({ apiVersion: "acme.io/v2", spec: { width: 2, color: "blue" } });
  expect(egress.sent[0]).toMatchObject({
    origin: "https://converter.default.svc:443",
    request: { path: "/convert?timeout=30s" },
  });
  expect((await api.call("GET", `${collection}/b`)).body.spec).toEqual({ size: 2, color: "blue" });

  // What a version does not meet is refused in its own words.
  expect((await api.call("POST", converted, widget("v2", "c", { size: 2 }))).body.message).toContain(
    "spec.width: Required value",
  );
  const before = egress.sent.length;
  const list = await api.call("GET", converted);
  expect(list.body.items.map(({ spec }: { spec: object }) => spec)).toEqual([
    { width: 1, color: "red" },
    { width: 2, color: "blue" },
  ]);
  // Both, or what was not asked for before, in one request.
  expect(egress.sent.length - before).toBeLessThanOrEqual(1);
  const patched = await api.call("PATCH", `${converted}/a`, { spec: { width: 7 } }, mergePatch);
  expect(patched.body.spec).toEqual({ width: 7, color: "red" });
  expect((await api.call("GET", `${collection}/a`)).body.spec).toEqual({ size: 7, color: "red" });
  const watch = await api.watch(`${converted}?watch=1`);
  expect((await watch.next())?.object).toMatchObject({ apiVersion: "acme.io/v2", spec: { width: 7 } });
  await api.call("PATCH", `${collection}/a`, { spec: { size: 8 } }, mergePatch);
  await watch.next();
  expect((await watch.next())?.object).toMatchObject({ apiVersion: "acme.io/v2", spec: { width: 8 } });
  watch.stop();
});

it("says what a webhook did wrong", async () => {
  let wrong: FakeAnswer = { body: { response: {} } };
  const egress = createFakeEgress(() => wrong);
  const api = await start({ egress });
  await install(api, widgets({}, {}, { versions, conversion: { strategy: "Webhook", webhook } }));
  await api.call("POST", collection, widget("v1", "a", { size: 1 }));
  const asked = await api.call("GET", `${converted}/a`);
  expect(asked.status).toBe(500);
  expect(asked.body.message).toContain("conversion webhook for acme.io/v1, Kind=Widget failed: expected response.uid=");
  wrong = { status: 503, body: "no" };
  expect((await api.call("GET", converted)).body.message).toContain("the server answered with status 503");
  wrong = { body: "not json" };
  expect((await api.call("GET", converted)).status).toBe(500);
  // The version that is stored needs no one.
  expect((await api.call("GET", `${collection}/a`)).status).toBe(200);
});

it("serves what was defined before it was started", async () => {
  const store = createMemoryStore();
  const first = await startTestApi({ store: { ...store, close: () => Promise.resolve() } });
  await install(first, widgets({ type: "object", "x-kubernetes-preserve-unknown-fields": true }));
  await first.call("POST", collection, widget("v1", "a", { size: 1 }));
  await first.stop();
  const second = await start({ store });
  expect((await second.call("GET", `${collection}/a`)).body.spec).toEqual({ size: 1 });
  expect((await second.call("GET", "/apis/acme.io/v1")).status).toBe(200);
});

it("loses nothing while the definition changes under those who write", async () => {
  const api = await start({});
  await install(api, widgets({ type: "object", "x-kubernetes-preserve-unknown-fields": true }));
  const names = new Set<string>();
  let over = false;
  const writer = async (id: number): Promise<void> => {
    for (let i = 0; !over; i++) {
      const name = `w${id}-${i}`;
      const { status } = await api.call("POST", collection, widget("v1", name, { size: i }));
      if (status === 201) names.add(name);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const writers = [0, 1, 2].map(writer);
  for (let i = 0; i < 10; i++) {
    const properties = {
      spec: { type: "object", "x-kubernetes-preserve-unknown-fields": true, description: `change ${i}` },
    };
    const patch = {
      spec: {
        versions: [
          { name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object", properties } } },
        ],
      },
    };
    expect((await api.call("PATCH", `${definitions}/widgets.acme.io`, patch, mergePatch)).status).toBe(200);
    await eventually(api, "/openapi/v3/apis/acme.io/v1", ({ text }) => text.includes(`change ${i}`));
    // Each state of the definition sees some of the writes.
    for (const goal = names.size + 3; names.size < goal;) await new Promise((resolve) => setImmediate(resolve));
  }
  over = true;
  await Promise.all(writers);
  const { body } = await api.call("GET", collection);
  expect(names.size).toBeGreaterThanOrEqual(30);
  expect(new Set(body.items.map(({ metadata }: KubeObject) => metadata.name))).toEqual(names);
});
