import { expect, test } from "vitest";
import type { Pod } from "../../kube/index.ts";
import { rejectionOf } from "./admission.ts";

const pod = (uid: string, hostPort: number, status: Pod["status"] = {}): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: uid, namespace: "default", uid },
  spec: { containers: [{ name: "c", ports: [{ containerPort: 80, hostPort }] }] },
  status,
});
const startTime = "2026-01-01T00:00:00Z";

test.each([
  ["of a pod that runs", { startTime, phase: "Running" }, "NodePorts"],
  ["of a pod that has ended", { startTime, phase: "Failed" }, undefined],
  ["of a pod that was not begun either", {}, undefined],
] as const)("a host port %s", (_, status, reason) => {
  expect(rejectionOf(pod("a", 8080), [pod("a", 8080), pod("b", 8080, status)])?.reason).toBe(reason);
});

test("another port, or a pod that was taken before, is fine", () => {
  const other = pod("b", 8080, { startTime, phase: "Running" });
  expect(rejectionOf(pod("a", 8081), [other])).toBeUndefined();
  expect(rejectionOf(pod("a", 8080, { startTime }), [other])).toBeUndefined();
});
