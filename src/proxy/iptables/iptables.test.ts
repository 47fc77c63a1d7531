import { describe, expect, test } from "vitest";
import type { NodePlan, PortPlan, ServiceEndpoint } from "../../services/index.ts";
import type { Row } from "../../tables/index.ts";
import { chainsOf } from "./names.ts";
import { foundIn, hooks, restoreOf } from "./restore.ts";
import { rowsOfContext, rowsOfPlan } from "./rows.ts";
import { chainOf, ruleOf } from "./serialise.ts";

test.each([
  ["default/kubernetes:https/TCP", "KUBE-SVC-NPX46M4PTMTKRN6Y"],
  ["kube-system/kube-dns:dns/UDP", "KUBE-SVC-TCOU7JCQXEZGVUNU"],
  ["kube-system/kube-dns:dns-tcp/TCP", "KUBE-SVC-ERIFXISQEP7F7OF4"],
])("the chain of %s is called as kube-proxy calls it", (id, name) => {
  expect(chainsOf(id).cluster).toBe(name);
});

const endpoint = (address: string): ServiceEndpoint =>
  ({ address, port: 8080, nodeName: "n1", ready: true, serving: true, terminating: false }) as ServiceEndpoint;

function planOf(port: Partial<PortPlan>): NodePlan {
  const pool = (endpoints: readonly ServiceEndpoint[]) => ({ endpoints, choice: "ready" });
  return {
    key: "default/web",
    ports: [
      {
        id: "default/web:/TCP",
        family: "IPv4",
        name: "",
        protocol: "TCP",
        frontends: [
          {
            kind: "ClusterIP",
            address: "10.96.0.9",
            port: 80,
            protocol: "TCP",
            policy: "Cluster",
            field: "spec.clusterIP",
          },
        ],
        cluster: pool([endpoint("10.42.0.2"), endpoint("10.42.0.3")]),
        local: pool([]),
        serving: [],
        usesLocal: false,
        anywhere: true,
        ...port,
      },
    ],
    conflicts: [],
  } as unknown as NodePlan;
}

const context = { podCidrs: ["10.42.0.0/16"] };
const restore = (add: readonly Row[], remove: readonly Row[] = []) =>
  restoreOf({ reset: false, add, remove }, {}, ["IPv4"]).inputs.IPv4;

describe("what iptables-restore is given", () => {
  test("a Service with two endpoints: each is drawn with one in what is left", () => {
    const input = restore(rowsOfPlan(planOf({}), context));
    const { cluster } = chainsOf("default/web:/TCP");
    expect(input).toMatch(/^\*nat\n/);
    expect(input).toContain(`-A KUBE-SERVICES -d 10.96.0.9/32 -p tcp -m tcp --dport 80 -j ${cluster}\n`);
    expect(input).toContain(`-A ${cluster} -d 10.96.0.9/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-OUTSIDE\n`);
    expect(input).toMatch(/--probability 0\.5000000000 -j KUBE-SEP-\w{16}\n-A KUBE-SVC-\w+ -j KUBE-SEP-\w{16}\n/);
    expect(input).toContain("-j DNAT --to-destination 10.42.0.3:8080\n");
    expect(input).not.toContain("*filter");
  });

  test("an endpoint that goes: its chain goes, the pool's is written anew, and no other rule is named", () => {
    const before = rowsOfPlan(planOf({}), context);
    const after = rowsOfPlan(
      planOf({ cluster: { endpoints: [endpoint("10.42.0.2")], choice: "ready" } as never }),
      context,
    );
    const isIn = (rows: readonly Row[], row: Row) => rows.some((one) => JSON.stringify(one) === JSON.stringify(row));
    const input = restore(
      after.filter((row) => !isIn(before, row)),
      before.filter((row) => !isIn(after, row)),
    );
    expect(input.match(/^-X KUBE-SEP-/gm)).toHaveLength(1);
    expect(input.match(/^:KUBE-SVC-/gm)).toHaveLength(1);
    expect(input).not.toContain("KUBE-SERVICES");
  });

  test("no endpoint: refused where there is none anywhere, dropped where others have some", () => {
    const none = { endpoints: [], choice: "none" } as never;
    expect(restore(rowsOfPlan(planOf({ cluster: none, anywhere: false }), context))).toBe(
      "*filter\n-A KUBE-EXTERNAL-SERVICES -d 10.96.0.9/32 -p tcp -m tcp --dport 80 -j KUBE-REJECT\nCOMMIT\n",
    );
    expect(restore(rowsOfPlan(planOf({ cluster: none }), context))).toContain("-j DROP\n");
  });

  test("a first start builds the program, and what an earlier process left goes", () => {
    const add = rowsOfContext({
      families: ["IPv4"],
      node: { name: "n1", addresses: ["192.0.2.1"] },
      podCidrs: ["10.42.0.0/16"],
      serviceCidrs: ["10.96.0.0/16"],
    });
    const stale = "KUBE-SVC-AAAAAAAAAAAAAAAA";
    const input = restoreOf({ reset: true, add, remove: [] }, { IPv4: { stale: [stale], missing: hooks } }, ["IPv4"])
      .inputs.IPv4;
    expect(input).toContain(`:${stale} - [0:0]\n`);
    expect(input).toContain(`-X ${stale}\n`);
    expect(input.indexOf("-A KUBE-MARK-OUTSIDE")).toBeLessThan(input.indexOf("-I KUBE-MARK-OUTSIDE -s 10.42.0.0/16"));
    expect(input).toContain("-A KUBE-UNKNOWN-SERVICES -d 10.96.0.0/16 -j KUBE-REJECT\n");
    expect(input).toContain("-A KUBE-SERVICES -d 192.0.2.1/32 -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n");
    // What leads packets into it comes in the same step, and what refuses is passed last.
    expect(input).toMatch(
      /^-I POSTROUTING -j KUBE-POSTROUTING\n-I OUTPUT .*\n-I PREROUTING -j KUBE-SERVICES\nCOMMIT$/m,
    );
    expect(input.indexOf("-I INPUT -m conntrack --ctstate NEW -j KUBE-UNKNOWN-SERVICES")).toBeLessThan(
      input.indexOf("-I INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES"),
    );
  });

  test("what leads into it and is there already is not put there again", () => {
    const nat = "*nat\n:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n:DOCKER - [0:0]\n-A OUTPUT -j KUBE-SERVICES\nCOMMIT\n";
    const filter = "*filter\n-A FORWARD -j KUBE-FORWARD\n-A FORWARD -j KUBE-FORWARD-OTHER\nCOMMIT\n";
    const { stale, missing } = foundIn({ nat, filter });
    expect(stale).toEqual(["KUBE-SVC-AAAAAAAAAAAAAAAA"]);
    expect(missing).toHaveLength(hooks.length - 2);
    expect(missing).not.toContainEqual(expect.objectContaining({ rule: "-j KUBE-FORWARD" }));
    expect(missing).toContainEqual({ table: "nat", chain: "PREROUTING", rule: "-j KUBE-SERVICES" });
  });
});

test("what does not fit its column is left out, and reaches no rule", () => {
  const owner = { object: "Service default/x", field: "spec" };
  const rows: Row[] = [
    { table: "services", key: ["10.96.0.9 -j ACCEPT", "tcp", 80], value: ["KUBE-SVC-AAAAAAAAAAAAAAAA"], owner },
    { table: "services", key: ["10.96.0.9", "tcp", 80], value: ["ACCEPT\n-F"], owner },
    { table: "nodeports", key: ["icmp", 80], value: ["KUBE-EXT-AAAAAAAAAAAAAAAA"], owner },
    { table: "refused", key: ["10.96.0.9", "tcp", 0, ""], value: ["drop"], owner },
    { table: "refused", key: ["10.96.0.9", "tcp", 80, "0.0.0.0/0 -j ACCEPT"], value: ["drop"], owner },
    { table: "other", key: ["10.96.0.9", "tcp", 80], value: ["drop"], owner },
    { table: "unmasked", key: ["10.42.0.0/33"], value: [], owner },
    { table: "chains", key: ["INPUT"], value: ["external", "KUBE-SVC-AAAAAAAAAAAAAAAA"], owner },
    {
      table: "chains",
      key: ["KUBE-SEP-AAAAAAAAAAAAAAAA"],
      value: ["endpoint", "tcp", "10.0.0.1", 70_000, 0],
      owner,
    },
    {
      table: "chains",
      key: ["KUBE-SVC-AAAAAAAAAAAAAAAA"],
      value: ["pool", "tcp", 0, 0, "KUBE-SEP-AAAAAAAAAAAAAAAA", "RETURN"],
      owner,
    },
  ];
  for (const row of rows)
    expect(row.table === "chains" ? chainOf(row) : ruleOf(row), JSON.stringify(row)).toBeUndefined();
  expect(restoreOf({ reset: false, add: rows, remove: [] }, {}, ["IPv4", "IPv6"])).toEqual({
    inputs: { IPv4: "", IPv6: "" },
    refused: rows,
  });
});
