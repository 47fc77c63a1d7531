import { expect, test } from "vitest";
import type { HostRoutes, Route, RoutingModel } from "../routing/index.ts";
import { featuresOf, refusalsOf } from "./features.ts";

const owner = { object: { kind: "Ingress", name: "i" }, field: "" };
const route = (id: string, host: string, path?: Route["path"]): Route => ({
  id,
  host,
  headers: [],
  query: [],
  rule: {
    id,
    filters: [],
    backends: [{ pool: "p", weight: 1, filters: [], owner }],
    timeouts: {},
    owner,
  },
  owner,
  ...(path ? { path } : {}),
});
const routes = (host: string, name: string): HostRoutes => ({
  exact: new Map([["/x", [route(`${name}-exact`, host, { type: "Exact", value: "/x" })]]]),
  prefix: new Map([["/y", [route(`${name}-prefix`, host, { type: "Prefix", value: "/y" })]]]),
  regex: [],
  longestPrefix: 2,
});
const model: RoutingModel = {
  listeners: [
    {
      name: "http",
      port: 80,
      protocol: "HTTP",
      servers: new Map([
        [
          "",
          {
            kind: "http",
            hostname: "",
            owner,
            hosts: {
              semantics: "Ingress",
              exact: new Map([["a.test", routes("a.test", "a")]]),
              wildcard: new Map([[".b.test", routes("*.b.test", "b")]]),
              fallback: route("default", ""),
            },
          },
        ],
      ]),
    },
  ],
  pools: new Map(),
};

test("a data plane that can do everything refuses nothing", () => {
  expect(refusalsOf(model, new Set(["ExactPath", "PrefixPath", "WildcardHost", "DefaultBackend"]))).toEqual([]);
});

test("each route is refused for what it needs and the data plane lacks", () => {
  expect(refusalsOf(model, new Set(["PrefixPath", "DefaultBackend"]))).toEqual([
    { route: "a-exact", feature: "ExactPath" },
    { route: "b-exact", feature: "ExactPath" },
    { route: "b-exact", feature: "WildcardHost" },
    { route: "b-prefix", feature: "WildcardHost" },
  ]);
});

test("of a limit that nobody has said nothing is told", () => {
  const limited = (unsaid: boolean): Route => {
    const plain = route("a", "a.test", { type: "Exact", value: "/x" });
    const rule = { ...plain.rule, filters: [{ type: "BodyLimit", bytes: 1 }] as const, timeouts: { connect: 1 } };
    return { ...plain, rule: unsaid ? { ...rule, unsaid: ["BodyLimit"] } : rule };
  };
  const asked = (unsaid: boolean) => featuresOf(limited(unsaid), { protocol: "HTTP" }, new Map());
  expect(new Set(asked(false))).toEqual(new Set(["ExactPath", "BodyLimit", "ConnectTimeout"]));
  expect(new Set(asked(true))).toEqual(new Set(["ExactPath", "ConnectTimeout"]));
});
