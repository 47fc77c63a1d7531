import { describe, expect, it } from "vitest";
import {
  bool,
  compileExpression,
  describeType,
  escapeProperty,
  toJson,
  typeOfSchema,
  valueOf,
  type CelSchema,
} from "./index.ts";

const schema = {
  type: "object",
  properties: {
    count: { type: "integer", format: "int64" },
    ratio: { type: "number" },
    name: { type: "string" },
    data: { type: "string", format: "byte" },
    at: { type: "string", format: "date-time" },
    day: { type: "string", format: "date" },
    wait: { type: "string", format: "duration" },
    port: { "x-kubernetes-int-or-string": true },
    maybe: { type: "string", nullable: true },
    free: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
    any: { "x-kubernetes-preserve-unknown-fields": true },
    tags: { type: "array", items: { type: "string" }, "x-kubernetes-list-type": "set" },
    ports: {
      type: "array",
      items: { type: "object", properties: { name: { type: "string" }, port: { type: "integer" } } },
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
    },
    labels: { type: "object", additionalProperties: { type: "string" } },
    namespace: { type: "string" },
    "a-b": { type: "string" },
    "a.b": { type: "string" },
    a__b: { type: "string" },
    "1x": { type: "string" },
    embedded: { type: "object", "x-kubernetes-embedded-resource": true },
  },
} as unknown as CelSchema;

const run = (rule: string, raw: object, old: object = raw, root = false): unknown => {
  const type = typeOfSchema(schema, { root });
  if (!type) throw new Error("no type");
  const compiled = compileExpression(rule, { variables: { self: type, oldSelf: type } });
  if (!compiled.ok) return compiled.message.split("\n")[0]?.replace(/^ERROR: <input>:\d+:\d+: /, "");
  const result = compiled.evaluate({ self: valueOf(raw, type), oldSelf: valueOf(old, type) });
  return result.error ?? result.costExceeded ?? toJson(result.value ?? null);
};

describe("values of a schema", () => {
  it.each<[string, object, unknown]>([
    ["self.count == 9007199254740991 && type(self.count) == int", { count: 9007199254740991 }, true],
    ["self.ratio == 2.0 && type(self.ratio) == double", { ratio: 2 }, true],
    ["self.data == b'hello'", { data: "aGVsbG8=" }, true],
    ["self.at + duration('1h') == timestamp('2024-01-01T01:00:00Z')", { at: "2024-01-01T00:00:00Z" }, true],
    ["self.day.getMonth() == 1", { day: "2024-02-03" }, true],
    ["self.wait > duration('59s')", { wait: "1m" }, true],
    ["self.port == 80 || self.port == '80%'", { port: 80 }, true],
    ["type(self.port) == string", { port: "http" }, true],
    ["type(self.port) == int ? self.port < 1024 : self.port.endsWith('%')", { port: "10%" }, true],
    [
      "has(self.maybe) && self.maybe == null",
      { maybe: null },
      "found no matching overload for '_==_' applied to '(string, null)'",
    ],
    ["has(self.maybe) && dyn(self.maybe) == null", { maybe: null }, true],
    ["has(self.name)", {}, false],
    ["self.name", {}, "no such key: name"],
    ["self.free.x", {}, "undefined field 'x'"],
    ["has(self.any)", {}, "undefined field 'any'"],
    ["self.tags == ['b', 'a']", { tags: ["a", "b"] }, true],
    ["self.tags + ['a', 'c'] == ['a', 'b', 'c']", { tags: ["a", "b"] }, true],
    ["self.labels.all(k, k == self.labels[k])", { labels: { a: "a" } }, true],
    ["self.labels['x-y'] == 'z' && !('q' in self.labels) && self.labels.size() == 1", { labels: { "x-y": "z" } }, true],
    ["self.__namespace__ == 'n'", { namespace: "n" }, true],
    ["self.namespace", {}, "undefined field 'namespace'"],
    ["self.a__dash__b + self.a__dot__b + self.a__underscores__b", { "a-b": "1", "a.b": "2", a__b: "3" }, "123"],
    ["self.embedded.kind + self.embedded.metadata.name", { embedded: { kind: "K", metadata: { name: "n" } } }, "Kn"],
    ["self.embedded.metadata.labels", {}, "undefined field 'labels'"],
    ["self.kind", {}, "undefined field 'kind'"],
    ["self == oldSelf", { name: "a", labels: { x: "y" } }, true],
    ["self.count", { count: "x" }, "invalid data, expected int64 but got string"],
  ])("%s", (rule, raw, expected) => {
    expect(run(rule, raw)).toEqual(expected);
  });

  it("lists of type map are equal in any order, and merged by their keys", () => {
    const ports = [
      { name: "a", port: 1 },
      { name: "b", port: 2 },
    ];
    expect(run("self.ports == oldSelf.ports", { ports }, { ports: [...ports].reverse() })).toBe(true);
    expect(run("self.ports == oldSelf.ports", { ports }, { ports: [ports[0], { name: "b", port: 3 }] })).toBe(false);
    const merged = run(
      "self.ports + oldSelf.ports",
      { ports },
      {
        ports: [
          { name: "c", port: 3 },
          { name: "a", port: 9 },
        ],
      },
    );
    expect(merged).toEqual([
      { name: "a", port: 9 },
      { name: "b", port: 2 },
      { name: "c", port: 3 },
    ]);
  });

  it("a whole object has kind and metadata.name, whatever its schema says", () => {
    const raw = { apiVersion: "v1", kind: "K", metadata: { name: "n", labels: {} } };
    expect(run("self.apiVersion + self.kind + self.metadata.name", raw, raw, true)).toBe("v1Kn");
    expect(run("self.metadata.labels", raw, raw, true)).toBe("undefined field 'labels'");
  });

  it("the same may be written as a result", () => {
    const compiled = compileExpression("1", { variables: {}, resultType: bool });
    expect(compiled).toMatchObject({ ok: false, reason: "result", message: "must evaluate to bool but got int" });
    expect(compileExpression("dyn(1)", { variables: {}, resultType: bool }).ok).toBe(true);
  });

  it("names", () => {
    expect(["a/b", "in", "__x", "1a", "a b", "while"].map(escapeProperty)).toEqual([
      "a__slash__b",
      "__in__",
      "__underscores__x",
      undefined,
      undefined,
      "__while__",
    ]);
    const type = typeOfSchema(schema);
    expect(type && describeType(type)).toBe("object");
  });
});
