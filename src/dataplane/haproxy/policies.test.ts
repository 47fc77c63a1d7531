import { expect, test } from "vitest";
import { capturesOf } from "./expression.ts";
import { affinityRow, askRow, canaryRow, policyRow } from "./policies.ts";
import { rowText } from "./row.ts";

test("what a user wrote is one harmless word of a row", () => {
  const url = ["https://x.test/ ) (\n", { variable: "request_uri" }];
  const text = rowText(policyRow({ type: "UrlRedirect", url, status: 301 }));
  expect(text).toBe(
    "url-redirect 301 = ( ( t https://x.test/=20=29=20=28=0A ) ( v request=5Furi ) ) 0".replace("=5F", "_"),
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
  expect(rowText(row)).toBe("canary h1 5 100 region value us = =");
  expect(canaryRow({ ...by, cookie: "canary" }, "h1").slice(4)).toEqual(["", "", "", "canary", ""]);
});

test("who is asked, and by what cookie a client stays, are words of their own", () => {
  const row = affinityRow({ cookie: "S; Path=/", secure: false, sameSite: "Lax", maxAge: 5 });
  expect(rowText(row)).toBe("affinity S=3B=20Path=3D/ / = = 5 0 Lax 0");
  const path = ["/check?x=1 HTTP/1.1\r\nHost: else"];
  const asked = {
    type: "ExternalAuth",
    host: "auth.test",
    path,
    signinParameter: "rd",
    responseHeaders: ["x-user"],
  } as const;
  expect(rowText(askRow(asked, ""))).toBe(
    "ask routed = auth.test ( ( t /check=3Fx=3D1=20HTTP/1.1=0D=0AHost:=20else ) ) GET (  ) rd (  ) ( x-user ) 0 (  ) (  )",
  );
  expect(askRow({ ...asked, pool: "a/auth:80" }, "h1").slice(1, 3)).toEqual(["pool", "h1"]);
});
