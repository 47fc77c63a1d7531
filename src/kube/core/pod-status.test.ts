import { expect, test } from "vitest";
import type { ResourceRequirements } from "../generated/types.ts";
import { qosClassOf } from "./pod-status.ts";

const all = { cpu: "1", memory: "1Gi" };

test.each<[string, ResourceRequirements[]]>([
  ["BestEffort", [{}, {}]],
  ["BestEffort", [{ requests: { cpu: "0" } }]],
  ["Burstable", [{ requests: { cpu: "1" } }, {}]],
  ["Burstable", [{ limits: all }, {}]],
  ["Burstable", [{ limits: all, requests: { cpu: "500m" } }]],
  ["Guaranteed", [{ limits: all }]],
  ["Guaranteed", [{ limits: all, requests: { cpu: "1000m", memory: "1024Mi" } }]],
])("a pod is %s with %j", (expected, resources) => {
  expect(qosClassOf({ containers: resources.map((resources, i) => ({ name: `c${i}`, resources })) })).toBe(expected);
});
