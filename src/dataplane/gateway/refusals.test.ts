import { expect, test } from "vitest";
import type { ParentStatus, RoutingModel } from "../../routing/index.ts";
import { refusalsByObject, withRefusals } from "./refusals.ts";

const owner = { object: { kind: "HTTPRoute", namespace: "ns", name: "r" }, field: "" };
const rule = { id: "r", filters: [], backends: [], timeouts: {}, owner };
const route = {
  id: "one",
  host: "",
  headers: [],
  query: [],
  rule,
  owner,
  path: { type: "Exact", value: "/x" },
} as const;
const model: RoutingModel = {
  listeners: [
    {
      name: "l",
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
              semantics: "Gateway",
              exact: new Map(),
              wildcard: new Map(),
              any: { exact: new Map([["/x", [route]]]), regex: [], prefix: new Map(), longestPrefix: 0 },
            },
          },
        ],
      ]),
    },
  ],
  pools: new Map(),
};
const parents: ParentStatus[] = [
  {
    parentRef: { name: "gw" },
    controllerName: "c",
    conditions: [
      { type: "Accepted", status: "True", reason: "Accepted", message: "" },
      { type: "ResolvedRefs", status: "True", reason: "ResolvedRefs", message: "" },
    ],
  },
];

test("a route that the data plane does not serve is not accepted, and it is said why", () => {
  const refusals = refusalsByObject(model, [
    { route: "one", feature: "HTTPRouteCORS" },
    { route: "one", feature: "Weights" },
    { route: "gone", feature: "TCPRoute" },
  ]);
  expect([...refusals.keys()]).toEqual(["HTTPRoute ns/r"]);
  const [parent] = withRefusals(parents, refusals.get("HTTPRoute ns/r"));
  expect(parent?.conditions).toMatchObject([
    { status: "False", reason: "UnsupportedValue", message: "the data plane cannot do: HTTPRouteCORS, Weights" },
    { type: "ResolvedRefs", status: "True" },
  ]);
});

test("others are left as they are", () => {
  expect(withRefusals(parents, refusalsByObject(model, []).get("HTTPRoute ns/r"))).toBe(parents);
});
