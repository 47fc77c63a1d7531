import { describe, expect, test } from "vitest";
import {
  allowsOrigin,
  changedPath,
  type Cors,
  corsFields,
  corsFieldsEverywhere,
  type Redirect,
  redirectLocation,
} from "./filters.ts";
import type { PathMatch } from "./model.ts";

const prefix = (value: string): PathMatch => ({ type: "Prefix", value });

describe("changedPath", () => {
  // The table of HTTPPathModifier `replacePrefixMatch`.
  test.each([
    ["/foo/bar", "/foo", "/xyz", "/xyz/bar"],
    ["/foo/bar", "/foo", "/xyz/", "/xyz/bar"],
    ["/foo", "/foo", "/xyz", "/xyz"],
    ["/foo/", "/foo", "/xyz", "/xyz/"],
    ["/foo/bar", "/foo", "", "/bar"],
    ["/foo/", "/foo", "", "/"],
    ["/foo", "/foo", "", "/"],
    ["/foo", "/foo", "/", "/"],
    ["/foo/bar", "", "/xyz", "/xyz/foo/bar"],
  ])("%s, matched by prefix %s, replaced by %j is %s", (path, matched, value, expected) => {
    expect(changedPath(path, { type: "ReplacePrefixMatch", value }, prefix(matched))).toBe(expected);
  });

  test("a full path takes the place of all", () => {
    expect(changedPath("/a/b", { type: "ReplaceFullPath", value: "/x" }, prefix("/a"))).toBe("/x");
  });
});

describe("redirectLocation", () => {
  const request = { scheme: "http", host: "a.test:8080", port: 8080, path: "/p", query: "?q=1" } as const;
  test.each<[what: string, redirect: Partial<Redirect>, port: number, location: string]>([
    ["the listener's port stays", {}, 8080, "http://a.test:8080/p?q=1"],
    ["a well-known port is not written", {}, 80, "http://a.test/p?q=1"],
    ["another scheme has its own port", { scheme: "https" }, 8080, "https://a.test/p?q=1"],
    ["a port that is asked for", { scheme: "https", port: 8443 }, 8080, "https://a.test:8443/p?q=1"],
    ["port 443 of http is written", { scheme: "http", port: 443 }, 80, "http://a.test:443/p?q=1"],
    ["another host", { hostname: "b.test", port: 80 }, 8080, "http://b.test/p?q=1"],
    ["another path", { path: { type: "ReplaceFullPath", value: "/x" } }, 80, "http://a.test/x?q=1"],
  ])("%s", (_what, redirect, port, location) => {
    expect(redirectLocation({ status: 302, ...redirect }, { ...request, port }, prefix(""))).toBe(location);
  });
});

describe("cross-origin rules", () => {
  const cors = (more: Partial<Cors>): Cors => ({
    allowOrigins: ["https://www.foo.com", "https://*.bar.com"],
    allowMethods: ["GET", "PUT"],
    allowHeaders: ["x-a"],
    exposeHeaders: ["x-b"],
    allowCredentials: false,
    maxAge: 60,
    ...more,
  });

  test.each([
    ["https://www.foo.com", true],
    ["http://www.foo.com", false],
    ["https://a.bar.com", true],
    ["https://a.b.bar.com", true],
    ["https://bar.com", false],
    ["https://.bar.com", false],
    ["https://evil.com/a.bar.com", false],
    ["https://evil.com:1@a.bar.com", false],
    ["https://a.bar.com.evil.com", false],
    ["null", false],
  ])("%s: %s", (origin, allowed) => {
    expect(allowsOrigin(cors({}), origin)).toBe(allowed);
  });

  const asked = { method: "PATCH", headers: "x-c" };
  const fields = (more: Partial<Cors>, preflight?: typeof asked) =>
    Object.fromEntries(
      corsFields(cors(more), "https://www.foo.com", preflight).map(({ name, value }) => [name, value]),
    );

  test("a preflight is told what is allowed", () => {
    expect(fields({}, asked)).toEqual({
      "access-control-allow-origin": "https://www.foo.com",
      vary: "Origin",
      "access-control-allow-methods": "GET, PUT",
      "access-control-allow-headers": "x-a",
      "access-control-expose-headers": "x-b",
      "access-control-max-age": "60",
    });
  });

  test("an asterisk means nothing together with credentials: what is asked for is named", () => {
    const open = { allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"], exposeHeaders: ["*"] };
    expect(fields(open, asked)).toMatchObject({
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "*",
      "access-control-expose-headers": "*",
    });
    const named = fields({ ...open, allowCredentials: true }, asked);
    expect(named).toMatchObject({
      "access-control-allow-origin": "https://www.foo.com",
      "access-control-allow-methods": "PATCH",
      "access-control-allow-headers": "x-c",
      "access-control-allow-credentials": "true",
    });
    expect(named).not.toHaveProperty("access-control-expose-headers");
  });

  test("another origin is told nothing", () => {
    expect(corsFields(cors({}), "https://evil.com", asked)).toEqual([]);
  });

  test("everywhere: an asterisk stays one with credentials, and without an origin", () => {
    const open = cors({ allowOrigins: ["*"], allowCredentials: true, everywhere: true });
    for (const origin of [undefined, "https://evil.com"])
      expect(corsFieldsEverywhere(open, origin)).toEqual([
        { name: "access-control-allow-origin", value: "*" },
        { name: "access-control-allow-credentials", value: "true" },
        { name: "access-control-allow-methods", value: "GET, PUT" },
        { name: "access-control-allow-headers", value: "x-a" },
        { name: "access-control-max-age", value: "60" },
        { name: "access-control-expose-headers", value: "x-b" },
      ]);
  });

  test("everywhere: in an origin it is one label", () => {
    const some = cors({ allowOrigins: ["https://*.bar.com"], everywhere: true });
    expect(corsFieldsEverywhere(some, "https://a.bar.com")).toContainEqual({
      name: "access-control-allow-origin",
      value: "https://a.bar.com",
    });
    for (const origin of [undefined, "https://b.a.bar.com", "https://bar.com"])
      expect(corsFieldsEverywhere(some, origin)).toEqual([]);
  });
});
