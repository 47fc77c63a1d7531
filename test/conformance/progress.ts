import { setTimeout as wait } from "node:timers/promises";
import type { TestCluster } from "../support/cluster.ts";

/** Says every `seconds` what the suite is at: it makes a namespace for each scenario, and nearly all of its time is waiting for what is in there. */
export async function tellProgress(cluster: TestCluster, signal: AbortSignal, seconds = 15): Promise<void> {
  const begun = Date.now();
  const scenarios = new Set<string>();
  while (!signal.aborted) {
    const columns = "NS:.metadata.namespace,NAME:.metadata.name,WANTED:.spec.replicas,READY:.status.readyReplicas";
    const asked = ["get", "deployments", "--all-namespaces", "--no-headers", "-o", `custom-columns=${columns}`];
    const { stdout, stderr } = await cluster
      .kubectl(asked)
      .catch((error: Error) => ({ stdout: "", stderr: error.message }));
    const rows = stdout.split("\n").map((line) => line.split(/ +/));
    const own = rows.filter(([namespace = ""]) => namespace.startsWith("ingress-conformance-"));
    for (const [namespace = ""] of own) scenarios.add(namespace);
    const waiting = own.filter(([, , wanted, ready]) => wanted !== ready).map(([, name]) => name);
    const state = waiting.length > 0 ? `waits for ${waiting.join(", ")}` : `${own.length} deployments are ready`;
    const fault = stderr === "" ? "" : ` (kubectl: ${stderr.trim()})`;
    console.log(`${Math.round((Date.now() - begun) / 1000)} s: scenario ${scenarios.size}, ${state}${fault}`);
    await wait(seconds * 1000, undefined, { signal }).catch(() => {});
  }
}
