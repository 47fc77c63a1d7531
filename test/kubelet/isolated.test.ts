import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resources } from "../../src/kube/index.ts";
import {
  createBridgeNetwork,
  createNamespaceIsolation,
  isolationProblem,
  stopProcessRuntime,
} from "../../src/kubelet/index.ts";
import { systemCommands } from "../../src/system/index.ts";
import { buildPrograms } from "./built.ts";
import { isReady, startTestNode, type TestNode } from "./cluster.ts";
import { kubeletGet } from "./https.ts";

const problem = await isolationProblem(systemCommands);
const inside = process.env["FAIRLEAD_TEST_INSIDE"] === "1";
const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

describe.skipIf(inside || problem)(`pods in namespaces of their own (${problem ?? "root"})`, () => {
  test("everything below, inside a fresh network namespace", () => {
    const args = ["vitest", "run", "--project", "system", "test/kubelet/isolated.test.ts"];
    const { status, stdout, stderr } = spawnSync("unshare", ["--net", "npx", "--no-install", ...args], {
      cwd: root,
      env: { ...process.env, FAIRLEAD_TEST_INSIDE: "1" },
      encoding: "utf8",
    });
    expect(status, `${stdout}${stderr}`).toBe(0);
  });
});

const sh = (script: string): { image: string; command: string[] } => ({ image: "sh", command: ["sh", "-c", script] });

/** Outside, the test above stands for these: they are not skipped, they run in its child. */
const describeInside = inside ? describe : () => {};

describeInside("pods in namespaces", () => {
  const programs = inside ? buildPrograms() : { supervisor: [], echo: "" };
  let node: TestNode;

  beforeAll(async () => {
    // What a run that failed has left would fail this one too.
    rmSync("/fairlead-test", { recursive: true, force: true });
    execFileSync("ip", ["link", "set", "lo", "up"]);
    node = await startTestNode({
      programs,
      podCIDR: "10.42.7.0/24",
      network: (dir) =>
        createBridgeNetwork({ dir, commands: systemCommands, virtualRanges: ["10.96.0.0/16", "10.97.0.1/32"] }),
      isolation: (dir) => createNamespaceIsolation({ dir }),
    });
  });
  afterAll(async () => {
    await node.close();
    // Mount points that were missing on this machine are gone again.
    expect(existsSync("/fairlead-test")).toBe(false);
  });

  test("pods have addresses of the range and reach each other and the node", async () => {
    for (const name of ["a", "b"]) {
      node.pod(name, {
        containers: [
          {
            name: "web",
            image: "fairlead.dev/echo",
            env: [{ name: "DRAIN_SECONDS", value: "0" }],
            readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 },
          },
        ],
      });
    }
    const [a, b] = await Promise.all([node.until("a", isReady), node.until("b", isReady)]);
    const [addressA = "", addressB = ""] = [a.status?.podIP, b.status?.podIP];
    expect(addressA).toMatch(/^10\.42\.7\.\d+$/);
    expect(addressB).not.toBe(addressA);
    const containerId = a.status?.containerStatuses?.[0]?.containerID?.split("://")[1] ?? "";
    const script = `fetch("http://${addressB}:8080/").then(async (r) => console.log(await r.text()))`;
    const { stdout } = await node.runtime.exec(containerId, [process.execPath, "-e", script], { timeoutMs: 10_000 });
    expect(JSON.parse(stdout)).toMatchObject({ pod: "b", client: expect.stringContaining(`${addressA}:`) as string });
  });

  test("the kubelet may be killed: pods keep their addresses and answer", async () => {
    const before = await node.until("a", isReady);
    await node.stopKubelet();
    expect((await fetch(`http://${before.status?.podIP}:8080/`)).status).toBe(200);
    await node.startKubelet();
    const after = await node.until("a", isReady);
    expect(after.status?.containerStatuses).toEqual(before.status?.containerStatuses);
  });

  test("volumes are at their mount paths, read-only where asked, with the pod's resolv.conf, hosts and host name", async () => {
    node.client.put(resources.ConfigMap, {
      metadata: { name: "settings", namespace: "default" },
      data: { "app.conf": "v1\n" },
    });
    node.pod("files", {
      hostAliases: [{ ip: "192.0.2.9", hostnames: ["other.example"] }],
      volumes: [
        { name: "config", configMap: { name: "settings" } },
        { name: "data", emptyDir: {} },
      ],
      containers: [
        {
          name: "main",
          ...sh(
            "cat /fairlead-test/config/app.conf; (echo x > /fairlead-test/config/y) 2>/dev/null || echo read-only; echo kept > /fairlead-test/data/f; cat /fairlead-test/data/f; cat /etc/resolv.conf; grep other /etc/hosts; hostname; id -u; id -g; pwd; sleep 1000",
          ),
          workingDir: "/tmp",
          securityContext: { runAsUser: 65534, runAsGroup: 65533 },
          volumeMounts: [
            { name: "config", mountPath: "/fairlead-test/config", readOnly: true },
            { name: "data", mountPath: "/fairlead-test/data" },
          ],
        },
      ],
    });
    await node.until("files", isReady);
    await expect
      .poll(async () => (await kubeletGet(node, "/containerLogs/default/files/main")).body, { timeout: 5_000 })
      .toMatch(
        /^v1\nread-only\nkept\nnameserver 10\.96\.0\.10\nsearch default\.svc\.cluster\.local svc\.cluster\.local cluster\.local\noptions ndots:5\n192\.0\.2\.9\tother\.example\nfiles\n65534\n65533\n\/tmp\n$/,
      );
    // A change of the ConfigMap reaches the running container.
    const id = (await node.get("files"))?.status?.containerStatuses?.[0]?.containerID?.split("://")[1] ?? "";
    node.client.put(resources.ConfigMap, {
      metadata: { name: "settings", namespace: "default" },
      data: { "app.conf": "v2\n" },
    });
    const read = async (): Promise<string> =>
      (await node.runtime.exec(id, ["cat", "/fairlead-test/config/app.conf"], { timeoutMs: 5_000 })).stdout;
    await expect.poll(read, { timeout: 10_000 }).toBe("v2\n");
    await node.client.delete(resources.Pod, { namespace: "default", name: "files" }, { gracePeriodSeconds: 1 });
    await node.untilGone("files");
  });

  test("a container gives up what its security context says, and the pod's network has its sysctls", async () => {
    const show =
      "grep -E '^(CapEff|CapBnd|NoNewPrivs):' /proc/self/status; cat /proc/sys/net/ipv4/ip_local_port_range; sleep 1000";
    const drop = { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"], add: ["NET_BIND_SERVICE"] } };
    node.pod("careful", {
      securityContext: { sysctls: [{ name: "net.ipv4.ip_local_port_range", value: "20000 30000" }] },
      containers: [
        { name: "less", ...sh(show), securityContext: drop },
        { name: "same", ...sh(show) },
      ],
    });
    node.pod("careless", {
      securityContext: { sysctls: [{ name: "kernel.msgmax", value: "65536" }] },
      containers: [{ name: "main", ...sh("sleep 1000") }],
    });
    await node.until("careful", isReady);
    const said = (container: string) => async (): Promise<string> =>
      (await kubeletGet(node, `/containerLogs/default/careful/${container}`)).body.replaceAll(/[ \t]+/g, " ");
    const one = "0000000000000400";
    await expect
      .poll(said("less"), { timeout: 5_000 })
      .toBe(`CapEff: ${one}\nCapBnd: ${one}\nNoNewPrivs: 1\n20000 30000\n`);
    await expect.poll(said("same"), { timeout: 5_000 }).toMatch(/^CapEff: (?!0{16}).*\nNoNewPrivs: 0\n20000 30000\n$/s);
    expect(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8")).not.toContain("20000");
    const refused = await node.until("careless", ({ status }) => status?.phase === "Failed");
    expect(refused.status).toMatchObject({
      reason: "SysctlForbidden",
      message: 'Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted',
    });
  });

  test("a volume hides neither the node's files nor other volumes, and may have another inside", async () => {
    const volumes = ["outer", "inner", "deep"].map((name) => ({ name, emptyDir: {} }));
    const volumeMounts = [
      // What the kubelet mounts comes from beneath it.
      { name: "outer", mountPath: tmpdir() },
      { name: "inner", mountPath: join(tmpdir(), "inner") },
      { name: "deep", mountPath: join(tmpdir(), "inner/deep/er") },
    ];
    const script = `cd ${tmpdir()}; grep -c hides /etc/hosts; echo x > inner/deep/er/f; find . -type f; sleep 1000`;
    node.pod("hides", { volumes, containers: [{ name: "main", ...sh(script), volumeMounts }] });
    await node.until("hides", isReady);
    await expect
      .poll(async () => (await kubeletGet(node, "/containerLogs/default/hides/main")).body, { timeout: 5_000 })
      .toMatch(/^1\n\.\/inner\/deep\/er\/f\n/);
    await node.client.delete(resources.Pod, { namespace: "default", name: "hides" }, { gracePeriodSeconds: 1 });
    await node.untilGone("hides");
  });

  test("a container says why it ended, or its last output does", async () => {
    node.pod("says", {
      restartPolicy: "Never",
      containers: [
        {
          name: "file",
          ...sh("echo output; printf done > /dev/fairlead-test-log"),
          terminationMessagePath: "/dev/fairlead-test-log",
        },
        { name: "output", ...sh("echo one; echo two; exit 3"), terminationMessagePolicy: "FallbackToLogsOnError" },
        { name: "well", ...sh("echo one"), terminationMessagePolicy: "FallbackToLogsOnError" },
      ],
    });
    const pod = await node.until("says", ({ status }) => status?.phase === "Failed");
    const said = (pod.status?.containerStatuses ?? []).map(({ name, state }) => [name, state?.terminated?.message]);
    expect(Object.fromEntries(said)).toEqual({ file: "done", output: "one\ntwo\n", well: undefined });
  });

  test("a pod that goes takes no volume away from one that stays", async () => {
    const spec = {
      volumes: [{ name: "data", emptyDir: {} }],
      containers: [
        { name: "main", ...sh("sleep 1000"), volumeMounts: [{ name: "data", mountPath: "/fairlead-test/shared" }] },
      ],
    };
    node.pod("goes", spec);
    node.pod("stays", spec);
    await node.until("goes", isReady);
    const stays = await node.until("stays", isReady);
    const id = stays.status?.containerStatuses?.[0]?.containerID?.split("://")[1] ?? "";
    const write = ["sh", "-c", "echo kept > /fairlead-test/shared/f"];
    expect(await node.runtime.exec(id, write, { timeoutMs: 5_000 })).toMatchObject({ exitCode: 0 });
    await node.client.delete(resources.Pod, { namespace: "default", name: "goes" }, { gracePeriodSeconds: 1 });
    await node.untilGone("goes");
    const read = await node.runtime.exec(id, ["cat", "/fairlead-test/shared/f"], { timeoutMs: 5_000 });
    expect(read.stdout).toBe("kept\n");
  });

  test("a supervisor in another mount namespace than the kubelet serves as well", async () => {
    const before = await node.until("a", isReady);
    await node.stopKubelet();
    await stopProcessRuntime(node.dir);
    // As `ip netns exec` does it, each time.
    node.supervisor.unshift("unshare", "--mount", "--propagation", "slave");
    await node.startKubelet();
    const apart = await node.until(
      "a",
      (pod) => isReady(pod) && pod.status?.containerStatuses?.[0]?.restartCount === 1,
    );
    expect(apart.status?.podIP).toBe(before.status?.podIP);
    node.pod("apart", {
      volumes: [{ name: "data", emptyDir: {} }],
      containers: [
        { name: "main", ...sh("sleep 1000"), volumeMounts: [{ name: "data", mountPath: "/fairlead-test/apart" }] },
      ],
    });
    const pod = await node.until("apart", isReady);
    const id = pod.status?.containerStatuses?.[0]?.containerID?.split("://")[1] ?? "";
    const script = "echo x > /fairlead-test/apart/f; hostname; ip -br address show dev eth0";
    const { stdout } = await node.runtime.exec(id, ["sh", "-c", script], { timeoutMs: 5_000 });
    expect(stdout).toMatch(new RegExp(`^apart\\neth0@.*${pod.status?.podIP}/32`));
    expect(existsSync("/fairlead-test/apart/f")).toBe(false);
  });

  test("hostNetwork pods have the node's address", async () => {
    node.pod("host", {
      hostNetwork: true,
      containers: [
        {
          name: "web",
          image: "fairlead.dev/echo",
          env: [
            { name: "PORT", value: "18099" },
            { name: "DRAIN_SECONDS", value: "0" },
          ],
        },
      ],
    });
    const pod = await node.until("host", isReady);
    expect(pod.status?.podIP).toBe("127.0.0.1");
    await expect
      .poll(async () => (await fetch("http://127.0.0.1:18099/").catch(() => undefined))?.status, { timeout: 5_000 })
      .toBe(200);
  });

  test("routes to other nodes follow the Node objects", async () => {
    execFileSync("ip", ["link", "add", "lan0", "type", "bridge"]);
    execFileSync("ip", ["address", "add", "10.41.0.1/24", "dev", "lan0"]);
    execFileSync("ip", ["link", "set", "lan0", "up"]);
    const other = (via: string) =>
      node.client.put(resources.Node, {
        metadata: { name: "n2" },
        spec: { podCIDR: "10.42.8.0/24" },
        status: { addresses: [{ type: "InternalIP", address: via }] },
      });
    const routes = (): string => execFileSync("ip", ["route", "show", "proto", "142"], { encoding: "utf8" });
    other("10.41.0.2");
    await expect.poll(routes).toMatch(/^10\.42\.8\.0\/24 via 10\.41\.0\.2 dev lan0/);
    other("10.41.0.3");
    await expect.poll(routes).toMatch(/^10\.42\.8\.0\/24 via 10\.41\.0\.3 dev lan0/);
    node.client.remove(resources.Node, { name: "n2" });
    await expect.poll(routes).toBe("");
  });

  test("what pods send outside leaves with the node's address", async () => {
    const ip = (...args: string[]): string => execFileSync("ip", args, { encoding: "utf8" });
    ip("netns", "add", "kubelet-outside");
    let server: ChildProcess | undefined;
    try {
      ip("link", "add", "out0", "type", "veth", "peer", "name", "eth0", "netns", "kubelet-outside");
      ip("address", "add", "192.0.2.1/24", "dev", "out0");
      ip("link", "set", "out0", "up");
      ip("-n", "kubelet-outside", "address", "add", "192.0.2.2/24", "dev", "eth0");
      ip("-n", "kubelet-outside", "link", "set", "eth0", "up");
      const net = "--net=/run/netns/kubelet-outside";
      server = spawn("nsenter", [net, process.execPath, programs.echo], {
        stdio: "ignore",
        env: { DRAIN_SECONDS: "0" },
      });
      const pod = await node.until("a", isReady);
      const id = pod.status?.containerStatuses?.[0]?.containerID?.split("://")[1] ?? "";
      const script = `fetch("http://192.0.2.2:8080/").then(async (r) => console.log((await r.json()).client))`;
      const ask = async (): Promise<string> =>
        (await node.runtime.exec(id, [process.execPath, "-e", script], { timeoutMs: 10_000 })).stdout;
      await expect.poll(ask, { timeout: 10_000 }).toMatch(/^192\.0\.2\.1:/);
    } finally {
      server?.kill();
      ip("netns", "delete", "kubelet-outside");
    }
  });

  test("a virtual address that nobody translates leads to the bridge, not away", () => {
    // The second is a range of one address, as `--lb-pool FIRST-LAST` may have them.
    for (const address of ["10.96.0.1", "10.97.0.1"]) {
      const route = execFileSync("ip", ["route", "get", address], { encoding: "utf8" });
      expect(route).toContain("dev fairlead0 src 10.42.7.1");
    }
  });

  /** What answers at an address of the node, as the pod's name. */
  const podAt = async (url: string): Promise<string | undefined> => {
    const answer = await fetch(url, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
    return ((await answer?.json()) as { pod?: string } | undefined)?.pod;
  };

  test("ports of the node lead to pods, one number at two addresses and for two protocols to three of them", async () => {
    const ports = {
      "port-loopback": [{ containerPort: 8080, hostPort: 8088, hostIP: "127.0.0.1" }],
      "port-address": [{ containerPort: 8080, hostPort: 8088, hostIP: "10.42.7.1" }],
      "port-udp": [{ containerPort: 8080 }, { containerPort: 5353, hostPort: 8088, protocol: "UDP" }],
    };
    for (const [name, own] of Object.entries(ports))
      node.pod(name, {
        containers: [
          {
            name: "web",
            image: "fairlead.dev/echo",
            env: [
              { name: "DRAIN_SECONDS", value: "0" },
              { name: "UDP_PORT", value: "5353" },
            ],
            ports: own,
          },
        ],
      });
    const byAddress = await node.until("port-address", isReady);
    await Promise.all([node.until("port-loopback", isReady), node.until("port-udp", isReady)]);
    await expect.poll(() => podAt("http://127.0.0.1:8088/"), { timeout: 30_000 }).toBe("port-loopback");
    await expect.poll(() => podAt("http://10.42.7.1:8088/"), { timeout: 30_000 }).toBe("port-address");

    const script = `fetch("http://10.42.7.1:8088/").then(async (r) => console.log((await r.json()).pod))`;
    const containerId = byAddress.status?.containerStatuses?.[0]?.containerID?.split("://")[1] ?? "";
    const { stdout } = await node.runtime.exec(containerId, [process.execPath, "-e", script], { timeoutMs: 10_000 });
    expect(stdout).toBe("port-address\n");

    const socket = createSocket("udp4");
    try {
      const answer = once(socket, "message");
      await expect
        .poll(
          () => {
            socket.send("hello", 8088, "10.42.7.1");
            return Promise.race([answer.then(([text]) => String(text)), sleep(200)]);
          },
          { timeout: 30_000 },
        )
        .toMatch(/^port-udp:/);
    } finally {
      socket.close();
    }
  });

  test("a pod that wants a port of the node that another pod has is refused; when that one goes, a new one has it", async () => {
    const next = (name: string) =>
      node.pod(name, {
        containers: [
          {
            name: "web",
            image: "fairlead.dev/echo",
            ports: [{ containerPort: 8080, hostPort: 8088, hostIP: "10.42.7.1" }],
            env: [{ name: "DRAIN_SECONDS", value: "0" }],
          },
        ],
      });
    next("port-refused");
    const refused = await node.until("port-refused", ({ status }) => status?.phase === "Failed");
    expect(refused.status?.reason).toBe("NodePorts");
    await node.client.delete(resources.Pod, { namespace: "default", name: "port-address" }, { gracePeriodSeconds: 1 });
    await node.untilGone("port-address");
    next("port-next");
    await expect.poll(() => podAt("http://10.42.7.1:8088/"), { timeout: 30_000 }).toBe("port-next");
  });

  test("a bridge that someone deletes and rules that someone flushes are put back, and pods answer again", async () => {
    const address = (await node.until("a", isReady)).status?.podIP;
    execFileSync("ip", ["link", "delete", "fairlead0"]);
    execFileSync("nft", ["flush", "ruleset"]);
    const answers = async () =>
      (await fetch(`http://${address}:8080/`, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined))?.status;
    await expect.poll(answers, { timeout: 30_000 }).toBe(200);
    const tables = () => execFileSync("nft", ["list", "tables"], { encoding: "utf8" });
    await expect.poll(tables, { timeout: 30_000 }).toContain("table ip fairlead_pods");
    expect(execFileSync("ip", ["route", "get", "10.96.0.1"], { encoding: "utf8" })).toContain("dev fairlead0");
    await expect.poll(() => podAt("http://127.0.0.1:8088/"), { timeout: 30_000 }).toBe("port-loopback");
  });
});
