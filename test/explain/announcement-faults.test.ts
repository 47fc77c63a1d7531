import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exposureOptions, readFacts } from "../../src/cli/explain/facts.ts";
import { readObjects } from "../../src/cli/explain/objects.ts";
import { createCluster, parseSubject, tell } from "../../src/explain/index.ts";
import { resources } from "../../src/kube/index.ts";
import { addressClaims, addressPools, bgpPeers, type AnnounceSpec } from "../../src/loadbalancer/index.ts";
import { expectDocumented } from "../metrics/page.ts";
import { noBgpLab } from "../support/bgp-lab.ts";
import { repository } from "../support/lab.ts";
import { holderOf, nodeAddress, nodeAddress6, openVipLab, sleep, type VipLab } from "../support/vip-lab.ts";

// What keeps an address that a Service has from being reached, each done to real nodes with keepalived and BIRD, and named first by what
// `fairlead explain` says; beside it, what `fairlead status` says of those that are reached, and the metrics of a real run.

/** Nodes by what runs on them: two with `fairlead vip`, one with nothing, two with `fairlead bgp`, and one that load balancers leave out. */
const labels: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "node-1": { edge: "vip" },
  "node-2": { edge: "vip" },
  "node-3": { edge: "none" },
  "node-4": { edge: "bgp" },
  "node-5": { edge: "silent" },
  "node-6": { edge: "out", "node.kubernetes.io/exclude-from-external-load-balancers": "" },
};
const on = (edge: string) => ({ nodeSelector: { matchLabels: { edge } } });
const router = "10.9.0.254";

const pools: Readonly<Record<string, readonly [addresses: string, announce: AnnounceSpec]>> = {
  held: ["10.9.0.100-10.9.0.104", { protocol: "VRRP", ...on("vip") }],
  six: ["fd00:9::f100-fd00:9::f104", { protocol: "VRRP", ...on("vip") }],
  withdrawn: ["10.9.0.105", { protocol: "VRRP", withoutEndpoints: "Withdraw", ...on("vip") }],
  "no-node": ["10.9.0.106", { protocol: "VRRP", ...on("nowhere") }],
  excluded: ["10.9.0.107", { protocol: "VRRP", ...on("out") }],
  "no-agent": ["10.9.0.108", { protocol: "VRRP", ...on("none") }],
  routed: ["10.7.0.0/29", { protocol: "BGP", ...on("bgp") }],
  unspoken: ["10.7.1.0/29", { protocol: "BGP", ...on("vip") }],
  untold: ["10.7.2.0/29", { protocol: "BGP", ...on("bgp"), advertisements: [{ peers: ["other"] }] }],
  silent: ["10.7.3.0/29", { protocol: "BGP", ...on("silent") }],
};

describe.skipIf(noBgpLab)(`what is said of addresses on real nodes${noBgpLab ? ` (${noBgpLab})` : ""}`, () => {
  let lab: VipLab;
  let page = "";

  const fairlead = (namespace: string, ...args: string[]) =>
    lab.on(namespace, process.execPath, join(repository, "fairlead"), ...args);
  const kubeconfig = () => join(lab.dir, "kubeconfig");
  const endpoint = (name: string, address: string, nodeName: string) =>
    lab.client.create(resources.EndpointSlice, {
      metadata: { namespace: "default", name, labels: { "kubernetes.io/service-name": name } },
      addressType: address.includes(":") ? "IPv6" : "IPv4",
      ports: [{ port: 80 }],
      endpoints: [{ addresses: [address], nodeName, conditions: { ready: true } }],
    });
  /** A Service of a pool, with an endpoint on a node. */
  async function expose(name: string, pool: string, node: string | null = "node-1", spec = {}): Promise<string> {
    if (node !== null) await endpoint(name, nodeAddress(node), node);
    return lab.expose(name, spec, { "fairlead.dev/address-pool": pool });
  }
  async function explain(name: string) {
    const { objects } = await readObjects(lab.client);
    const facts = { clusterDomain: "cluster.local", podCidrs: [], serviceCidrs: [] };
    const source = { facts };
    const read = { cluster: createCluster(objects, facts), source, assumptions: [], warnings: [] };
    return tell(await readFacts(read), parseSubject(`service/${name}`, "default"), await exposureOptions(source));
  }
  const first = async (name: string) => (await explain(name)).findings[0];
  /** Waits until the first cause says this. */
  async function says(name: string, text: RegExp, check = "address-not-announced", seconds = 30): Promise<void> {
    const said = new Set<string>();
    for (let tries = 0; tries < seconds * 4; tries++) {
      const found = await first(name);
      said.add(JSON.stringify(found));
      if (found?.check === check && text.test([found.problem, ...found.evidence].join("\n"))) {
        expect(found).toMatchObject({ object: `Service default/${name}` });
        expect(found.remedy).not.toBe("");
        return;
      }
      await sleep(250);
    }
    const log = (await Promise.all(lab.nodes.map((node) => lab.log(node)))).join("\n").slice(-2_000);
    throw new Error(`of ${name} is said ${[...said].join("\n")}\n${log}`);
  }
  /** Waits until nothing is wrong with it. */
  async function isWell(name: string): Promise<void> {
    let found: Awaited<ReturnType<typeof first>>;
    for (let tries = 0; tries < 120; tries++) {
      found = await first(name);
      if (!found) return;
      await sleep(250);
    }
    throw new Error(`of ${name} is said ${JSON.stringify(found)}`);
  }
  const scrape = (namespace: string, port: number) =>
    lab.on(namespace, "curl", "-s", `http://127.0.0.1:${port}/metrics`);

  beforeAll(async () => {
    page = await readFile(join(repository, "docs/metrics.md"), "utf8");
    lab = await openVipLab({ nodes: 6, addresses: ["10.9.0.120"], announce: on("vip"), probe: true, six: true });
    for (const [name, own] of Object.entries(labels))
      await lab.client.patch(resources.Node, { name }, { type: "merge", body: { metadata: { labels: own } } });
    for (const [name, [addresses, announce]] of Object.entries(pools))
      await lab.client.create(addressPools, {
        metadata: { name },
        spec: { addresses: [addresses], autoAssign: false, announce },
      });
    for (const node of ["node-1", "node-2"]) await lab.startAgent(node, "--metrics-bind-address", "127.0.0.1:10259");
    for (const node of ["node-4", "node-5"]) {
      const args = ["bgp", "--node", node, "--kubeconfig", kubeconfig(), "--dir", join(lab.dir, node)];
      const metrics = ["--metrics-bind-address", "127.0.0.1:10259"];
      lab.startOn(node, process.execPath, join(repository, "fairlead"), ...args, ...metrics);
    }
    await lab.join("router", [router]);
    const session = (node: string, as: number) => `protocol bgp ${node.replace("-", "_")} {
  local ${router} as 64513; neighbor ${nodeAddress(node)} as ${as}; error wait time 1, 2; connect retry time 1; connect delay time 1;
  ipv4 { import all; export none; };
}\n`;
    const config = join(lab.dir, "router.conf");
    const head = `log stderr all;\nrouter id ${router};\nprotocol device { }\n`;
    // The second node is one of another AS than it says.
    await writeFile(config, head + session("node-4", 64_512) + session("node-5", 64_999));
    lab.startOn("router", "bird", "-f", "-c", config, "-s", `${config}.ctl`, "-P", `${config}.pid`);
  });
  afterAll(async () => {
    await lab?.close();
  });

  test("VRRP: who holds it is said, and nothing is wrong", async () => {
    const vip = await expose("held", "held");
    const holder = await holderOf(lab, vip);
    await isWell("held");
    const { chapters } = await explain("held");
    expect(chapters.find(({ title }) => title === "announced")?.lines).toEqual([
      expect.stringMatching(
        new RegExp(`^${vip} of pool held by VRRP: node ${holder} holds it since \\S+Z, 1 holder so far$`),
      ),
    ]);
  });

  test.each([
    ["no-node", /no node may announce addresses of pool no-node/],
    ["excluded", /node node-6 has the label node\.kubernetes\.io\/exclude-from-external-load-balancers/],
    ["no-agent", /`fairlead vip` runs on none of the nodes/],
  ])("VRRP: %s", async (name, text) => {
    await expose(name, name);
    await says(name, text);
  });

  test("VRRP: policy Local, and no pod where the address may be", async () => {
    await expose("local", "held", "node-3", { externalTrafficPolicy: "Local" });
    await says("local", /withheld: no node that may announce it would serve it/);
  });

  test("VRRP: withdrawn, as nothing is behind it: that is the cause", async () => {
    await expose("withdrawn", "withdrawn", null);
    await says("withdrawn", /no selector/, "no-selector-no-endpoints");
  });

  test("an address that a machine of the network has is not given: ARP and NDP are asked before", async () => {
    await lab.join("stranger", ["10.9.0.77", "10.9.0.103", "fd00:9::77", "fd00:9::f100"]);
    for (const [name, address, family] of [
      ["in-use", "10.9.0.103", "IPv4"],
      ["in-use-six", "fd00:9::f100", "IPv6"],
    ] as const) {
      await endpoint(name, family === "IPv4" ? nodeAddress("node-1") : nodeAddress6("node-1"), "node-1");
      await lab.client.create(resources.Service, {
        metadata: { namespace: "default", name, annotations: { "fairlead.dev/address": address } },
        spec: { type: "LoadBalancer", ipFamilies: [family], ports: [{ port: 80 }] },
      });
      const inUse = new RegExp(
        `${address} is in use by another machine: it answers as ([0-9a-f]{2}:){5}[0-9a-f]{2} on eth0`,
      );
      await says(name, inUse, "load-balancer-pending");
    }
    // Who does not ask for it gets the next.
    const given = [];
    for (const name of ["next-1", "next-2"]) given.push(await expose(name, "held"));
    expect(given).not.toContain("10.9.0.103");
    expect(new Set(given).size).toBe(2);
    expect(await expose("next-six", "six", null, { ipFamilies: ["IPv6"] })).toBe("fd00:9::f101");
    for (const name of ["in-use", "next-six"])
      await lab.client.delete(resources.Service, { namespace: "default", name });
  });

  test("VRRP: another machine answers for it as well", async () => {
    const { status } = await lab.client.get(resources.Service, { namespace: "default", name: "held" });
    const vip = status?.loadBalancer?.ingress?.[0]?.ip ?? "";
    await lab.on("stranger", "ip", "address", "add", `${vip}/32`, "dev", "eth0");
    await says("held", /another machine answers for 10\.9\.0\.\d+ beside node node-\d: clients reach either/);
    await lab.on("stranger", "ip", "address", "delete", `${vip}/32`, "dev", "eth0");
    await isWell("held");
  });

  test("BGP: no router, then none that the nodes speak with", async () => {
    await expose("routed", "routed");
    await says("routed", /there is no BGPPeer/);
    await lab.client.create(bgpPeers, {
      metadata: { name: "tor" },
      spec: { peerAddress: router, peerASN: 64_513, localASN: 64_512, connectRetrySeconds: 1, ...on("bgp") },
    });
    await isWell("routed");
    await expose("unspoken", "unspoken");
    await says("unspoken", /`fairlead bgp` runs on none of them, or no BGPPeer selects them/);
  });

  test("BGP: sessions are up, and none tells it", async () => {
    await expose("untold", "untold");
    await says("untold", /sessions are up, but none tells/);
  });

  test("BGP: policy Local, and no pod on a node that announces", async () => {
    await expose("routed-local", "routed", "node-3", { externalTrafficPolicy: "Local" });
    await says("routed-local", /withheld: no node that may announce it would serve it/);
  });

  test("BGP: nobody is where the router should be, the AS is another, the password is missing", async () => {
    await expose("silent", "silent");
    const peer = {
      peerAddress: "10.9.0.99",
      peerASN: 64_513,
      localASN: 64_512,
      connectRetrySeconds: 1,
      ...on("silent"),
    };
    await lab.client.create(bgpPeers, { metadata: { name: "second" }, spec: peer });
    await says("silent", /1 of 1 sessions are down: .*10\.9\.0\.99|1 of 1 sessions are down: .*(host|route|timed)/i);
    const change = (spec: object) => lab.client.patch(bgpPeers, { name: "second" }, { type: "merge", body: { spec } });
    await change({ peerAddress: router });
    await says("silent", /Bad peer AS/);
    await change({ passwordSecret: { namespace: "default", name: "none" } });
    await says("silent", /Secret default\/none/);
  });

  test("`fairlead status` has who holds each address, from reality", async () => {
    const table = await fairlead("api", "status", "--kubeconfig", kubeconfig());
    const line = (name: string) =>
      table.split("\n").find((one) => one.includes("LoadBalancer") && one.includes(`service/${name} `)) ?? table;
    const { items } = await lab.client.list(addressClaims);
    const holder = items.find(({ spec }) => spec.owners?.[0]?.name === "held")?.status?.holder ?? "none";
    expect(line("held")).toMatch(new RegExp(` 10\\.9\\.0\\.\\d+:80/TCP +${holder} \\(VRRP, \\d+(s|m\\d*s?)\\) `));
    expect(line("routed")).toMatch(/ 10\.7\.0\.\d+:80\/TCP +node-4 \(BGP, \d+(s|m\d*s?)\) /);
    expect(line("no-agent")).toMatch(/ nobody \(VRRP\) /);
    expect(table).toContain("└ not reachable: `fairlead vip` runs on none of the nodes that may hold 10.9.0.108");
  });

  test("metrics: what docs/metrics.md has is served, and says what is", async () => {
    const bgp = await scrape("node-4", 10_259);
    const balancer = await scrape("api", 10_258);
    let vip = "";
    let addresses: (string | undefined)[] = [];
    // What it holds may change between the two looks.
    for (let tries = 0; tries < 40; tries++) {
      vip = await scrape("node-1", 10_259);
      const held = await lab.on("node-1", "ip", "-o", "address", "show", "dev", "eth0");
      addresses = [...held.matchAll(/ (\S+)\/(?:32|128) /g)].map(([, address]) => address).sort();
      if (toldIn(vip).join() === addresses.join()) break;
      await sleep(250);
    }
    expectDocumented(page, vip + bgp, "Nodes that announce addresses", /^fairlead_(vip|bgp)_/);
    expect(toldIn(vip)).toEqual(addresses);
    expect(vip).toMatch(new RegExp(`^fairlead_vip_groups\\{state="held"\\} ${addresses.length}$`, "m"));
    // One of the two has held something, and so has left another state.
    const both = vip + (await scrape("node-2", 10_259));
    expect(both).toMatch(/^fairlead_vip_state_duration_seconds_count\{state="standby"\} \d+$/m);
    expect(bgp).toMatch(/^fairlead_bgp_sessions\{state="up"\} 1$/m);
    expect(bgp).toMatch(/^fairlead_bgp_session_transitions_total\{to="up"\} [1-9]$/m);
    expect(bgp).toMatch(/^fairlead_bgp_session_state_duration_seconds_count\{state="down"\} [1-9]$/m);
    expect(balancer).toMatch(/^fairlead_loadbalancer_addresses\{pool="withdrawn",state="assigned"\} 1$/m);
    expect(balancer).toMatch(/^fairlead_loadbalancer_addresses\{pool="withdrawn",state="free"\} 0$/m);
  });

  test("VRRP: keepalived dies and dies; then agents die, and after a while nobody believes what they said last", async () => {
    const vip = "10.9.0.120";
    await lab.client.patch(
      addressPools,
      { name: "lab" },
      { type: "merge", body: { spec: { announce: { nodeSelector: { matchLabels: { edge: "vip" } } } } } },
    );
    await expose("last", "lab");
    const holder = await holderOf(lab, vip);
    // The other one may not have it, so that it stays away.
    const other = holder === "node-1" ? "node-2" : "node-1";
    const label = (node: string, edge: string) =>
      lab.client.patch(resources.Node, { name: node }, { type: "merge", body: { metadata: { labels: { edge } } } });
    await label(other, "none");
    // It is killed whenever it is there again, until that was said.
    let isOver = false;
    const killing = (async () => {
      for (; !isOver; await sleep(100)) await lab.killDaemon(holder, "parent").catch(() => {});
    })();
    try {
      await says("last", /no node holds 10\.9\.0\.120\n(.*\n)*keepalived is gone/, undefined, 60);
    } finally {
      isOver = true;
      await killing;
    }
    await label(other, "vip");
    await isWell("last");
    const now = await holderOf(lab, vip);
    await lab.stopAgent(now, "SIGKILL");
    await says("last", new RegExp(`node ${now} was the last that said it holds 10\\.9\\.0\\.120`), undefined, 60);
    expect(await fairlead("api", "status", "--kubeconfig", kubeconfig())).toMatch(
      new RegExp(`service/last .* ${now} \\(VRRP, [0-9ms]+, not heard of\\)`),
    );
  });
});

/** The addresses that a node's metrics say it holds. */
function toldIn(metrics: string): (string | undefined)[] {
  return [...metrics.matchAll(/^fairlead_vip_address_held\{address="(\S+)"\} 1$/gm)]
    .map(([, address]) => address)
    .sort();
}
