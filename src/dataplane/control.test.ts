import { expect, test } from "vitest";
import { silentLogger } from "../system/index.ts";
import type { DataPlaneName } from "./choose.ts";
import { type ControlledPlane, switchAll } from "./control.ts";
import type { SwitchableDataPlane } from "./switchable.ts";

function fake(part: ControlledPlane["part"], cannot: readonly DataPlaneName[] = []) {
  let serving: DataPlaneName = "embedded";
  const plane = {
    get serving() {
      return serving;
    },
    switchTo(name: DataPlaneName) {
      if (cannot.includes(name)) return Promise.reject(new Error(`${part} cannot`));
      serving = name;
      return Promise.resolve();
    },
  } as SwitchableDataPlane;
  return { part, plane, unserved: () => undefined };
}

test("all are switched", async () => {
  const planes = [fake("ingress"), fake("gateway")];
  await switchAll(planes, "nginx", false, silentLogger);
  expect(planes.map(({ plane }) => plane.serving)).toEqual(["nginx", "nginx"]);
});

test("where one cannot be, none is", async () => {
  const planes = [fake("ingress"), fake("gateway", ["haproxy"])];
  await expect(switchAll(planes, "haproxy", false, silentLogger)).rejects.toThrow("gateway cannot");
  expect(planes.map(({ plane }) => plane.serving)).toEqual(["embedded", "embedded"]);
});
