import { expect, test } from "vitest";
import { podHostname } from "./hostname.ts";

const of = (spec: object, name = "web-0") =>
  podHostname({ metadata: { name, namespace: "shop" }, spec: { containers: [], ...spec } }, "cluster.local");

test.each([
  ["the pod's name", {}, { hostname: "web-0", names: ["web-0"] }],
  ["a name of its own", { hostname: "db" }, { hostname: "db", names: ["db"] }],
  ["a subdomain", { subdomain: "dbs" }, { hostname: "web-0", names: ["web-0.dbs.shop.svc.cluster.local", "web-0"] }],
  [
    "all of it",
    { hostname: "a", subdomain: "dbs", setHostnameAsFQDN: true },
    { hostname: "a.dbs.shop.svc.cluster.local", names: ["a.dbs.shop.svc.cluster.local", "a"] },
  ],
  ["all of it without a subdomain", { setHostnameAsFQDN: true }, { hostname: "web-0", names: ["web-0"] }],
])("podHostname: %s", (_, spec, wanted) => {
  expect(of(spec)).toEqual(wanted);
});

test("podHostname: a pod's name longer than a label is cut, and ends as a label does", () => {
  expect(of({}, `${"a".repeat(62)}-b.c`).hostname).toBe("a".repeat(62));
});

test("podHostname: a full name that no machine can have is refused", () => {
  expect(() => of({ hostname: "h".repeat(40), subdomain: "sub", setHostnameAsFQDN: true })).toThrow(
    "has 67 characters, a host name at most 64",
  );
});
