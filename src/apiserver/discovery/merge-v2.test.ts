import { expect, it } from "vitest";
import { documentFrom, mergeV2 } from "./merge-v2.ts";

const reference = (name: string): object => ({ $ref: `#/definitions/${name}` });
const path = (name: string): object => ({ get: { responses: { 200: { schema: reference(name) } } } });
const own = {
  paths: { "/apis/apps/v1/x": path("Meta") },
  definitions: { Meta: { type: "object" }, Thing: { type: "string" } },
};
const remote = (group: string, paths: Record<string, object>, definitions: Record<string, object>) => ({
  group,
  version: "v1",
  document: documentFrom({ swagger: "2.0", paths, definitions }),
});

it("takes what is below a server's own group, with the types that it refers to", () => {
  const merged = mergeV2(own, [
    remote(
      "g.example",
      { "/apis/g.example/v1/flunders": path("Flunder"), "/apis/apps/v1/y": path("Evil"), "/version": path("Info") },
      { Flunder: { properties: { meta: reference("Meta") } }, Meta: { type: "object" }, Evil: {}, Info: {} },
    ),
  ]);
  expect(Object.keys(merged.paths)).toEqual(["/apis/apps/v1/x", "/apis/g.example/v1/flunders"]);
  expect(Object.keys(merged.definitions)).toEqual(["Meta", "Thing", "Flunder"]);
});

it("gives another type of the same name a name of its own, and leads references to it", () => {
  const flunders = (thing: object) =>
    [
      { "/apis/g.example/v1/flunders": path("Flunder") },
      { Flunder: { items: reference("Thing") }, Thing: thing },
    ] as const;
  const merged = mergeV2(own, [
    remote("g.example", ...flunders({ type: "integer" })),
    remote("h.example", { "/apis/h.example/v1/things": path("Thing") }, { Thing: { type: "boolean" } }),
  ]);
  expect(merged.definitions).toMatchObject({
    Thing: { type: "string" },
    Thing_v2: { type: "integer" },
    Thing_v3: { type: "boolean" },
    Flunder: { items: reference("Thing_v2") },
  });
  expect(merged.paths["/apis/h.example/v1/things"]).toEqual(path("Thing_v3"));
});

it("leaves a path to who came first", () => {
  const first = remote("g.example", { "/apis/g.example/v1/a": path("A") }, { A: { type: "string" } });
  const second = remote("g.example", { "/apis/g.example/v1/a": path("B") }, { B: { type: "integer" } });
  const merged = mergeV2(own, [first, second]);
  expect(merged.paths["/apis/g.example/v1/a"]).toEqual(path("A"));
  expect(merged.definitions["B"]).toBeUndefined();
});

it("is not led astray by names and shapes", () => {
  const document = documentFrom(
    JSON.parse(
      '{"swagger":"2.0","paths":{"/apis/g.example/v1/a":{"get":{"$ref":"#/definitions/__proto__"}},"__proto__":7},"definitions":{"__proto__":{"type":"object"},"constructor":{"$ref":"#/definitions/constructor"}}}',
    ),
  );
  const merged = mergeV2(own, [{ group: "g.example", version: "v1", document }]);
  expect(Object.hasOwn(merged.definitions, "__proto__")).toBe(true);
  expect(Object.getPrototypeOf(merged.definitions)).toBe(Object.prototype);
  for (const wrong of [null, [], "x", {}, { swagger: "3.0" }])
    expect(() => documentFrom(wrong)).toThrow("no OpenAPI v2 document");
});
