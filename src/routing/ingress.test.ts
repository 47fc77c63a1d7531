import { describe, expect, test } from "vitest";
import { match } from "./match.ts";
import { ingress, to, type PathRule, rule, translate, reached } from "./testing.ts";

describe("path types, by the table of the Ingress documentation", () => {
  // Paths of one Ingress, and which Service (a: first path, b: second, c: third) a request reaches; d is the default backend.
  test.each<[rules: [string, string][], request: string, service: string]>([
    [[["Prefix", "/"]], "/", "a"],
    [[["Prefix", "/"]], "/any/path", "a"],
    [[["Exact", "/foo"]], "/foo", "a"],
    [[["Exact", "/foo"]], "/bar", "d"],
    [[["Exact", "/foo"]], "/foo/", "d"],
    [[["Exact", "/foo/"]], "/foo", "d"],
    [[["Exact", "/foo/"]], "/foo/", "a"],
    [[["Prefix", "/foo"]], "/foo", "a"],
    [[["Prefix", "/foo"]], "/foo/", "a"],
    [[["Prefix", "/foo/"]], "/foo", "a"],
    [[["Prefix", "/foo/"]], "/foo/", "a"],
    [[["Prefix", "/aaa/bb"]], "/aaa/bbb", "d"],
    [[["Prefix", "/aaa/bbb"]], "/aaa/bbb", "a"],
    [[["Prefix", "/aaa/bbb/"]], "/aaa/bbb", "a"],
    [[["Prefix", "/aaa/bbb"]], "/aaa/bbb/", "a"],
    [[["Prefix", "/aaa/bbb"]], "/aaa/bbb/ccc", "a"],
    [[["Prefix", "/aaa/bbb"]], "/aaa/bbbxyz", "d"],
    [
      [
        ["Prefix", "/"],
        ["Prefix", "/aaa"],
      ],
      "/aaa/ccc",
      "b",
    ],
    [
      [
        ["Prefix", "/"],
        ["Prefix", "/aaa"],
        ["Prefix", "/aaa/bbb"],
      ],
      "/aaa/bbb",
      "c",
    ],
    [
      [
        ["Prefix", "/"],
        ["Prefix", "/aaa"],
        ["Prefix", "/aaa/bbb"],
      ],
      "/ccc",
      "a",
    ],
    [[["Prefix", "/aaa"]], "/ccc", "d"],
    [
      [
        ["Prefix", "/foo"],
        ["Exact", "/foo"],
      ],
      "/foo",
      "b",
    ],
    [
      [
        ["Exact", "/foo"],
        ["Prefix", "/foo"],
      ],
      "/foo",
      "a",
    ],
    // Beyond the table.
    [
      [
        ["Exact", "/foo"],
        ["Prefix", "/foo"],
      ],
      "/foo/",
      "b",
    ],
    [
      [
        ["Exact", "/foo/"],
        ["Prefix", "/foo"],
      ],
      "/foo/",
      "a",
    ],
    [
      [
        ["Exact", "/"],
        ["Prefix", "/"],
      ],
      "/",
      "a",
    ],
    [[["Exact", "/"]], "/x", "d"],
    [[["Prefix", "/foo"]], "/FOO", "d"],
    [[["Exact", "/foo"]], "/Foo", "d"],
    [[["ImplementationSpecific", "/foo"]], "/foo/bar", "a"],
    [[["ImplementationSpecific", "/foo"]], "/foobar", "d"],
    [
      [
        ["Prefix", "/aaa"],
        ["Prefix", "/aaa/bbb/ccc"],
      ],
      "/aaa/bbb",
      "a",
    ],
    [
      [
        ["Prefix", "/aaa"],
        ["Prefix", "/aaa/bbb/ccc"],
      ],
      "/aaa/bbb/ccc/ddd/eee",
      "b",
    ],
    [[["Prefix", "/foo"]], "/x/../foo", "a"],
    [[["Prefix", "/foo"]], "/foo/../bar", "d"],
    [[["Prefix", "/foo"]], "/%66oo", "a"],
    [[["Prefix", "/foo"]], "/foo%2Fbar", "d"],
    [[["Prefix", "/foo"]], "//foo", "d"],
    [[["Prefix", "/foo"]], "/foo//bar", "a"],
    [[["Exact", "/é"]], "/%C3%A9", "a"],
    [[["Prefix", "/.*"]], "/anything", "d"],
  ])("%j: %s reaches %s", (rules, request, expected) => {
    const names = ["a", "b", "c"];
    const paths = rules.map(([type, path], index): PathRule => [type, path, names[index] ?? ""]);
    const translation = translate([ingress("one", { defaultBackend: to("d"), rules: [rule("foo.com", ...paths)] })]);
    expect(reached(translation, "foo.com", request)).toBe(expected);
    expect(translation.problems).toEqual([]);
  });

  test("a path that is left out stands for all", () => {
    const one = ingress("one", { rules: [rule("foo.com", ["ImplementationSpecific", undefined, "a"])] });
    expect(reached(translate([one]), "foo.com", "/x/y")).toBe("a");
  });

  test("a path of thousands of slashes is cut short", () => {
    const one = ingress("one", { rules: [rule("foo.com", ["Prefix", "/a", "a"])] });
    expect(reached(translate([one]), "foo.com", `/a${"/".repeat(30_000)}`)).toBe("a");
  });
});

describe("hosts", () => {
  const all = [
    ingress("one", {
      rules: [
        rule("foo.bar.com", ["Prefix", "/x", "a"]),
        rule("*.bar.com", ["Prefix", "/", "b"]),
        rule(undefined, ["Prefix", "/", "c"]),
      ],
    }),
  ];
  test.each([
    ["foo.bar.com", "/x", "a"],
    ["FOO.bar.com:8080", "/x", "a"],
    ["foo.bar.com.", "/x", "a"],
    ["other.bar.com", "/x", "b"],
    ["a.b.bar.com", "/", "c"],
    ["bar.com", "/", "c"],
    ["", "/", "c"],
    ["10.0.0.1", "/", "c"],
    // The most specific host decides alone.
    ["foo.bar.com", "/y", undefined],
  ])("%s%s reaches %s", (host, path, expected) => {
    expect(reached(translate(all), host, path)).toBe(expected);
  });

  test("a rule without paths leaves its host to the default backend", () => {
    const one = ingress("one", {
      defaultBackend: to("d"),
      rules: [{ host: "foo.com" }, rule(undefined, ["Prefix", "/", "a"])],
    });
    expect(reached(translate([one]), "foo.com", "/")).toBe("d");
    expect(reached(translate([one]), "other.com", "/")).toBe("a");
  });

  test("a wrong host is a problem and harms no other rule", () => {
    const one = ingress("one", {
      rules: [rule("foo_com/$(x)", ["Prefix", "/", "a"]), rule("foo.com", ["Prefix", "/", "b"])],
    });
    const translation = translate([one]);
    expect(translation.problems).toMatchObject([{ reason: "InvalidHost", field: "spec.rules[0].host" }]);
    expect(reached(translation, "foo.com", "/")).toBe("b");
  });

  test("why a route was taken is told", () => {
    expect(match(translate(all).model, { host: "x.bar.com", path: "/" })).toMatchObject({
      outcome: "route",
      why: { host: "wildcard", path: "prefix" },
      route: {
        owner: { object: { kind: "Ingress", namespace: "ns", name: "one" }, field: "spec.rules[1].http.paths[0]" },
      },
    });
  });
});

describe("default backends", () => {
  test("an Ingress without rules takes everything", () => {
    const translation = translate([ingress("all", { defaultBackend: to("a") })]);
    expect(reached(translation, "any.host", "/any/path")).toBe("a");
  });

  test("each host goes to the default backend of the Ingress that names it", () => {
    const translation = translate([
      ingress("one", { defaultBackend: to("a"), rules: [rule("one.com", ["Exact", "/x", "c"])] }),
      ingress("two", { defaultBackend: to("b"), rules: [rule("two.com", ["Exact", "/x", "c"])] }),
      ingress("zero", { defaultBackend: to("d") }),
    ]);
    expect(reached(translation, "one.com", "/")).toBe("a");
    expect(reached(translation, "two.com", "/")).toBe("b");
    expect(reached(translation, "three.com", "/")).toBe("d");
    expect(translation.problems).toEqual([]);
  });

  test("of two for everything the older wins, and the other is told", () => {
    const translation = translate([
      ingress("younger", { defaultBackend: to("a") }, { created: "2031-01-01T00:00:00Z" }),
      ingress("older", { defaultBackend: to("b") }),
    ]);
    expect(reached(translation, "x.com", "/")).toBe("b");
    expect(translation.problems).toMatchObject([
      { reason: "Conflict", object: { name: "younger" }, field: "spec.defaultBackend" },
    ]);
  });
});

describe("conflicts", () => {
  const same = { rules: [rule("foo.com", ["Prefix", "/x", "a"] as PathRule)] };
  const other = { rules: [rule("foo.com", ["Prefix", "/x/", "b"] as PathRule, ["Prefix", "/y", "b"] as PathRule)] };

  test("the oldest keeps host and path, and the rest of the other works", () => {
    const translation = translate([ingress("z", same), ingress("a", other, { created: "2031-01-01T00:00:00Z" })]);
    expect(reached(translation, "foo.com", "/x")).toBe("a");
    expect(reached(translation, "foo.com", "/y")).toBe("b");
    expect(translation.problems).toMatchObject([
      { reason: "Conflict", object: { name: "a" }, field: "spec.rules[0].http.paths[0]" },
    ]);
  });

  test("of the same age the first by name", () => {
    expect(reached(translate([ingress("z", same), ingress("a", other)]), "foo.com", "/x")).toBe("b");
  });

  test("two that say the same do not conflict", () => {
    expect(translate([ingress("z", same), ingress("a", same)]).problems).toEqual([]);
  });
});
