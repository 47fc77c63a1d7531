import { setTimeout as sleep } from "node:timers/promises";
import type { converge, Exposure } from "../../src/loadbalancer/provider/index.ts";

/** A Service with a TCP and a UDP port on two nodes, as a provider is asked to expose it. */
export function exposure(more: Partial<Exposure> = {}): Exposure {
  return {
    key: { cluster: "lab", namespace: "ns", name: "web", uid: "u-1" },
    families: ["IPv4"],
    ports: [
      { name: "http", protocol: "TCP", port: 80, nodePort: 30_080 },
      { name: "dns", protocol: "UDP", port: 53, nodePort: 30_053 },
    ],
    targets: [
      { node: "a", addresses: ["10.0.0.1"] },
      { node: "b", addresses: ["10.0.0.2"] },
    ],
    sourceRanges: [],
    sessionAffinity: "None",
    annotations: {},
    ...more,
  };
}

/** Does it until it is done; with the reasons of failures on the way. Throws what will not mend itself. */
export async function settle(work: () => ReturnType<typeof converge>) {
  const reasons: string[] = [];
  for (let tries = 0; tries < 300; tries++) {
    const result = await work();
    if (result.state === "done") return { ...result, reasons };
    if (result.state === "failed") reasons.push(result.reason);
    if (result.state === "failed" && ["Refused", "Broken", "Credentials"].includes(result.reason))
      throw new Error(result.message);
    await sleep(result.again === undefined ? 10 : Math.min(result.again, 50));
  }
  throw new Error(`it does not come to rest: ${reasons.join()}`);
}
