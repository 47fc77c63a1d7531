import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, printed } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository, type Running } from "../support/lab.ts";

const backend = `require("node:http").createServer((q, a) => a.end("served")).listen(8081, "198.51.100.7")`;
const manifest = `
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { clusterIP: 10.96.0.80, ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web-1, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ port: 8081 }]
endpoints: [{ addresses: [198.51.100.7] }]
`;
const localRoute = ["local", "10.96.0.0/16", "dev", "lo", "table", "local", "proto", "143"];
/** Drops what the node sends to anyone but those who ask the proxy how it is. */
const othersRules = `table inet other {
  chain out {
    type filter hook output priority 0
    tcp sport 10256 accept
    tcp dport 10256 accept
    meta l4proto tcp drop
  }
}
`;

describe.skipIf(noKernel)(`/readyz?probe=datapath${noKernel ? ` (skipped: ${noKernel})` : ""}`, () => {
  let lab: Lab;
  let running: Running[] = [];
  const program = join(repository, "fairlead");
  const run = async (file: string, ...args: string[]) => printed(await lab.run(file, args));

  beforeAll(async () => {
    lab = await openLab("root");
    const file = join(lab.dir, "web.yaml");
    await writeFile(file, manifest);
    const own = ["--service-cidr", "10.96.0.0/16", "--control-socket", join(lab.dir, "s")];
    running = [
      lab.start(process.execPath, ["-e", backend]),
      lab.start(process.execPath, [program, "proxy", "--file", file, "--proxy-mode", "nftables", ...own]),
    ];
  });
  afterAll(async () => {
    await Promise.all(running.map((one) => one.stop()));
    await lab?.close();
  });

  interface Said {
    readonly ready: boolean;
    readonly mode: string;
    readonly reason?: string;
  }
  const said = async (): Promise<Said> => {
    const url = "http://127.0.0.1:10256/readyz?probe=datapath";
    return JSON.parse(await run("curl", "--silent", "--show-error", "--max-time", "10", url)) as Said;
  };
  const ready = async (mode: string) => {
    await eventually(`${mode} to be ready`, async () => {
      const now = await said();
      if (now.ready && now.mode === mode) return true;
      throw new Error(JSON.stringify(now));
    });
    expect(await run("curl", "--silent", "--show-error", "--max-time", "10", "http://10.96.0.80/")).toBe("served");
  };
  const unready = (reason: RegExp) =>
    eventually(`not to be ready: ${reason}`, async () => {
      const now = await said();
      if (!now.ready && reason.test(now.reason ?? "")) return true;
      throw new Error(JSON.stringify(now));
    });

  test.each(["nftables", "iptables", "userspace"])(
    "%s: says no while others drop packets, flush the rules, or the route is gone",
    async (mode) => {
      await eventually("the proxy", () => said().then(() => true));
      if (mode !== "nftables")
        await run(process.execPath, program, "proxy", "switch", "--to", mode, "--control-socket", join(lab.dir, "s"));
      await ready(mode);

      printed(await lab.run("nft", ["-f", "-"], { input: othersRules }));
      await unready(/canary at 127\.255\.10\.\d:\d+ was not answered/);
      await run("nft", "delete", "table", "inet", "other");
      await ready(mode);

      if (mode === "userspace") {
        await run("ip", "route", "delete", ...localRoute);
        await unready(/^cluster IP 10\.96\.0\.80 of Service default\/web is not this node's own/);
        await run("ip", "route", "add", ...localRoute);
      } else {
        // Once would be put right before it is seen.
        const others = lab.start("sh", ["-c", "while nft flush ruleset; do sleep 0.01; done"]);
        await unready(/canary at 127\.255\.10\.\d:\d+ /);
        await others.stop();
        await ready(mode);

        await run("ip", "route", "delete", "default");
        await unready(/^this node has no route to cluster IP 10\.96\.0\.80 of Service default\/web \(ENETUNREACH\)/);
        await run("ip", "route", "add", "default", "via", "198.51.100.1");
      }
      await ready(mode);
    },
  );
});
