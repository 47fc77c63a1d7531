import { describe, expect, test } from "vitest";
import type { NodePlan, PortPlan, ProxyContext, ServiceEndpoint } from "../../services/index.ts";
import { rowId, type Row } from "../../tables/index.ts";
import { kinds, poolMark } from "./marks.ts";
import { createPortNumbers, rowsOfContext, rowsOfPlan } from "./rows.ts";

const context: ProxyContext = {
  families: ["IPv4"],
  node: { name: "node1", addresses: ["192.0.2.1"] },
  podCidrs: ["10.42.0.0/16", "10.42.7.0/24"],
  serviceCidrs: ["10.96.0.0/16"],
};

function endpoint(i: number, nodeName = "node2"): ServiceEndpoint {
  const conditions = { ready: true, serving: true, terminating: false };
  return {
    address: `10.42.0.${i}`,
    port: 8080,
    ...conditions,
    nodeName,
    nodeHints: [],
    zoneHints: [],
    slice: "default/web",
  };
}

function plan(endpoints: ServiceEndpoint[], rest: Partial<PortPlan> = {}): NodePlan {
  const pool = { endpoints, choice: "ready" } as const;
  const port: PortPlan = {
    id: "default/web:/TCP",
    family: "IPv4",
    name: "",
    protocol: "TCP",
    frontends: [
      {
        kind: "ClusterIP",
        address: "10.96.0.20",
        port: 80,
        protocol: "TCP",
        policy: "Cluster",
        field: "spec.clusterIP",
      },
    ],
    cluster: pool,
    local: pool,
    serving: endpoints,
    usesLocal: false,
    anywhere: endpoints.length > 0,
    ...rest,
  };
  return { key: "default/web", ports: [port], conflicts: [] };
}

const text = (rows: Row[]) => rows.map((row) => [rowId(row), ...row.value].join(" "));
const one = poolMark(1, false);

describe("rows of a Service", () => {
  test("a frontend leads to a pool, and each endpoint is in one slot", () => {
    const rows = rowsOfPlan(plan([endpoint(1), endpoint(2, "node1")]), [], createPortNumbers(9), context);
    expect(text(rows)).toEqual([
      `frontends 10.96.0.20 tcp 80 ${kinds.internal + one}`,
      `pools ${one} pick 2`,
      `slots ${one} 0 10.42.0.1 8080`,
      `slots ${one} 1 10.42.0.2 8080`,
      "hairpin 10.42.0.2 10.42.0.2",
    ]);
    expect(rows[0]?.owner).toEqual({ object: "Service default/web", field: "spec.clusterIP" });
  });

  test("an endpoint that goes changes two slots and the size", () => {
    const numbers = createPortNumbers(9);
    const all = [1, 2, 3, 4].map((i) => endpoint(i));
    const before = rowsOfPlan(plan(all), [], numbers, context);
    const after = rowsOfPlan(plan(all.filter((_, i) => i !== 1)), before, numbers, context);
    const changed = text(after).filter((row) => !text(before).includes(row));
    expect(changed).toEqual([`pools ${one} pick 3`, `slots ${one} 1 10.42.0.4 8080`]);
  });

  test("with affinity endpoints keep their numbers when others go and come", () => {
    const numbers = createPortNumbers(9);
    const sticky = (...indexes: number[]) =>
      plan(
        indexes.map((i) => endpoint(i)),
        { affinitySeconds: 60 },
      );
    const first = rowsOfPlan(sticky(1, 2, 3), [], numbers, context);
    const second = rowsOfPlan(sticky(2, 3, 4), first, numbers, context);
    const third = rowsOfPlan(sticky(2, 3, 4, 5), second, numbers, context);
    const numbered = (rows: Row[]) => text(rows.filter(({ table }) => table === "endpoints")).sort();
    expect(numbered(third)).toEqual([
      `endpoints ${one + 1} 10.42.0.4 8080`,
      `endpoints ${one + 2} 10.42.0.2 8080`,
      `endpoints ${one + 3} 10.42.0.3 8080`,
      `endpoints ${one + 4} 10.42.0.5 8080`,
    ]);
    expect(text(third)).toContain(`pools ${one} stick 4 60`);
  });

  test("no endpoint: refused when there is none anywhere, dropped when another node has one", () => {
    const numbers = createPortNumbers(9);
    expect(text(rowsOfPlan(plan([]), [], numbers, context))).toContain(`pools ${one} refuse`);
    expect(text(rowsOfPlan(plan([], { anywhere: true }), [], numbers, context))).toContain(`pools ${one} drop`);
  });

  test("no row is there twice, however many addresses and ports lead to one endpoint", () => {
    const lb = {
      kind: "LoadBalancer",
      port: 80,
      protocol: "TCP",
      policy: "Local",
      field: "status",
      sourceRanges: ["10.0.0.0/8"],
    } as const;
    const frontends = [
      { ...lb, address: "10.97.0.1" },
      { ...lb, address: "10.97.0.2" },
    ];
    const first = plan([endpoint(1, "node1")], { frontends, usesLocal: true });
    const [port] = first.ports;
    const second = { ...first, ports: [port!, { ...port!, id: "default/web:b/TCP", name: "b" }] };
    const ids = rowsOfPlan(second, [], createPortNumbers(9), context).map(rowId);
    const unique = new Set(ids);
    // The same frontends on two ports are the API's to refuse; everything else is unique.
    for (const id of ids)
      if (!id.startsWith("frontends"))
        expect(
          ids.filter((other) => other === id),
          id,
        ).toHaveLength(1);
    expect(unique).toContain("hairpin 10.42.0.1 10.42.0.1");
  });

  test("ports beyond the numbers there are are left out", () => {
    const numbers = createPortNumbers(1);
    expect(numbers.take("other")).toBe(1);
    expect(rowsOfPlan(plan([endpoint(1)]), [], numbers, context)).toEqual([]);
    numbers.release("other");
    expect(rowsOfPlan(plan([endpoint(1)]), [], numbers, context)).not.toEqual([]);
  });
});

test("rows of the node hold no range within another", () => {
  expect(text(rowsOfContext(context))).toEqual([
    "pods 10.42.0.0/16",
    "unmasked 10.42.0.0/16",
    "cidrs 10.96.0.0/16",
    "nodes 192.0.2.1/32",
  ]);
});
