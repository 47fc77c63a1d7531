import { expect, test } from "vitest";
import type { Node, Pod } from "../kube/index.ts";
import { createClusterState } from "./state.ts";

const node = (name: string): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name },
  spec: {},
  status: { allocatable: { cpu: "2" } },
});
const pod = (uid: string, nodeName?: string, phase = "Running"): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: uid, uid },
  spec: { containers: [{ name: "c", resources: { requests: { cpu: "500m" } } }], ...(nodeName ? { nodeName } : {}) },
  status: { phase },
});

function start() {
  const state = createClusterState();
  state.setNode(node("n1"));
  state.setNode(node("n2"));
  const cpu = () => state.nodes().map(({ requested }) => requested.get("cpu") ?? 0);
  return { state, cpu };
}

test("pods count where they are, until they end or go", () => {
  const { state, cpu } = start();
  state.setPod(pod("a", "n1"));
  state.setPod(pod("a", "n1"));
  state.setPod(pod("b", "n2"));
  expect(cpu()).toEqual([500, 500]);
  state.setPod(pod("a", "n1", "Succeeded"));
  state.removePod("b");
  expect(cpu()).toEqual([0, 0]);
});

test("an assumed pod counts, old news does not undo it, and it can be taken back", () => {
  const { state, cpu } = start();
  state.assume(pod("a"), "n1");
  state.setPod(pod("a"));
  expect(cpu()).toEqual([500, 0]);
  state.setPod(pod("a", "n2"));
  expect(cpu()).toEqual([0, 500]);
  state.forget("a");
  expect(cpu()).toEqual([0, 500]);
  state.assume(pod("b"), "n1");
  state.forget("b");
  expect(cpu()).toEqual([0, 500]);
});

test("pods of a node that comes later, or again, count from its first moment", () => {
  const { state, cpu } = start();
  state.setPod(pod("a", "n0"));
  expect(cpu()).toEqual([0, 0]);
  state.setNode(node("n0"));
  expect(cpu()).toEqual([500, 0, 0]);
  state.removeNode("n0");
  expect(cpu()).toEqual([0, 0]);
  state.setNode(node("n0"));
  expect(cpu()).toEqual([500, 0, 0]);
});
