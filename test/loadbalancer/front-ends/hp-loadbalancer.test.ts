import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resources } from "../../../src/kube/index.ts";
import { repository } from "../../support/lab.ts";
import { holderOf, noVipLab, openVipLab, sleep, type VipLab } from "../../support/vip-lab.ts";

describe.skipIf(noVipLab)(`fairlead hp-loadbalancer on two nodes${noVipLab ? ` (${noVipLab})` : ""}`, () => {
  let lab: VipLab;
  let logs = "";
  let controller: ChildProcess;
  const program = join(repository, "fairlead");

  beforeAll(async () => {
    // Its agents are those of `fairlead vip`: `hp-loadbalancer daemon` is another name for them.
    lab = await openVipLab({ nodes: 2, addresses: ["10.9.0.190"] });
    const kubeconfig = join(lab.dir, "kubeconfig");
    for (const node of lab.nodes) {
      await lab.on(node, "sysctl", "-qw", "net.ipv4.ip_forward=1");
      const socket = join(lab.dir, `${node}-proxy.sock`);
      const flags = ["--kubeconfig", kubeconfig, "--node", node, "--control-socket", socket];
      lab.startOn(node, process.execPath, program, "proxy", ...flags);
      await lab.startAgent(node);
    }
    controller = startController("8081");
    for (const [name, address] of [
      ["coffee", "10.9.0.210"],
      ["tea", "10.9.0.211"],
    ] as const) {
      await lab.join(name, [address]);
      const script = join(repository, "test/support/tcp-tell.mjs");
      const child = lab.startOn(name, process.execPath, script, name, "0.0.0.0", "8080");
      await once(child.stdout ?? child, "data");
      const metadata = { namespace: "default", name: `${name}-svc` };
      await lab.client.create(resources.Service, { metadata, spec: { ports: [{ port: 80, targetPort: 8080 }] } });
      await lab.client.create(resources.EndpointSlice, {
        metadata: { ...metadata, labels: { "kubernetes.io/service-name": metadata.name } },
        addressType: "IPv4",
        ports: [{ name: "", port: 8080, protocol: "TCP" }],
        endpoints: [{ addresses: [address] }],
      });
    }
  });
  afterAll(async () => {
    await lab?.close();
  });

  function startController(port: string): ChildProcess {
    const range = ["VIP_ALLOCATION_START=10.9.0.150", "VIP_ALLOCATION_END=10.9.0.159"];
    const flags = ["--backend", "loadbalancer-daemon", "--kubeconfig", join(lab.dir, "kubeconfig"), "--no-probe"];
    const words = [program, "hp-loadbalancer", ...flags, `--status-address=127.0.0.1:${port}`];
    const child = lab.startOn("api", "env", ...range, process.execPath, ...words);
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => (logs = `${logs}${port} ${String(chunk)}`.slice(-4000)));
    return child;
  }

  const dataOf = async (name: string): Promise<Record<string, string>> =>
    (await lab.client.get(resources.ConfigMap, { namespace: "default", name })).data ?? {};

  async function bound(name: string): Promise<string> {
    let last: unknown;
    // Who leads may be dead: another finds out after 15 s.
    for (let tries = 0; tries < 450; tries++) {
      const data = await dataOf(name);
      if (data["status"] === "SUCCESS" && data["bind-ip"]) return data["bind-ip"];
      last = data;
      await sleep(100);
    }
    throw new Error(`${JSON.stringify(last)}\n${logs}`);
  }

  async function answers(address: string, wanted: RegExp): Promise<void> {
    let last = "";
    for (let tries = 0; tries < 150; tries++) {
      last = await lab.on("client", process.execPath, join(repository, "test/support/tcp-ask.mjs"), address, "80");
      if (wanted.test(last)) return;
      await sleep(200);
    }
    throw new Error(`${address} answers ${last}\n${logs}`);
  }

  test("two Services on port 80, each at the address that its ConfigMap is told", async () => {
    for (const name of ["coffee", "tea"])
      await lab.client.create(resources.ConfigMap, {
        metadata: { namespace: "default", name, labels: { app: "loadbalancer" } },
        data: { namespace: "default", "target-service-name": `${name}-svc` },
      });
    const [coffee, tea] = [await bound("coffee"), await bound("tea")];
    expect(new Set([coffee, tea]).size).toBe(2);
    await answers(coffee, /^coffee /);
    await answers(tea, /^tea /);
  });

  test("of two controllers one works; it is killed: the other goes on, and no address moves", async () => {
    const before = [await bound("coffee"), await bound("tea")];
    const second = startController("8082");
    const twins = async () =>
      (await lab.client.list(resources.Service)).items.filter(({ spec }) => spec.type === "LoadBalancer").length;
    const count = await twins();
    const isDone = once(controller, "exit");
    controller.kill("SIGKILL");
    await isDone;
    await lab.client.create(resources.ConfigMap, {
      metadata: { namespace: "default", name: "milk", labels: { app: "loadbalancer" } },
      data: { namespace: "default", "target-service-name": "coffee-svc" },
    });
    const milk = await bound("milk");
    expect(before).not.toContain(milk);
    await answers(milk, /^coffee /);
    expect([await bound("coffee"), await bound("tea")]).toEqual(before);
    expect(await twins()).toBe(count + 1);
    expect(second.exitCode).toBeNull();
  });

  test("the last ConfigMap goes, and its address with it", async () => {
    const address = await bound("tea");
    await holderOf(lab, address);
    await lab.client.delete(resources.ConfigMap, { namespace: "default", name: "tea" });
    for (let tries = 0; (await lab.holders(address)).length > 0; tries++) {
      if (tries > 150) throw new Error(`it is still held\n${logs}`);
      await sleep(100);
    }
    await answers(await bound("coffee"), /^coffee /);
  });
});
