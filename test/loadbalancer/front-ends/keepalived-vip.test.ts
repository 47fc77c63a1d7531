import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isStatus, resources } from "../../../src/kube/index.ts";
import { addressClaims } from "../../../src/loadbalancer/index.ts";
import { holderOf, noVipLab, openVipLab, sleep, type VipLab } from "../../support/vip-lab.ts";
import { repository } from "../../support/lab.ts";

const missing = noVipLab ?? (spawnSync("haproxy", ["-v"]).error ? "needs haproxy" : undefined);
const configMap = { namespace: "default", name: "vip-configmap" };

describe.skipIf(missing)(`fairlead keepalived-vip on three nodes${missing ? ` (${missing})` : ""}`, () => {
  let lab: VipLab;
  let proxyLogs = "";

  beforeAll(async () => {
    lab = await openVipLab({ nodes: 3, addresses: ["10.9.0.190"], agent: "keepalived-vip", six: true });
    for (const [pod, address, address6] of [
      ["echo", "10.9.0.210", "fd00:9::210"],
      ["other", "10.9.0.211", "fd00:9::211"],
    ] as const) {
      await lab.join(pod, [address, address6]);
      const script = join(repository, "test/support/tcp-tell.mjs");
      const child = lab.startOn(pod, process.execPath, script, pod, "::", "8080");
      await once(child.stdout ?? child, "data");
      // No packet of theirs has to go through the node that the client talks to.
      await service(pod === "echo" ? "default" : "elsewhere", "echoheaders", address, address6);
    }
    for (const node of lab.nodes) {
      await lab.on(node, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
      const program = join(repository, "fairlead");
      // Proxies of one machine's namespaces share its files, and each has to be the only one at its socket.
      const socket = join(lab.dir, `${node}-proxy.sock`);
      const flags = ["--kubeconfig", join(lab.dir, "kubeconfig"), "--node", node, "--control-socket", socket];
      const proxy = lab.startOn(node, process.execPath, program, "proxy", ...flags);
      for (const stream of [proxy.stdout, proxy.stderr])
        stream?.on("data", (chunk: Buffer) => (proxyLogs = `${proxyLogs}${node} ${String(chunk)}`.slice(-4000)));
    }
    for (const node of lab.nodes)
      await lab.startAgent(node, "--services-configmap=default/vip-configmap", "--use-unicast=true", "--vrid=100");
  });
  afterAll(async () => {
    await lab?.close();
  });

  async function service(namespace: string, name: string, pod: string, pod6: string): Promise<void> {
    if (namespace !== "default")
      await lab.client.create(resources.Namespace, { metadata: { name: namespace }, spec: {} });
    const metadata = { namespace, name };
    const both = { ipFamilyPolicy: "PreferDualStack", ipFamilies: ["IPv4", "IPv6"] };
    await lab.client.create(resources.Service, {
      metadata,
      spec: { ...both, ports: [{ port: 80, targetPort: 8080 }] },
    });
    for (const [addressType, address] of [
      ["IPv4", pod],
      ["IPv6", pod6],
    ] as const)
      await lab.client.create(resources.EndpointSlice, {
        metadata: {
          namespace,
          name: addressType === "IPv4" ? name : `${name}-6`,
          labels: { "kubernetes.io/service-name": name },
        },
        addressType,
        ports: [{ name: "", port: 8080, protocol: "TCP" }],
        endpoints: [{ addresses: [address] }],
      });
  }

  async function vips(data: Record<string, string>): Promise<void> {
    const found = await lab.client.get(resources.ConfigMap, configMap).catch(() => undefined);
    if (!found) {
      await lab.client.create(resources.ConfigMap, { metadata: configMap, data });
      return;
    }
    // The program writes into the same object what became of it.
    await lab.client.update(resources.ConfigMap, { ...found, data }).catch((error: unknown) => {
      if (!isStatus(error, "Conflict")) throw error;
      return vips(data);
    });
  }

  const ask = (address: string, port = "80"): Promise<string> =>
    lab.on("client", process.execPath, join(repository, "test/support/tcp-ask.mjs"), address, port);

  async function answers(address: string, wanted: RegExp): Promise<string> {
    let last = "";
    for (let tries = 0; tries < 150; tries++) {
      last = (await ask(address)).trim();
      if (wanted.test(last)) return last;
      await sleep(200);
    }
    const logs = await Promise.all(lab.nodes.map((node) => lab.log(node)));
    const told = JSON.stringify(await states());
    throw new Error(
      `${address} answers ${last}, not ${String(wanted)}: ${told}\n${proxyLogs}\n${logs.join("\n").slice(-4000)}`,
    );
  }

  async function states(): Promise<Record<string, { state: string; holder?: string }>> {
    const { metadata } = await lab.client.get(resources.ConfigMap, configMap);
    return JSON.parse(metadata.annotations?.["fairlead.dev/vip-status"] ?? "{}") as never;
  }

  test("NAT, PROXY and an address alone, from a ConfigMap that is made later; each told where it is", async () => {
    await vips({
      "10.9.0.150": "default/echoheaders",
      "10.9.0.151": "default/echoheaders:PROXY",
      "10.9.0.152": "",
      "10.9.0.153": "elsewhere/echoheaders",
      "10.9.0.154": "default/echoheaders:DR",
    });
    // The same port and the same name behind addresses of their own.
    expect(await answers("10.9.0.150", /^echo /)).toBe('echo ""');
    expect(await answers("10.9.0.153", /^other /)).toBe('other ""');
    expect(await answers("10.9.0.151", /PROXY/)).toMatch(
      /^echo "PROXY TCP4 10\.9\.0\.20\d 10\.9\.0\.151 \d+ 80\\r\\n"$/,
    );
    const holder = await holderOf(lab, "10.9.0.152");
    for (let tries = 0; (await states())["10.9.0.152"]?.holder !== holder && tries < 100; tries++) await sleep(100);
    expect(await states()).toMatchObject({
      "10.9.0.150": { state: "Serving" },
      "10.9.0.151": { state: "Serving" },
      "10.9.0.152": { state: "Held", holder },
      "10.9.0.154": { state: "Invalid", reason: "UnsupportedMethod" },
    });
    // Not one node for all of them: whoever has too many gives some up after a while.
    const ends = ["150", "151", "152", "153"];
    const held = () => Promise.all(ends.map((end) => holderOf(lab, `10.9.0.${end}`)));
    for (let tries = 0; new Set(await held()).size < 2 && tries < 100; tries++) await sleep(200);
    expect(new Set(await held()).size).toBeGreaterThan(1);
    const { items } = await lab.client.list(addressClaims);
    expect(items.every(({ spec }) => (spec.group ?? 0) >= 100)).toBe(true);
  });

  test("keepalived is killed: no second holder, and both ways serve again", async () => {
    for (const end of ["150", "151"]) {
      const address = `10.9.0.${end}`;
      const before = await holderOf(lab, address);
      await lab.killDaemon(before, "parent");
      await lab.killDaemon(before, "child").catch(() => {});
      await holderOf(lab, address);
      await answers(address, /^echo /);
      expect(await lab.holders(address)).toHaveLength(1);
    }
  });

  test("endpoints go: the address stays and refuses; they come back: it serves, by both ways", async () => {
    await endpoints();
    await answers("10.9.0.150", /error (?:ECONNREFUSED|ECONNRESET)/);
    await answers("10.9.0.151", /error /);
    expect(await lab.holders("10.9.0.150")).toHaveLength(1);
    await endpoints("10.9.0.211", "fd00:9::211");
    await answers("10.9.0.150", /^other /);
    await answers("10.9.0.151", /^other /);
  });

  /** Of default/echoheaders, IPv4 and IPv6. */
  async function endpoints(...addresses: readonly string[]): Promise<void> {
    for (const [i, name] of ["echoheaders", "echoheaders-6"].entries()) {
      const found = await lab.client.get(resources.EndpointSlice, { namespace: "default", name });
      const mine = addresses[i] === undefined ? [] : [{ addresses: [addresses[i]] }];
      await lab.client.update(resources.EndpointSlice, { ...found, endpoints: mine });
    }
  }

  /** What an endpoint was told of the client, by version 2 of the PROXY protocol; see its specification, section 2.2. */
  function proxyHeader(answer: string) {
    const bytes = Buffer.from(JSON.parse(answer.replace(/^\w+ /, "")) as string, "latin1");
    const [signature, command, family, length] = [
      bytes.toString("latin1", 0, 12),
      bytes[12],
      bytes[13],
      bytes.readUInt16BE(14),
    ];
    const size = family === 0x11 ? 4 : 16;
    const to = bytes.subarray(16 + size, 16 + 2 * size);
    return {
      signature,
      command,
      family,
      rest: bytes.length - 16 - length,
      to,
      port: bytes.readUInt16BE(18 + 2 * size),
    };
  }

  test("IPv6: NAT, PROXY and an address alone", async () => {
    const found = await lab.client.get(resources.ConfigMap, configMap);
    await vips({
      ...found.data,
      "fd00-9--150": "default/echoheaders",
      "fd00-9--151": "elsewhere/echoheaders:PROXY",
      "fd00-9--152": "",
    });
    expect(await answers("fd00:9::150", /^other /)).toBe('other ""');
    expect(await answers("fd00:9::151", /PROXY/)).toMatch(/^other "PROXY TCP6 fd00:9::20\d fd00:9::151 \d+ 80\\r\\n"$/);
    // Who holds it has nothing at the port: it answers for the address, and refuses.
    await holderOf(lab, "fd00:9::152");
    await answers("fd00:9::152", /error ECONNREFUSED/);
  });

  test("two Services at one address; clients stay with an endpoint only where the Service says so", async () => {
    const metadata = { namespace: "default", name: "mail" };
    await lab.client.create(resources.Service, { metadata, spec: { ports: [{ port: 25, targetPort: 8080 }] } });
    await lab.client.create(resources.EndpointSlice, {
      metadata: { ...metadata, labels: { "kubernetes.io/service-name": "mail" } },
      addressType: "IPv4",
      ports: [{ name: "", port: 8080, protocol: "TCP" }],
      endpoints: [{ addresses: ["10.9.0.210"] }, { addresses: ["10.9.0.211"] }],
    });
    const { data } = await lab.client.get(resources.ConfigMap, configMap);
    await vips({ ...data, "10.9.0.156": "default/echoheaders, default/mail" });
    await answers("10.9.0.156", /^other /);
    const whoAnswers = async (): Promise<Set<string>> => {
      const found = new Set<string>();
      for (let i = 0; i < 12; i++) found.add((await ask("10.9.0.156", "25")).split(" ")[0] ?? "");
      return found;
    };
    await until("both endpoints answer", async () => {
      const found = await whoAnswers();
      return found.has("echo") && found.has("other") && found.size === 2;
    });
    const spec = { sessionAffinity: "ClientIP" };
    await lab.client.patch(resources.Service, metadata, { type: "merge", body: { spec } });
    await until("one endpoint answers", async () => (await whoAnswers()).size === 1);
    await vips({ ...data });
  });

  test("version 2 of the PROXY protocol, and addresses that go with their endpoints", async () => {
    for (const node of lab.nodes) await lab.stopAgent(node, "SIGTERM");
    const flags = ["--proxy-protocol-version=2", "--withdraw-without-endpoints"];
    for (const node of lab.nodes)
      await lab.startAgent(node, "--services-configmap=default/vip-configmap", "--vrid=100", ...flags);
    const told = { signature: "\r\n\r\n\0\r\nQUIT\n", command: 0x21, rest: 0, port: 80 };
    const four = proxyHeader(await answers("10.9.0.151", /QUIT/));
    expect(four).toMatchObject({ ...told, family: 0x11, to: Buffer.from([10, 9, 0, 151]) });
    const six = proxyHeader(await answers("fd00:9::151", /QUIT/));
    expect({ ...six, to: six.to.toString("hex") }).toEqual({
      ...told,
      family: 0x21,
      to: "fd000009000000000000000000000151",
    });
    await endpoints();
    await until("nobody holds it", async () => (await lab.holders("10.9.0.150")).length === 0);
    // Nobody answers for it on the network either: that is what a router takes as a reason to send packets elsewhere.
    await answers("10.9.0.150", /error (?:EHOSTUNREACH|ETIMEDOUT)/);
    expect(await lab.holders("10.9.0.152")).toHaveLength(1);
    await endpoints("10.9.0.210", "fd00:9::210");
    await answers("10.9.0.150", /^echo /);
  });

  async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; !(await isSo()); tries++) {
      if (tries > 300) throw new Error(`never: ${what}`);
      await sleep(100);
    }
  }

  test("/health is of the daemon, and the last key takes all along", async () => {
    const health = await lab.on("node-1", "curl", "-sf", "http://127.0.0.1:8080/health");
    expect(health).toBe("OK\n");
    await vips({});
    await until("nothing is left", async () => {
      const left = await lab.client.list(addressClaims);
      const held = await Promise.all(["150", "151", "152", "153"].map((end) => lab.holders(`10.9.0.${end}`)));
      return left.items.length + held.flat().length === 0;
    });
  });
});
