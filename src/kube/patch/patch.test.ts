import { describe, expect, it } from "vitest";
import { resources } from "../resource.ts";
import { StatusError } from "../status.ts";
import { applyJsonPatch } from "./json-patch.ts";
import { applyMergePatch, threeWayMergePatch } from "./merge-patch.ts";
import { applyStrategicPatch } from "./strategic-patch.ts";

const failure = (action: () => unknown): { code: number; text: string | undefined } => {
  try {
    action();
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    const why = error.cause instanceof Error ? error.cause.message : undefined;
    return { code: error.code, text: why ?? error.status.message };
  }
  throw new Error("no error");
};

describe("JSON patch (RFC 6902)", () => {
  const document = { a: { b: [1, 2, 3], "x/y": 1, "m~n": 2 }, n: null };
  it.each<[object[], unknown]>([
    [[{ op: "add", path: "/a/c", value: 1 }], { ...document, a: { ...document.a, c: 1 } }],
    [[{ op: "add", path: "/a/b/1", value: 9 }], { ...document, a: { ...document.a, b: [1, 9, 2, 3] } }],
    [[{ op: "add", path: "/a/b/-", value: 9 }], { ...document, a: { ...document.a, b: [1, 2, 3, 9] } }],
    [[{ op: "add", path: "/a/b/3", value: 9 }], { ...document, a: { ...document.a, b: [1, 2, 3, 9] } }],
    [[{ op: "remove", path: "/a/b/0" }], { ...document, a: { ...document.a, b: [2, 3] } }],
    [[{ op: "remove", path: "/a" }], { n: null }],
    [[{ op: "replace", path: "/a/x~1y", value: 5 }], { ...document, a: { ...document.a, "x/y": 5 } }],
    [[{ op: "replace", path: "/a/m~0n", value: 5 }], { ...document, a: { ...document.a, "m~n": 5 } }],
    [[{ op: "replace", path: "", value: { z: 1 } }], { z: 1 }],
    [[{ op: "move", from: "/a/b", path: "/c" }], { a: { "x/y": 1, "m~n": 2 }, n: null, c: [1, 2, 3] }],
    [[{ op: "copy", from: "/a/b", path: "/c" }], { ...document, c: [1, 2, 3] }],
    [[{ op: "test", path: "/a/b", value: [1, 2, 3] }], document],
    [[{ op: "test", path: "/n", value: null }], document],
    [[{ op: "test", path: "/missing", value: null }], document],
  ])("%j", (patch, expected) => {
    const before = structuredClone(document);
    expect(applyJsonPatch(document, patch)).toEqual(expected);
    expect(document).toEqual(before);
  });

  it.each<[unknown, number, string]>([
    [{}, 400, "json: cannot unmarshal object into Go value of type jsonpatch.Patch"],
    [[{ op: "test", path: "/a/b/0", value: 2 }], 422, "testing value /a/b/0 failed: test failed"],
    [[{ op: "test", path: "/a/b", value: [] }], 422, "testing value /a/b failed: test failed"],
    [
      [{ op: "remove", path: "/a/z" }],
      422,
      "error in remove for path: '/a/z': Unable to remove nonexistent key: z: missing value",
    ],
    [
      [{ op: "remove", path: "/z/y" }],
      422,
      'remove operation does not apply: doc is missing path: "/z/y": missing value',
    ],
    [
      [{ op: "replace", path: "/a/z", value: 1 }],
      422,
      "replace operation does not apply: doc is missing key: /a/z: missing value",
    ],
    [
      [{ op: "add", path: "/z/y", value: 1 }],
      422,
      'add operation does not apply: doc is missing path: "/z/y": missing value',
    ],
    [
      [{ op: "add", path: "/a/b/7", value: 1 }],
      422,
      "error in add for path: '/a/b/7': Unable to access invalid index: 7: invalid index referenced",
    ],
    [[{ op: "jump", path: "/a" }], 422, "Unexpected kind: jump"],
    [
      [{ op: "test", path: "/z/y", value: 1 }],
      422,
      "test operation does not apply: is missing path: /z/y: missing value",
    ],
    [
      [{ op: "test", path: "/a/b/9", value: 1 }],
      422,
      "error in test for path: '/a/b/9': Unable to access invalid index: 9: invalid index referenced",
    ],
    [
      [{ op: "move", from: "/z/y", path: "/q" }],
      422,
      "move operation does not apply: doc is missing from path: /z/y: missing value",
    ],
    [
      [{ op: "copy", from: "/a", path: "/z/y" }],
      422,
      "copy operation does not apply: doc is missing destination path: /z/y: missing value",
    ],
    [[{ op: "add", value: 1 }], 422, "operation missing path field: missing value"],
    [
      Array.from({ length: 10_001 }, () => ({ op: "test", path: "/n", value: null })),
      413,
      "The allowed maximum operations in a JSON patch is 10000, got 10001",
    ],
  ])("refuses %#", (patch, code, text) => {
    expect(failure(() => applyJsonPatch(document, patch))).toEqual({ code, text });
  });

  it("does not let a short patch double an object again and again", () => {
    const patch = Array.from({ length: 40 }, (_, i) => ({ op: "copy", from: "", path: `/c${i}` }));
    expect(failure(() => applyJsonPatch({ a: "x".repeat(100) }, patch)).text).toMatch(
      /^Unable to complete the copy, the accumulated size increase of copy is \d+, exceeding the limit 3145728$/,
    );
  });

  it("applies all or nothing", () => {
    const target = { a: 1 };
    const patch = [
      { op: "replace", path: "/a", value: 2 },
      { op: "test", path: "/a", value: 3 },
    ];
    expect(failure(() => applyJsonPatch(target, patch)).code).toBe(422);
    expect(target).toEqual({ a: 1 });
  });
});

describe("merge patch (RFC 7386)", () => {
  // The examples of the RFC's appendix A.
  it.each([
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ a: "foo" }, "bar", "bar"],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])("%j + %j", (target, patch, expected) => {
    expect(applyMergePatch(target, patch)).toEqual(expected);
  });
});

describe("three-way merge patch", () => {
  it.each<[object | undefined, object, object, object | undefined]>([
    [{ a: 1 }, { a: 1 }, { a: 1, z: 9 }, undefined],
    [{ a: 1, b: 2 }, { a: 1 }, { a: 1, b: 2, z: 9 }, { b: null }],
    [{ a: 1, b: 2 }, { a: 1 }, { a: 1 }, undefined],
    [{ a: 1 }, { a: 2 }, { a: 1 }, { a: 2 }],
    [{ a: 1 }, { a: 1 }, { a: 5 }, { a: 1 }],
    [{ m: { a: 1, b: 1 } }, { m: { a: 1 } }, { m: { a: 1, b: 1, c: 1 } }, { m: { b: null } }],
    [undefined, { l: [1] }, { l: [2] }, { l: [1] }],
    [{ m: { a: 1 } }, {}, { m: { a: 1, c: 1 } }, { m: null }],
    [{ m: { a: 1 } }, { m: {} }, { m: { a: 1, c: 1 } }, { m: { a: null } }],
  ])("%j %j %j", (original, modified, current, expected) => {
    const patch = threeWayMergePatch(original, modified, current);
    expect(patch).toEqual(expected);
  });
});

describe("strategic merge patch", () => {
  const { Service: service, Pod: pod, Deployment: deployment } = resources;
  const apply = (kind: typeof service | typeof pod | typeof deployment, target: object, patch: object) =>
    applyStrategicPatch(kind, target, patch);
  const ports = {
    spec: {
      ports: [
        { port: 80, name: "a" },
        { port: 81, name: "b" },
      ],
    },
  };

  it.each<[string, object, object, object]>([
    [
      "merges by key",
      { spec: { ports: [{ port: 81, targetPort: 8 }] } },
      ports,
      {
        spec: {
          ports: [
            { port: 80, name: "a" },
            { port: 81, name: "b", targetPort: 8 },
          ],
        },
      },
    ],
    [
      "puts what is new first",
      { spec: { ports: [{ port: 82 }] } },
      ports,
      { spec: { ports: [{ port: 82 }, { port: 80, name: "a" }, { port: 81, name: "b" }] } },
    ],
    [
      "has what it names in its order, and the rest where it was",
      { spec: { ports: [{ port: 3 }, { port: 1 }] } },
      { spec: { ports: [{ port: 1 }, { port: 2 }, { port: 3 }, { port: 4 }] } },
      { spec: { ports: [{ port: 2 }, { port: 3 }, { port: 1 }, { port: 4 }] } },
    ],
    [
      "leaves out new maps that are but a directive",
      { spec: { sessionAffinityConfig: { $patch: "delete" }, type: "NodePort" } },
      { spec: {} },
      { spec: { type: "NodePort" } },
    ],
    [
      "ignores deletions from what is no list",
      { spec: { "$deleteFromPrimitiveList/ports": 1 } },
      { spec: { ports: [{ port: 1 }] } },
      { spec: { ports: [{ port: 1 }] } },
    ],
    [
      "deletes by key",
      { spec: { ports: [{ port: 80, $patch: "delete" }] } },
      ports,
      { spec: { ports: [{ port: 81, name: "b" }] } },
    ],
    [
      "replaces a list",
      { spec: { ports: [{ $patch: "replace" }, { port: 1 }] } },
      ports,
      { spec: { ports: [{ port: 1 }] } },
    ],
    ["replaces a map", { spec: { $patch: "replace", type: "NodePort" } }, ports, { spec: { type: "NodePort" } }],
    ["deletes a map's content", { spec: { $patch: "delete" } }, ports, { spec: {} }],
    ["removes by null", { spec: { ports: null } }, ports, { spec: {} }],
    [
      "orders",
      { spec: { "$setElementOrder/ports": [{ port: 82 }, { port: 81 }, { port: 80 }], ports: [{ port: 82 }] } },
      ports,
      { spec: { ports: [{ port: 82 }, { port: 81, name: "b" }, { port: 80, name: "a" }] } },
    ],
    [
      "keeps beside its neighbours what only the server has",
      { spec: { "$setElementOrder/ports": [{ port: 82 }, { port: 81 }], ports: [{ port: 82 }] } },
      ports,
      { spec: { ports: [{ port: 82 }, { port: 80, name: "a" }, { port: 81, name: "b" }] } },
    ],
    [
      "replaces atomic lists",
      { spec: { externalIPs: ["b"] } },
      { spec: { externalIPs: ["a"] } },
      { spec: { externalIPs: ["b"] } },
    ],
  ])("%s", (_, patch, target, expected) => {
    const before = structuredClone(target);
    expect(apply(service, target, patch)).toEqual(expected);
    expect(target).toEqual(before);
  });

  it("adds to and deletes from lists of plain values", () => {
    const target = { metadata: { finalizers: ["a/x", "b/x"] } };
    expect(apply(service, target, { metadata: { finalizers: ["c/x", "a/x"] } })).toEqual({
      metadata: { finalizers: ["c/x", "a/x", "b/x"] },
    });
    expect(apply(service, target, { metadata: { "$deleteFromPrimitiveList/finalizers": ["a/x"] } })).toEqual({
      metadata: { finalizers: ["b/x"] },
    });
  });

  it("retains only the keys that the patch names", () => {
    const target = { spec: { strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1 } } } };
    const patch = { spec: { strategy: { $retainKeys: ["type"], type: "Recreate" } } };
    expect(apply(deployment, target, patch)).toEqual({ spec: { strategy: { type: "Recreate" } } });
  });

  it("reaches into containers of containers", () => {
    const target = { spec: { containers: [{ name: "a", env: [{ name: "X", value: "1" }] }] } };
    const patch = { spec: { containers: [{ name: "a", env: [{ name: "Y", value: "2" }] }] } };
    expect(apply(pod, target, patch)).toEqual({
      spec: {
        containers: [
          {
            name: "a",
            env: [
              { name: "Y", value: "2" },
              { name: "X", value: "1" },
            ],
          },
        ],
      },
    });
  });

  it.each<[object, number, string]>([
    [{ spec: { ports: [{ name: "a" }] } }, 500, "map: map[name:a] does not contain declared merge key: port"],
    [
      { spec: { ports: [{ $patch: "delete" }] } },
      500,
      "map: map[$patch:delete] does not contain declared merge key: port",
    ],
    [{ spec: { $patch: "shuffle" } }, 500, "unknown patch type: shuffle in map: map[$patch:shuffle]"],
    [{ spec: { $patch: "merge", type: "x" } }, 500, "unknown patch type: merge in map: map[$patch:merge type:x]"],
    [{ spec: { ports: [{ $patch: "merge" }] } }, 500, "merging lists cannot yet be specified in the patch"],
    [{ spec: { ports: [{ $patch: 1 }] } }, 500, "unknown patch type: %!s(int64=1) in map: map[$patch:1]"],
    [
      { spec: { ports: [1] } },
      500,
      "list element types are not identical: [[map[name:a port:80] map[name:b port:81]] [1]]",
    ],
    [
      { spec: { ports: [[]] } },
      500,
      "list element types are not identical: [[map[name:a port:80] map[name:b port:81]] [[]]]",
    ],
    [{ spec: { "$setElementOrder/ports": 1 } }, 500, "expected a []interface {}, but received a int64"],
    [
      { spec: { "$setElementOrder/ports": [{ port: 80 }], ports: null } },
      500,
      "expected a []interface {}, but received a %!s(<nil>)",
    ],
    [
      { spec: { "$setElementOrder/ports": [{ port: 80 }], ports: [{ port: 81 }] } },
      500,
      "The order in patch list:\n[map[port:81]]\n doesn't match $setElementOrder list:\n[map[port:80]]\n",
    ],
    [{ spec: { $setElementOrder: [] } }, 400, "invalid patch format of setElementOrder list"],
    [{ spec: { $deleteFromPrimitiveList: [] } }, 400, "invalid patch format of primitive list"],
    [{ spec: { $retainKeys: "x" } }, 400, "invalid patch format of retainKeys"],
    [{ spec: { $retainKeys: ["type"], clusterIP: "x" } }, 400, "invalid patch format of retainKeys"],
  ])("refuses %j", (patch, code, text) => {
    expect(failure(() => apply(service, ports, patch))).toEqual({ code, text });
  });

  it("cannot reach a prototype", () => {
    const patch = JSON.parse('{"metadata":{"labels":{"__proto__":"x"}}}') as object;
    apply(service, { metadata: { labels: {} } }, patch);
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });
});
