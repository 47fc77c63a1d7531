import { expect, test } from "vitest";
import type { Container, Pod } from "../kube/index.ts";
import { requestsOf } from "./resources.ts";

const container = (cpu: string, restartPolicy?: string): Container => ({
  name: "c",
  resources: { requests: { cpu } },
  ...(restartPolicy ? { restartPolicy } : {}),
});
const cpuOf = (containers: Container[], initContainers: Container[] = [], overhead?: Record<string, string>) => {
  const spec = { containers, initContainers, ...(overhead ? { overhead } : {}) };
  return requestsOf({ apiVersion: "v1", kind: "Pod", metadata: { name: "p" }, spec } satisfies Pod).get("cpu");
};

test("containers add up, init containers count by the most, sidecars with both", () => {
  expect(cpuOf([container("100m"), container("1")])).toBe(1100);
  expect(cpuOf([container("100m")], [container("300m"), container("200m")])).toBe(300);
  expect(cpuOf([container("100m")], [container("50m", "Always"), container("300m")])).toBe(350);
  expect(cpuOf([container("100m")], [container("300m"), container("50m", "Always")])).toBe(300);
  expect(cpuOf([container("500m")], [container("300m"), container("50m", "Always")], { cpu: "10m" })).toBe(560);
});
