// `fairlead ingress` is replaced pod by pod, as a Deployment does it, under clients of an Ingress and of a Gateway: none sees it.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Service } from "../../src/kube/index.ts";
import { eventually } from "../support/cluster.ts";
import { repository, type Running } from "../support/lab.ts";
import { startLoad } from "../support/load.ts";
import { edge, gateway, openReplicas, replica, type ReplicasLab, routeOf, why } from "./replicas-lab.ts";

const addresses = ["198.51.100.11", "198.51.100.12", "198.51.100.13", "198.51.100.14"];
const ingress = {
  apiVersion: "networking.k8s.io/v1",
  kind: "Ingress",
  metadata: { name: "web", namespace: "default" },
  spec: {
    ingressClassName: "fairlead",
    defaultBackend: { service: { name: "web", port: { number: 80 } } },
  },
};

describe.skipIf(why)(`a rolling update of fairlead ingress${why ? ` (${why})` : ""}`, () => {
  let replicas: ReplicasLab;
  beforeAll(async () => {
    replicas = await openReplicas(addresses);
    for (const object of [gateway("public"), routeOf("public"), ingress]) await replicas.apply(object);
    const flags = ["--node", "lab", "--mode", "nftables", "--control-socket", "", "--cluster-cidr", "10.42.0.0/16"];
    const proxy = [join(repository, "fairlead"), "proxy", "--kubeconfig", replicas.kubeconfig, ...flags];
    replicas.start(process.execPath, proxy);
  }, 120_000);
  afterAll(() => replicas?.close());

  const clusterIp = ({ namespace, name }: { namespace: string; name: string }): Promise<string> =>
    eventually(`Service ${name}`, async () => {
      const found = await replicas.kubectl([
        "get",
        "service",
        "-n",
        namespace,
        name,
        "--ignore-not-found",
        "-o",
        "json",
      ]);
      return found === "" ? undefined : (JSON.parse(found) as Service).spec.clusterIP;
    });

  test("no request fails, of whoever leads", { timeout: 180_000 }, async () => {
    const { lab, serve, replicasAre, curl } = replicas;
    const [first, second, ...later] = addresses as [string, string, ...string[]];
    let running: (readonly [address: string, process: Running])[] = [];
    for (const address of [first, second]) {
      running.push([address, await serve(address, "--shutdown-delay", "3")]);
      await replicasAre(...running.map(([each]) => replica(each)));
    }
    const targets = [
      await clusterIp(edge.metadata),
      await clusterIp({ namespace: "default", name: "public-fairlead" }),
    ];
    for (const target of targets)
      await eventually(`${target} answers`, async () =>
        (await curl(`http://${target}/`)) === '{"pod":"backend"}' ? true : undefined,
      );
    const loads = targets.map((target) => startLoad(lab, { url: `http://${target}/`, rate: 100 }));
    for (const address of later) {
      const started = await serve(address, "--shutdown-delay", "3");
      const [oldest, ...kept] = [...running, [address, started] as const];
      running = kept;
      if (!oldest) throw new Error("nobody is left to be replaced");
      // A pod that is deleted is told to stop as its endpoint is taken back.
      await replicasAre(...kept.map(([each]) => replica(each)), replica(oldest[0], "terminating"));
      await oldest[1].stop();
      await replicasAre(...kept.map(([each]) => replica(each)));
    }
    for (const load of loads) {
      const { sent, ok, failures } = await load.end();
      expect(failures).toEqual([]);
      expect(sent).toBeGreaterThan(0);
      expect(ok).toBe(sent);
    }
  });
});
