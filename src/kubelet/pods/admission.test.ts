import { describe, expect, test } from "vitest";
import type { Node, Pod } from "../../kube/index.ts";
import { admit } from "./admission.ts";

const pod = (uid: string, spec: Partial<Pod["spec"]>, status: Pod["status"] = {}): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: uid, namespace: "default", uid },
  spec: { containers: [{ name: "c" }], ...spec },
  status,
});
const startTime = "2026-01-01T00:00:00Z";
const port = (hostPort: number): Partial<Pod["spec"]> => ({
  containers: [{ name: "c", ports: [{ containerPort: 80, hostPort }] }],
});
const node: Node = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "n", labels: { disk: "hdd" } },
  spec: {},
  status: { allocatable: { cpu: "1", memory: "1Gi", pods: "4" } },
};

/** What is said to it: a reason, or who ends for it. */
function said(one: Pod, others: readonly Pod[], where: Node | undefined = node): string {
  const answer = admit(one, others, where);
  return "rejected" in answer
    ? answer.rejected.reason
    : `admitted${answer.evict.map(({ metadata }) => ` ${metadata.name}`).join("")}`;
}

describe("host ports", () => {
  test.each([
    ["of a pod that runs", { startTime, phase: "Running" }, "NodePorts"],
    ["of a pod that has ended", { startTime, phase: "Failed" }, "admitted"],
  ] as const)("%s", (_, status, answer) => {
    expect(said(pod("a", port(8080)), [pod("a", port(8080)), pod("b", port(8080), status)])).toBe(answer);
  });

  test("another port, or a pod that was taken before, is fine", () => {
    const other = pod("b", port(8080), { startTime, phase: "Running" });
    expect(said(pod("a", port(8081)), [other])).toBe("admitted");
    expect(said(pod("a", port(8080), { startTime }), [other])).toBe("admitted");
  });
});

const running = (uid: string, cpu: string, priority = 0, limits = {}): Pod =>
  pod(uid, { priority, containers: [{ name: "c", resources: { requests: { cpu }, limits } }] }, { startTime });
const asks = (cpu: string, priority = 0): Pod =>
  pod("p", { priority, containers: [{ name: "c", resources: { requests: { cpu } } }] });

test("what does not fit is refused with what there is", () => {
  expect(admit(asks("600m"), [running("a", "500m")], node)).toEqual({
    rejected: {
      reason: "OutOfcpu",
      message: "Pod was rejected: Node didn't have enough resource: cpu, requested: 600, used: 500, capacity: 1000",
    },
  });
  expect(said(asks("500m"), [running("a", "500m")])).toBe("admitted");
  expect(said(asks("0"), [running("a", "1100m")])).toBe("admitted");
  expect(
    said(
      pod("p", {}),
      ["a", "b", "c", "d"].map((name) => running(name, "0")),
    ),
  ).toBe("OutOfpods");
  expect(said(pod("p", { nodeSelector: { disk: "ssd" } }), [])).toBe("NodeAffinity");
  expect(said(pod("p", { nodeSelector: { disk: "hdd" } }), [])).toBe("admitted");
  expect(said(asks("2"), [], { ...node, status: { allocatable: { cpu: "2", pods: "1" } } })).toBe("admitted");
});

describe("for a critical pod others end", () => {
  const most = 2_000_000_000;
  test.each<[string, Pod, Pod[], string]>([
    ["none when it fits", asks("500m", most), [running("a", "500m")], "admitted"],
    ["as few as will do", asks("500m", most), [running("a", "300m"), running("b", "600m")], "admitted b"],
    ["not those that give nothing", asks("500m", most), [running("a", "0"), running("b", "600m")], "admitted b"],
    ["the least of them", asks("500m", most), [running("a", "500m", 5), running("b", "500m", 9)], "admitted a"],
    [
      "those of a worse quality first",
      asks("500m", most),
      [running("a", "500m", 0, { cpu: "500m", memory: "1Mi" }), running("b", "500m", 9)],
      "admitted b",
    ],
    ["none that is as critical", asks("500m", most), [running("a", "600m", most)], "OutOfcpu"],
    ["none in vain", asks("1100m", most), [running("a", "600m")], "OutOfcpu"],
    ["none for others", asks("500m", most - 1), [running("a", "600m")], "OutOfcpu"],
  ])("%s", (_title, one, others, answer) => {
    expect(said(one, others)).toBe(answer);
  });
});
