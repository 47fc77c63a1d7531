import { describe, expect, it } from "vitest";
import { listQuery, watchQuery, writeQuery } from "./params.ts";

const token = Buffer.from(JSON.stringify({ v: "meta.k8s.io/v1", rv: 5, start: "a\0" })).toString("base64url");
const q = (text: string): URLSearchParams => new URLSearchParams(text);

describe("list query", () => {
  it("reads what there is", () => {
    expect(listQuery(q("limit=5&resourceVersion=7&resourceVersionMatch=Exact"))).toEqual({
      limit: 5,
      resourceVersion: "7",
      match: "Exact",
      continue: "",
    });
  });

  it.each([
    ["resourceVersionMatch=Exact", /resourceVersionMatch is forbidden unless resourceVersion is provided/],
    ["resourceVersion=0&resourceVersionMatch=Exact", /"exact" is forbidden for resourceVersion "0"/],
    ["resourceVersion=1&resourceVersionMatch=Nearly", /Unsupported value: "Nearly"/],
    ["resourceVersion=abc", /^invalid resource version: resourceVersion: Invalid value: "abc": .*: invalid syntax$/],
    ["resourceVersion=-1", /parsing "-1": invalid syntax/],
    [`resourceVersion=${2n ** 64n}`, /parsing "18446744073709551616": value out of range/],
    ["sendInitialEvents=true", /sendInitialEvents is forbidden for list/],
    ["limit=ten", /strconv.ParseInt: parsing "ten": invalid syntax/],
    ["continue=abc", /invalid continue token: continue key is not valid/],
    [`continue=${token}&resourceVersion=7`, /specifying resource version is not allowed when using continue/],
  ])("refuses %s", (text, message) => {
    expect(() => listQuery(q(text))).toThrow(message);
  });
});

describe("watch query", () => {
  it("is not endless", () => {
    const { timeout } = watchQuery(q("watch=1"));
    expect(timeout).toBeGreaterThanOrEqual(1_800_000);
    expect(timeout).toBeLessThanOrEqual(3_600_000);
    expect(watchQuery(q("timeoutSeconds=5")).timeout).toBe(5000);
  });

  it.each([
    ["sendInitialEvents=true", /sendInitialEvents requires setting resourceVersionMatch to NotOlderThan/],
    ["sendInitialEvents=true&resourceVersionMatch=Exact", /Unsupported value: "Exact"/],
    ["resourceVersionMatch=NotOlderThan", /forbidden for watch unless sendInitialEvents is provided/],
  ])("refuses %s", (text, message) => {
    expect(() => watchQuery(q(text))).toThrow(message);
  });
});

describe("write query", () => {
  it("warns of unknown fields unless told otherwise", () => {
    expect(writeQuery(q(""), "CreateOptions")).toEqual({ dryRun: false, fieldValidation: "Warn", force: false });
    expect(writeQuery(q("dryRun=All&fieldValidation=Strict"), "CreateOptions")).toEqual({
      dryRun: true,
      fieldValidation: "Strict",
      force: false,
    });
  });

  it.each([
    ["dryRun=Some", /dryRun: Unsupported value: \["Some"\]: supported values: "All"/],
    ["fieldValidation=Loose", /fieldValidation: Unsupported value: "Loose"/],
    [`fieldManager=${"x".repeat(129)}`, /fieldManager: Too long/],
    ["fieldManager=a%07b", /fieldManager: Invalid value: "a\\u0007b": invalid character U\+0007 \(at position 1\)/],
  ])("refuses %s", (text, message) => {
    expect(() => writeQuery(q(text), "CreateOptions")).toThrow(message);
  });
});
