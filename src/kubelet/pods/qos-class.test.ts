import { expect, test } from "vitest";
import type { ResourceRequirements } from "../../kube/index.ts";
import { qosClass } from "./qos-class.ts";

test.each<[string, ResourceRequirements[]]>([
  ["BestEffort", [{}, {}]],
  ["Burstable", [{ requests: { cpu: "1" } }, {}]],
  ["Burstable", [{ limits: { cpu: "1", memory: "1Gi" } }, {}]],
  ["Burstable", [{ limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "500m" } }]],
  ["Guaranteed", [{ limits: { cpu: "1", memory: "1Gi" } }]],
  ["Guaranteed", [{ limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "1", memory: "1Gi" } }]],
])("qosClass %s of %j", (expected, resources) => {
  const containers = resources.map((resources, i) => ({ name: `c${i}`, resources }));
  expect(qosClass({ apiVersion: "v1", kind: "Pod", metadata: { name: "a" }, spec: { containers } })).toBe(expected);
});
