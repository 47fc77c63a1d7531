import { expect, test } from "vitest";
import { hostPortProgram, hostPortRows, placeOf, rowCommands } from "./host-port-rows.ts";

const pod = ["10.42.0.5", "fd00:10:42::5"];
const port = (rest: object = {}) => ({ protocol: "TCP" as const, hostPort: 80, containerPort: 8080, ...rest });
const written = (...ports: ReturnType<typeof port>[]) =>
  hostPortRows(ports, pod).map((row) => `${placeOf(row)} : ${row.value}`);

test.each([
  ["every address", {}, ["ip any tcp . 80 : 10.42.0.5 . 8080", "ip6 any tcp . 80 : fd00:10:42::5 . 8080"]],
  ["all of one family", { hostIP: "0.0.0.0" }, ["ip any tcp . 80 : 10.42.0.5 . 8080"]],
  ["all of the other", { hostIP: "::" }, ["ip6 any tcp . 80 : fd00:10:42::5 . 8080"]],
  ["one address", { hostIP: "192.0.2.1" }, ["ip at 192.0.2.1 . tcp . 80 : 10.42.0.5 . 8080"]],
  [
    "one of IPv6, in another form",
    { hostIP: "2001:DB8:0::1" },
    ["ip6 at 2001:db8::1 . tcp . 80 : fd00:10:42::5 . 8080"],
  ],
])("host ports at %s", (_, rest, wanted) => {
  expect(written(port(rest))).toEqual(wanted);
});

test("a port that is written twice is one", () => {
  expect(written(port(), port())).toHaveLength(2);
});

test.each(["x; flush ruleset", "::1"])("no packet can be led from %s", (hostIP) => {
  expect(() => hostPortRows([port({ hostIP })], pod)).toThrow(`host port 80: hostIP`);
});

test("commands: rows first go, then come, and a pod reaches itself once whatever its ports", () => {
  const before = hostPortRows([port()], ["10.42.0.4"]);
  const after = hostPortRows([port(), port({ hostPort: 81 })], ["10.42.0.5"]);
  expect(rowCommands("t", { add: after, delete: before }).trim().split("\n")).toEqual([
    "delete element ip t any { tcp . 80 : 10.42.0.4 . 8080 }",
    "delete element ip t selves { 10.42.0.4 . 10.42.0.4 }",
    "add element ip t any { tcp . 80 : 10.42.0.5 . 8080 }",
    "add element ip t selves { 10.42.0.5 . 10.42.0.5 }",
    "add element ip t any { tcp . 81 : 10.42.0.5 . 8080 }",
  ]);
  expect(hostPortProgram("t", "br", after)).toContain("table ip t {\n  map any");
});
