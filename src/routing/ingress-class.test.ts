import { describe, expect, test } from "vitest";
import type { Ingress, IngressClass } from "../kube/index.ts";
import { ingressClass, ingress, type PathRule, rule, translate, reached } from "./testing.ts";

describe("classes", () => {
  const spec = { rules: [rule("foo.com", ["Prefix", "/", "a"] as PathRule)] };
  const theirs = ingressClass("theirs", { controller: "example.test/theirs" });

  test.each<[what: string, Ingress, IngressClass[], served: boolean]>([
    ["by name", ingress("i", { ...spec, ingressClassName: "ours" }), [ingressClass("ours")], true],
    [
      "another controller's",
      ingress("i", { ...spec, ingressClassName: "theirs" }),
      [ingressClass("ours"), theirs],
      false,
    ],
    [
      "by the old annotation",
      ingress("i", spec, { classless: true, annotations: { "kubernetes.io/ingress.class": "ours" } }),
      [ingressClass("ours")],
      true,
    ],
    [
      "by the old annotation, another's",
      ingress("i", spec, { classless: true, annotations: { "kubernetes.io/ingress.class": "nginx" } }),
      [ingressClass("ours", { isDefault: true })],
      false,
    ],
    [
      "the field wins over the annotation",
      ingress("i", { ...spec, ingressClassName: "theirs" }, { annotations: { "kubernetes.io/ingress.class": "ours" } }),
      [ingressClass("ours"), theirs],
      false,
    ],
    ["the default class", ingress("i", spec, { classless: true }), [ingressClass("ours", { isDefault: true })], true],
    ["no default class", ingress("i", spec, { classless: true }), [ingressClass("ours")], false],
    [
      "the newest of two defaults, theirs",
      ingress("i", spec, { classless: true }),
      [
        ingressClass("ours", { isDefault: true }),
        { ...ingressClass("theirs", { isDefault: true, created: "2031-01-01T00:00:00Z", controller: "x/y" }) },
      ],
      false,
    ],
    [
      "the newest of two defaults, ours",
      ingress("i", spec, { classless: true }),
      [
        ingressClass("ours", { isDefault: true, created: "2032-01-01T00:00:00Z" }),
        { ...ingressClass("theirs", { isDefault: true, controller: "x/y" }) },
      ],
      true,
    ],
  ])("%s", (_what, object, classes, served) => {
    const translation = translate([object], { classes });
    expect(reached(translation, "foo.com", "/")).toBe(served ? "a" : undefined);
    expect(translation.served).toHaveLength(served ? 1 : 0);
    expect(translation.problems).toEqual([]);
  });

  test("a class that does not exist is a problem that names those that do", () => {
    const translation = translate([ingress("i", { ...spec, ingressClassName: "nginx" })]);
    expect(translation.served).toEqual([]);
    expect(translation.problems).toMatchObject([
      { reason: "IngressClassNotFound", field: "spec.ingressClassName", remedy: "name one of: ours" },
    ]);
  });
});
