import { expect, test } from "vitest";
import type { Pool } from "../../routing/index.ts";
import { endpointId } from "../endpoint-id.ts";
import { endpointRows, wayTo } from "./endpoints.ts";
import { serversOf } from "./servers.ts";

const owner = { object: { kind: "Service", name: "web" }, field: "" };
const pool = (key: string, more: Partial<Pool> = {}): Pool => ({
  key,
  service: { namespace: "a", name: key },
  port: "80",
  protocol: "http",
  endpoints: ["10.0.0.1", "fd00::1"].map((address) => ({ address, port: 80, ready: true, owner })),
  ...more,
});

function rows(pools: readonly Pool[], watched: readonly string[]): ReadonlyMap<string, string> {
  const slots = new Map(pools.map(({ key }, index) => [key, `h${index}`]));
  const servers = new Map(pools.map((each, index) => [`h${index}`, serversOf(each, "/d")]));
  return endpointRows(new Set(watched), slots, new Map(pools.map((each) => [each.key, each])), servers);
}

test("the program is told who stands behind the pools that it chooses from, and of no other", () => {
  const [one, two] = [endpointId("10.0.0.1", 80), endpointId("fd00::1", 80)];
  expect([...rows([pool("web"), pool("other")], ["web", "gone"])]).toEqual([
    ["w|h0", `plain ( 10.0.0.1 80 e10-0-0-1-80 ${one} ) ( fd00::1 80 efd00--1-80 ${two} )`],
  ]);
});

test("who is not spoken to in HTTP/1.1, or whose certificate must be checked, is not for the program to ask", () => {
  const tls = { serverName: "", subjectAltNames: [], authorities: "System" };
  expect(wayTo(pool("web"))).toBe("plain");
  expect(wayTo(pool("web", { tls: { ...tls, unverified: true } }))).toBe("tls");
  for (const more of [{ protocol: "h2c" }, { proxyProtocol: 1 }, { tls }] as const)
    expect(wayTo(pool("web", more))).toBe("other");
});
