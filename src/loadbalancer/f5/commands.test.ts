import { describe, expect, test } from "vitest";
import type { Exposure } from "../provider/contract.ts";
import { shape } from "../provider/shape.ts";
import { commandsOf, type Node } from "./commands.ts";
import { objectsOf, readPool, servicesIn, type Objects } from "./objects.ts";

const partition = "lab";
const web: Exposure = {
  key: { cluster: "one cluster", namespace: "ns", name: "web", uid: "u1" },
  families: ["IPv4"],
  ports: [{ name: "", protocol: "TCP", port: 80, nodePort: 30_080 }],
  targets: [
    { node: "a", addresses: ["10.0.0.1", "fd00::1"] },
    { node: "b", addresses: ["10.0.0.2", "fd00::2"] },
  ],
  sourceRanges: [],
  sessionAffinity: "None",
  annotations: {},
};
const nothing: Objects = { monitors: [], pools: [], virtuals: [] };
const from = (wanted: Objects, found: Objects, nodes: readonly Node[] = [], others: Objects["pools"] = []) =>
  commandsOf({ partition, wanted, found, nodes, others }).map(({ method, path, json }) => [
    `${method} ${path}`,
    ...(json && "name" in json ? [json.name] : []),
  ]);
const node = (address: string, more: Partial<Node> = {}): Node => ({
  name: address,
  partition,
  address,
  isOurs: true,
  ...more,
});

describe("commands of iControl REST", () => {
  test("what is there needs none", () => {
    const wanted = objectsOf(web, "192.0.2.1", partition);
    expect(from(wanted, wanted, [node("10.0.0.1"), node("10.0.0.2")])).toEqual([]);
  });

  test("what is used comes before what uses it, and goes after it", () => {
    const local = objectsOf({ ...web, healthCheckNodePort: 32_000 }, "192.0.2.1", partition);
    expect(from(local, nothing)).toEqual([
      ["POST /node", "10.0.0.1"],
      ["POST /node", "10.0.0.2"],
      ["POST /monitor/http", "svc_u1_healthz_32000"],
      ["POST /pool", "svc_u1_tcp_80"],
      ["POST /virtual", "svc_u1_tcp_80"],
    ]);
    const nodes = [node("10.0.0.1"), node("10.0.0.2"), node("10.0.0.9", { isOurs: false })];
    expect(from(nothing, local, nodes)).toEqual([
      ["DELETE /virtual/~lab~svc_u1_tcp_80"],
      ["DELETE /pool/~lab~svc_u1_tcp_80"],
      ["DELETE /monitor/http/~lab~svc_u1_healthz_32000"],
      ["DELETE /node/~lab~10.0.0.1"],
      ["DELETE /node/~lab~10.0.0.2"],
    ]);
  });

  test("one member more is that member; a machine has the name that somebody gave it", () => {
    const wanted = objectsOf(web, "192.0.2.1", partition);
    const found = objectsOf({ ...web, targets: web.targets.slice(0, 1) }, "192.0.2.1", partition);
    const theirs = node("10.0.0.2", { name: "rack2", partition: "Common", isOurs: false });
    expect(from(wanted, found, [node("10.0.0.1"), theirs])).toEqual([
      ["POST /pool/~lab~svc_u1_tcp_80/members", "rack2:30080"],
    ]);
    expect(from(found, wanted, [node("10.0.0.1"), theirs])).toEqual([
      ["DELETE /pool/~lab~svc_u1_tcp_80/members/~Common~rack2%3A30080"],
    ]);
  });

  test("IPv6 has its ports after dots", () => {
    const wanted = objectsOf(web, "2001:db8::1", partition);
    expect(wanted.virtuals[0]?.destination).toBe("/lab/2001:db8::1.80");
    const [, , pool, virtual] = commandsOf({ partition, wanted, found: nothing, nodes: [], others: [] });
    expect(pool?.json).toMatchObject({ members: [{ name: "fd00::1.30080" }, { name: "fd00::2.30080" }] });
    expect(virtual?.json).toMatchObject({ mask: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" });
    const read = readPool(
      shape({
        name: "p",
        membersReference: { items: [{ name: "fd00::1.30080", address: "fd00::1", partition }] },
      }),
    );
    expect(read.members).toEqual([{ address: "fd00::1", port: 30_080 }]);
  });

  test("descriptions say whose it is; others' words, and other clusters', say nothing", () => {
    const one = objectsOf(web, "192.0.2.1", partition);
    expect(servicesIn(one, "one cluster")).toEqual([{ key: web.key, address: "192.0.2.1", value: one }]);
    expect(servicesIn(one, "one")).toEqual([]);
    const words = ["", "fairlead", "fairlead a b c d", "fairlead %zz b c d 1.2.3.4", "fairlead a b c d e f", "mine"];
    const virtuals = words.map((description) => ({ ...(one.virtuals[0] ?? expect.fail()), description }));
    expect(servicesIn({ ...nothing, virtuals }, "a")).toEqual([]);
    // One part of many has lost its words: it is seen as changed, not as somebody else's.
    const [lost] = one.virtuals.map((virtual) => ({ ...virtual, description: "" }));
    const found = servicesIn({ ...one, virtuals: lost ? [lost] : [] }, "one cluster");
    expect(from(one, found[0]?.value ?? nothing, [node("10.0.0.1"), node("10.0.0.2")])).toEqual([
      ["PATCH /virtual/~lab~svc_u1_tcp_80"],
    ]);
  });
});
