import { expect, it } from "vitest";
import { statusTable } from "./status.ts";

it("statusTable prints further addresses beneath, and reasons under their row", () => {
  const text = statusTable([
    {
      namespace: "shop",
      kind: "Service",
      name: "web",
      way: "NodePort",
      addresses: ["192.0.2.7:30080/TCP", "192.0.2.8:30080/TCP"],
      names: [],
      endpoints: { ready: 0, total: 2 },
      reason: "0 of 2 pods ready",
    },
    {
      namespace: "shop",
      kind: "Service",
      name: "x",
      way: "ExternalName",
      addresses: ["example.org"],
      names: ["x.shop"],
    },
  ]);
  expect(text).toBe(
    `${[
      "NAMESPACE  NAME         WAY           ADDRESS              DNS NAME OR HOST  READY",
      "shop       service/web  NodePort      192.0.2.7:30080/TCP  -                 0/2",
      "                                      192.0.2.8:30080/TCP",
      "  └ not reachable: 0 of 2 pods ready",
      "shop       service/x    ExternalName  example.org          x.shop            -",
    ].join("\n")}\n`,
  );
});

it("statusTable says what to do when there is nothing", () => {
  expect(statusTable([])).toContain("kubectl expose");
});
