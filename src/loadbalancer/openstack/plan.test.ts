import { describe, expect, test } from "vitest";
import type { Exposure, HttpRule } from "../provider/contract.ts";
import { readOpenStackConfig } from "./config.ts";
import { wantedOf } from "./desired.ts";
import { limitDefaults, type Observed, type ObservedPolicy } from "./model.ts";
import { joined, left, ownersIn, tagsFor } from "./ownership.ts";
import { planOctavia, planOctaviaRemoval } from "./plan.ts";

const subnet = "11111111-2222-4333-8444-000000000001";
const config = readOpenStackConfig(
  { authUrl: "https://keystone.example", username: "u", password: "p", project: "x", subnet },
  {},
);
const key = { cluster: "c", namespace: "ns", name: "web", uid: "u1" };
const web: Exposure = {
  key,
  families: ["IPv4"],
  ports: [{ name: "http", protocol: "TCP", port: 80, nodePort: 30_080 }],
  targets: [{ node: "a", addresses: ["10.0.0.1"] }],
  sourceRanges: [],
  sessionAffinity: "None",
  annotations: {},
};
const there: Observed = {
  key,
  version: [2, 26],
  balancer: { id: "b", name: "n", status: "ACTIVE", address: "192.0.2.1", created: "", tags: tagsFor(key) },
  duplicates: [],
  listeners: [
    { id: "l", status: "ACTIVE", protocol: "TCP", port: 80, headers: [], cidrs: [], limits: limitDefaults, pool: "p" },
  ],
  pools: [
    {
      id: "p",
      name: "tcp-80",
      status: "ACTIVE",
      protocol: "TCP",
      algorithm: "ROUND_ROBIN",
      members: [{ address: "10.0.0.1", port: 30_080 }],
      failed: [],
      listeners: ["l"],
      monitorId: "m",
      monitorStatus: "ACTIVE",
      monitor: { type: "TCP", delay: 5, timeout: 3, retries: 1 },
    },
  ],
  policies: [],
};
const say = (desired: Exposure, observed?: Observed) =>
  planOctavia(desired, observed, config).map(({ summary }) => summary);

describe("what is done", () => {
  test("all in one call where nothing is, and nothing where all is", () => {
    expect(say(web)).toEqual(["create the load balancer"]);
    expect(say(web, there)).toEqual([]);
  });

  test("waits, and changes nothing meanwhile", () => {
    const busy = { ...there, balancer: { ...there.balancer, status: "PENDING_UPDATE" }, listeners: [], pools: [] };
    expect(say(web, busy)).toEqual(["wait for the load balancer (PENDING_UPDATE)"]);
  });

  test("new ports come before old ones go", () => {
    const moved = { ...web, ports: [{ name: "https", protocol: "TCP", port: 443, nodePort: 30_443 } as const] };
    expect(say(moved, there)).toEqual(["create listener 443/TCP", "delete listener 80/TCP", "delete pool 80/TCP"]);
  });

  test("members follow nodes; policy Local is asked of each", () => {
    const local = { ...web, healthCheckNodePort: 32_000 };
    expect(say(local, there)).toEqual(["set 1 members of 80/TCP", "delete health monitor 80/TCP"]);
    expect(JSON.stringify(planOctavia(local, undefined, config))).toContain('"url_path":"/healthz"');
  });

  test("what could not be made is taken out and made anew", () => {
    const [pool, ...rest] = there.pools;
    const failed = pool ? [{ ...pool, failed: pool.members }, ...rest] : [];
    expect(say(web, { ...there, pools: failed })).toEqual(["set 0 members of 80/TCP"]);
    const listeners = there.listeners.map((one) => ({ ...one, status: "ERROR" }));
    expect(say(web, { ...there, listeners })).toEqual(["delete listener 80/TCP", "delete pool 80/TCP"]);
  });

  test("one that others use stays", () => {
    const other = { ...key, name: "other", uid: "u2" };
    const tags = joined(there.balancer.tags, other);
    const shared = { ...there, balancer: { ...there.balancer, tags } };
    const removal = planOctaviaRemoval(shared).map(({ summary }) => summary);
    expect(removal).toEqual(["delete listener 80/TCP", "delete its pool", "leave the load balancer"]);
    expect(planOctaviaRemoval(there)[0]?.summary).toBe("delete the load balancer");
  });
});

describe("an Ingress", () => {
  const backend = (service: string, nodePort?: number) => ({
    namespace: "ns",
    service,
    uid: service,
    port: 80,
    targetPort: 80,
    endpoints: [],
    ...(nodePort === undefined ? {} : { nodePort }),
  });
  const ingress = (rules: readonly HttpRule[]): Exposure => ({ ...web, http: { rules, certificates: [] } });
  const rule = (host: string, path: string, match: HttpRule["match"] = "Prefix"): HttpRule => ({
    host,
    path,
    match,
    backend: backend("shop", 30_001),
  });
  const rulesOf = (one: HttpRule) =>
    wantedOf(ingress([one]), config, [2, 26]).http?.policies[0]?.rules.map(({ compare, value }) => [compare, value]);

  test("hosts and paths are what Octavia calls them", () => {
    expect(rulesOf(rule("a.example", "/x", "Exact"))).toEqual([
      ["EQUAL_TO", "a.example"],
      ["EQUAL_TO", "/x"],
    ]);
    expect(rulesOf(rule("*.a.example", "/x.y/"))).toEqual([
      ["REGEX", String.raw`^[^.]+\.a\.example(:[0-9]+)?$`],
      ["REGEX", String.raw`^/x\.y(/|$)`],
    ]);
    // Octavia ignores a policy without rules.
    expect(rulesOf(rule("", "/"))).toEqual([["STARTS_WITH", "/"]]);
  });

  test("policies are moved to their places, and only those that are not there", () => {
    const rules = ["/a", "/b", "/c", "/d"].map((path) => rule("", path));
    const wanted = wantedOf(ingress(rules), config, [2, 26]).http ?? expect.fail();
    const [name = ""] = wanted.pools.keys();
    const [pool] = there.pools.map((one) => ({ ...one, ...wanted.pools.get(name), name }));
    const place = [2, 0, 1, 3];
    const policies = place.map((at, i): ObservedPolicy => {
      const policy = wanted.policies[at] ?? expect.fail();
      return { ...policy, id: policy.name, status: "ACTIVE", listener: "l", pool: "p", position: i + 1, isOn: true };
    });
    const { pool: _, ...bare } = there.listeners[0] ?? expect.fail();
    const observed = { ...there, listeners: [{ ...bare, ...wanted.listener }], pools: pool ? [pool] : [], policies };
    expect(say(ingress(rules), observed)).toEqual([
      `move policy ${wanted.policies[0]?.name} to 1`,
      `move policy ${wanted.policies[1]?.name} to 2`,
    ]);
    // One that is on without all its rules would catch what is not its: it goes.
    const open = policies.map((one, i) => (i === 3 ? { ...one, rules: [] } : one));
    const words = say(ingress(rules), { ...observed, policies: open });
    expect(words).toContain(`delete policy ${wanted.policies[3]?.name}`);
  });

  test("a Service without a node port, and the PROXY protocol, are refused", () => {
    const bare = { ...rule("", "/"), backend: backend("bare") };
    expect(() => say(ingress([bare]))).toThrow(/Service ns\/bare has no node port/);
    const proxy = { ...ingress([rule("", "/")]), ...note("proxy-protocol", "v2") };
    expect(() => say(proxy)).toThrow(/proxy-protocol: an Ingress has headers/);
  });
});

describe("what is refused", () => {
  const error = { ...there, balancer: { ...there.balancer, status: "ERROR", tags: ["of someone else"] } };
  test.each<[string, Partial<Exposure>, Observed | undefined, RegExp]>([
    ["an address that it cannot move to", { requestedAddress: "192.0.2.9" }, there, /192\.0\.2\.9.*192\.0\.2\.1/],
    [
      "an annotation that there is not",
      note("floating-network-id", "x"),
      undefined,
      /floating-network-id is not supported/,
    ],
    ["an id that is none", note("subnet-id", "../x"), undefined, /subnet-id: a UUID is needed/],
    ["a number that is none", note("timeout-client-data", "1e3"), undefined, /timeout-client-data: a whole number/],
    ["a monitor that waits longer than it pauses", note("health-monitor-timeout", "50"), undefined, /may not be below/],
    ["PROXY over UDP", { ...note("proxy-protocol", "v1"), ports: [udp(53)] }, undefined, /only TCP has it/],
    ["a word that is none", note("share", "a/b"), undefined, /share: letters, digits/],
    ["a method that there is not", note("lb-method", "RANDOM"), undefined, /lb-method: "RANDOM" is none of/],
    [
      "ranges with an old server",
      { sourceRanges: ["10.0.0.0/8"] },
      { ...there, version: [2, 5] },
      /needs Octavia's API 2\.12/,
    ],
    ["to repair what another has made", {}, error, /was not made here/],
  ])("%s", (_, more, observed, words) => {
    expect(() => planOctavia({ ...web, ...more }, observed, config)).toThrow(words);
  });
});

test("tags say whose it is, also with the longest names", () => {
  const long = { ...key, name: "n".repeat(253) };
  const tags = joined(tagsFor(long), key);
  expect(tags.every((tag) => tag.length <= 255)).toBe(true);
  expect(ownersIn(tags, "c")).toEqual(expect.arrayContaining([{ ...long, name: expect.any(String) as string }]));
  expect(ownersIn(tagsFor(long), "c")).toEqual([long]);
  expect(ownersIn(tags, "another")).toEqual([]);
  expect(left(tagsFor(key), key).filter((tag) => tag.includes("u1"))).toEqual([]);
});

function note(name: string, value: string) {
  return { annotations: { [`openstack.fairlead.dev/${name}`]: value } };
}
function udp(port: number) {
  return { name: "", protocol: "UDP", port, nodePort: 30_000 + port } as const;
}
