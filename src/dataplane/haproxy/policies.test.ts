import { expect, test } from "vitest";
import { capturesOf } from "./expression.ts";
import { canaryRow, policyRow } from "./policies.ts";
import { rowText } from "./row.ts";

test("what a user wrote is one harmless word of a row", () => {
  const url = ["https://x.test/ ) (\n", { variable: "request_uri" }];
  const text = rowText(policyRow({ type: "UrlRedirect", url, status: 301 }));
  expect(text).toBe(
    "url-redirect 301 = ( ( t https://x.test/=20=29=20=28=0A ) ( v request=5Furi ) )".replace("=5F", "_"),
  );
});

test("an expression with groups is a program that notes its places", () => {
  expect(capturesOf("(a)b?")).toBe("v:0: v:2: s::97-97 v:3: j:5:6 s::98-98 v:1: m");
  expect(capturesOf("(")).toBeUndefined();
  expect(policyRow({ type: "RegexRewrite", pattern: "(", replacement: "/$1" })).toEqual(["no"]);
});

test("a canary says by what it takes requests", () => {
  const owner = { object: { kind: "Ingress", name: "next" }, field: "" };
  const by = { pool: "next", weight: 5, total: 100, owner };
  const row = canaryRow({ ...by, header: { name: "region", value: "us" } }, "h1");
  expect(rowText(row)).toBe("canary h1 5 100 region value us =");
  expect(canaryRow({ ...by, cookie: "canary" }, "h1").slice(4)).toEqual(["", "", "", "canary"]);
});
