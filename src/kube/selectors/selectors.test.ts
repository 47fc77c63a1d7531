import { describe, expect, it } from "vitest";
import { StatusError } from "../status.ts";
import { checkFieldSelector, meetsFields, parseFieldSelector } from "./field-selector.ts";
import {
  formatLabelSelector,
  includesLabels,
  matchesLabels,
  meetsRequirements,
  parseLabelSelector,
} from "./label-selector.ts";

const failure = (action: () => unknown) => {
  try {
    action();
  } catch (error) {
    if (error instanceof StatusError) return `${error.code} ${error.status.message}`;
    throw error;
  }
  return "no error";
};

describe("label selectors as text", () => {
  const labels = { app: "web", tier: "front", size: "10", empty: "" };
  it.each([
    ["", true],
    ["app=web", true],
    ["app==web", true],
    ["app = web , tier != back", true],
    ["app!=web", false],
    ["missing!=web", true],
    ["app in (web,db)", true],
    ["app in (db)", false],
    ["app notin (db)", true],
    ["missing notin (db)", true],
    ["app", true],
    ["missing", false],
    ["!app", false],
    ["!missing", true],
    ["size>9", true],
    ["size<10", false],
    ["app>1", false],
    ["empty=", true],
    ["empty in (,a)", true],
    ["app in ()", false],
    ["example.com/x notin (a), app=web", true],
    ["in in (in)", false],
  ])("%s: %s", (text, expected) => {
    expect(meetsRequirements(parseLabelSelector(text), labels)).toBe(expected);
  });

  const qualified =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
  it.each([
    ["=a", "found '=', expected: !, identifier, or 'end of string'"],
    ["a,", "found '', expected: identifier after ','"],
    ["a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
    ["a in b", "unable to parse requirement: found 'b' expected: '('"],
    ["a in (b", "unable to parse requirement: found '', expected: ',' or ')'"],
    ["a=b c", "found 'c', expected: ',' or 'end of string'"],
    ["a=,=b", "found '=', expected: identifier after ','"],
    ["a=(", "unable to parse requirement: found '(', expected: identifier"],
    ["!", "unable to parse requirement: found '', expected: identifier"],
    ["-a=b", `unable to parse requirement: <nil>: Invalid value: "-a": name part ${qualified}`],
    [
      "a>x",
      `unable to parse requirement: values[0]: Invalid value: "x": for 'Gt', 'Lt' operators, the value must be an integer`,
    ],
  ])("refuses %j", (text, expected) => {
    expect(failure(() => parseLabelSelector(text))).toBe(`400 ${expected}`);
  });
});

describe("LabelSelector of an object", () => {
  const labels = { app: "web", tier: "front" };
  it.each([
    [undefined, false],
    [{}, true],
    [{ matchLabels: { app: "web" } }, true],
    [{ matchLabels: { app: "db" } }, false],
    [{ matchExpressions: [{ key: "tier", operator: "In", values: ["front"] }] }, true],
    [{ matchExpressions: [{ key: "tier", operator: "NotIn", values: ["front"] }] }, false],
    [{ matchExpressions: [{ key: "x", operator: "DoesNotExist" }] }, true],
    [{ matchLabels: { app: "web" }, matchExpressions: [{ key: "x", operator: "Exists" }] }, false],
  ])("%j: %s", (selector, expected) => {
    expect(matchesLabels(selector, labels)).toBe(expected);
  });

  it("does not take inherited names for labels", () => {
    expect(meetsRequirements(parseLabelSelector("constructor"), {})).toBe(false);
    expect(includesLabels({ app: "web" }, undefined)).toBe(false);
  });

  it("has a text that reads back", () => {
    const selector = {
      matchLabels: { b: "2" },
      matchExpressions: [
        { key: "a", operator: "In", values: ["y", "x"] },
        { key: "c", operator: "DoesNotExist" },
      ],
    };
    expect(formatLabelSelector(selector)).toBe("a in (x,y),b=2,!c");
    expect(parseLabelSelector(formatLabelSelector(selector))).toHaveLength(3);
  });
});

describe("field selectors", () => {
  const fields = { "status.phase": "Running", "spec.nodeName": "a,b=c\\d", "metadata.name": "x" };
  it.each([
    ["", true],
    ["status.phase=Running", true],
    ["status.phase==Running", true],
    ["status.phase!=Running", false],
    ["status.phase=Running,metadata.name=y", false],
    ["spec.nodeName=a\\,b\\=c\\\\d", true],
    ["status.phase=", false],
  ])("%s: %s", (text, expected) => {
    expect(meetsFields(parseFieldSelector(text), fields)).toBe(expected);
  });

  it.each([
    ["foo", "invalid selector: 'foo'; can't understand 'foo'"],
    ["a=b=c", "invalid field selector: unescaped character in value: 61"],
    ["a=\\n", "invalid field selector: invalid escape sequence: \\n"],
  ])("refuses %j", (text, expected) => {
    expect(failure(() => parseFieldSelector(text))).toBe(`400 ${expected}`);
  });

  it("knows the fields of a kind", () => {
    const check = (text: string, selectable: string[], kind = "Pod") =>
      failure(() => checkFieldSelector(parseFieldSelector(text), selectable, kind));
    expect(check("spec.foo=a", ["status.successful"], "Job")).toBe('400 field label "spec.foo" not supported for Job');
    expect(check("metadata.name=a", [])).toBe("no error");
    expect(check("status.phase=a", ["status.phase"])).toBe("no error");
    expect(check("spec.foo=a", ["status.phase"])).toBe("400 field label not supported: spec.foo");
    expect(check("spec.foo=a", [])).toBe(
      '400 "spec.foo" is not a known field selector: only "metadata.name", "metadata.namespace"',
    );
  });
});
