import { expect, test } from "vitest";
import { formatTime, type Pod } from "../../kube/index.ts";
import { byDispensability } from "./ranking.ts";

const now = Date.UTC(2030, 0, 2);

interface Shape {
  node?: string;
  phase?: string;
  /** Seconds for which it has been ready. */
  ready?: number;
  restarts?: number;
  /** Seconds since it was made. */
  age?: number;
  cost?: string;
}

const pod = (
  name: string,
  { node = "n", phase = "Running", ready = 5000, restarts = 0, age = 9000, cost }: Shape,
): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name,
    uid: name,
    creationTimestamp: formatTime(now - age * 1000),
    ...(cost ? { annotations: { "controller.kubernetes.io/pod-deletion-cost": cost } } : {}),
  },
  spec: { containers: [], ...(node ? { nodeName: node } : {}) },
  status: {
    phase,
    conditions:
      ready > 0 ? [{ type: "Ready", status: "True", lastTransitionTime: formatTime(now - ready * 1000) }] : [],
    containerStatuses: [{ name: "c", restartCount: restarts, ready: ready > 0, image: "", imageID: "" }],
  },
});

test.each<[string, Shape, Shape]>([
  ["without a node", { node: "" }, { phase: "Pending", ready: 0 }],
  ["pending", { phase: "Pending" }, { ready: 0 }],
  ["not ready", { ready: 0 }, { cost: "-5" }],
  ["cheap", { cost: "-5" }, { node: "crowded" }],
  ["a number that is none costs nothing", { cost: "1e3", ready: 10 }, { cost: "1" }],
  ["on a crowded node", { node: "crowded" }, { ready: 10 }],
  ["ready for a short time", { ready: 10 }, { restarts: 9 }],
  ["often restarted", { restarts: 3 }, { age: 5 }],
  ["young", { age: 5 }, {}],
  ["of about the same age the order is by uid", { age: 9001 }, { age: 9000 }],
])("%s goes first", (_title, first, second) => {
  const crowd = (node: string | undefined) => (node === "crowded" ? 3 : 1);
  const order = byDispensability([pod("b", second), pod("a", first)], crowd, now);
  expect(order.map(({ metadata }) => metadata.name)).toEqual(["a", "b"]);
});
