import { deserialize, serialize } from "node:v8";
import { describe, expect, test } from "vitest";
import type { Certificate, HostRoutes, Listener, Pool, Route } from "../../../routing/index.ts";
import { differenceOf, follow } from "./difference.ts";
import { certificateId } from "../../secret-ids.ts";
import { configurationOf, emptySnapshot, sharedPart, type Snapshot, snapshotOf } from "./snapshot.ts";

const owner = { object: { kind: "Ingress", name: "i" }, field: "spec" };
const route = (id: string, filters: Route["rule"]["filters"] = []): Route => ({
  id,
  host: id,
  headers: [],
  query: [],
  rule: { id, filters, backends: [{ pool: "a", weight: 1, filters: [], owner }], timeouts: {}, owner },
  owner,
});
const host = (id: string, filters?: Route["rule"]["filters"]): HostRoutes => ({
  exact: new Map([["/x", [route(id, filters)]]]),
  regex: [],
  prefix: new Map(),
  longestPrefix: 0,
});
const certificate = (version: string): Certificate => ({
  hostname: "a.test",
  secret: { kind: "Secret", namespace: "ns", name: "tls" },
  version,
  owner,
});
const listener = (name: string, hosts: Record<string, HostRoutes>, tls?: Certificate): Listener => ({
  name,
  port: 80,
  protocol: tls ? "HTTPS" : "HTTP",
  servers: new Map([
    [
      "",
      {
        kind: "http",
        hostname: "",
        owner,
        hosts: { semantics: "Ingress", exact: new Map(Object.entries(hosts)), wildcard: new Map() },
        ...(tls ? { tls: { certificates: new Map([["a.test", tls]]) } } : {}),
      },
    ],
  ]),
});
const pool = (key: string, port = 1): Pool => ({
  key,
  service: { namespace: "ns", name: key },
  port: "80",
  protocol: "http",
  endpoints: [{ address: "10.0.0.1", port, ready: true, owner }],
});
const taken = (listeners: readonly Listener[], pools: readonly Pool[], before = emptySnapshot): Snapshot =>
  snapshotOf(
    {
      model: { listeners, pools: new Map(pools.map((each) => [each.key, each])) },
      keyPair: ({ version }) => ({ certificate: `certificate ${version}`, key: `key ${version}` }),
      users: ({ version }) => new Map([["ann", `hash ${version}`]]),
    },
    before,
  );
const sent = <T>(value: T): T => deserialize(serialize(value)) as T;

describe("difference", () => {
  test("following each difference leads to the same snapshot, whatever came before", () => {
    const [a, b] = [host("a.test"), host("b.test")];
    const auth = host("c.test", [
      {
        type: "BasicAuth",
        realm: "r",
        users: { secret: { kind: "Secret", name: "users" }, version: "1", layout: "file" },
      },
    ]);
    const steps = [
      taken([listener("http", { a })], [pool("a")]),
      taken([listener("http", { a, b }), listener("https", { a }, certificate("1"))], [pool("a"), pool("b")]),
      taken([listener("https", { b, auth }, certificate("2"))], [pool("b", 2)]),
      taken(
        [
          {
            name: "tcp",
            port: 9,
            protocol: "TCP",
            servers: new Map([
              [
                "",
                {
                  kind: "stream",
                  hostname: "",
                  owner,
                  streams: {
                    exact: new Map(),
                    wildcard: new Map(),
                    any: { id: "s", host: "", rule: route("s").rule, owner },
                  },
                },
              ],
            ]),
          },
          listener("http", { auth }),
        ],
        [],
      ),
      taken([], []),
    ];
    for (const from of [emptySnapshot, ...steps])
      for (const towards of steps) expect(follow(from, sent(differenceOf(from, towards)))).toEqual(towards);
  });

  test("what stays is not sent: one host and one pool of many cost as much as of few", () => {
    const many = Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`h${i}.test`, host(`h${i}.test`)]));
    const pools = Array.from({ length: 2_000 }, (_, i) => pool(`p${i}`));
    const before = taken([listener("http", many, certificate("1"))], pools);
    const after = taken(
      [listener("http", { ...many, "new.test": host("new.test") }, certificate("1"))],
      [...pools.slice(1), pool("p0", 2)],
      before,
    );
    const few = taken([listener("http", {}, certificate("1"))], []);
    const alone = taken([listener("http", { "new.test": host("new.test") }, certificate("1"))], [pool("p0", 2)], few);
    expect(serialize(differenceOf(before, after)).length).toBe(serialize(differenceOf(few, alone)).length);
  });

  test("secrets go with the model that names them, and are forgotten with it", () => {
    const one = taken([listener("https", {}, certificate("1"))], []);
    expect(configurationOf(one).keyPair(certificate("1"))).toEqual({ certificate: "certificate 1", key: "key 1" });
    const two = taken([listener("https", {}, certificate("2"))], [], one);
    expect([...two.keyPairs.keys()]).toEqual([certificateId(certificate("2"))]);
    expect(differenceOf(one, two).keyPairs.remove).toEqual([certificateId(certificate("1"))]);
  });
});

describe("what further processes serve", () => {
  test("is neither datagrams nor what counts a client's requests", () => {
    const limit = host("l.test", [
      { type: "RateLimit", id: "x", requests: 1, seconds: 1, burst: 1, exempt: [], status: 503 },
    ]);
    const snapshot = taken([listener("one", { a: host("a.test") }), listener("two", { limit })], []);
    const datagrams: Listener = { name: "three", port: 53, protocol: "UDP", servers: new Map() };
    const all = { ...snapshot, listeners: [...snapshot.listeners, datagrams] };
    expect(sharedPart(all).listeners.map(({ name }) => name)).toEqual(["one"]);
  });
});
