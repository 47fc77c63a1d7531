import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findCondition, resources } from "../../src/kube/index.ts";
import { addressClaims, claimName } from "../../src/loadbalancer/index.ts";
import { runOrThrow, systemCommands } from "../../src/system/index.ts";
import { holderOf, nodeAddress6, noVipLab, openVipLab, sleep, type Probe, type VipLab } from "../support/vip-lab.ts";

const dual = { ipFamilyPolicy: "RequireDualStack", ipFamilies: ["IPv4", "IPv6"] };

describe.skipIf(noVipLab)(`addresses of both families${noVipLab ? ` (${noVipLab})` : ""}`, () => {
  let lab: VipLab;
  let four: string;
  let six: string;
  let probe: Probe;

  beforeAll(async () => {
    lab = await openVipLab({ nodes: 2, six: true, addresses: ["10.9.0.100-10.9.0.109", "fd00:9::f100-fd00:9::f109"] });
    await lab.join("stranger", ["10.9.0.77", "fd00:9::77"]);
    for (const node of lab.nodes) await lab.startAgent(node, "--metrics-bind-address", "127.0.0.1:10259");
    four = await lab.expose("web", dual);
    const { status } = await lab.client.get(resources.Service, { namespace: "default", name: "web" });
    six = status?.loadBalancer?.ingress?.map(({ ip = "" }) => ip).find((ip) => ip.includes(":")) ?? "";
    await holderOf(lab, four);
    await holderOf(lab, six);
    probe = await lab.probe(six);
  });
  afterAll(async () => {
    await lab?.close();
  });

  const stranger = (...args: string[]) =>
    runOrThrow(systemCommands, "ip", ["-n", lab.namespace("stranger"), ...args, "dev", "eth0"]);
  const prefix = (address: string) => (address.includes(":") ? [`${address}/128`, "nodad"] : [`${address}/32`]);
  const conflict = async (address: string) => {
    const { status } = await lab.client.get(addressClaims, { name: claimName(address) });
    return findCondition(status?.conditions, "AddressConflict");
  };
  async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; !(await isSo()); tries++) {
      if (tries > 300) {
        const logs = await Promise.all(lab.nodes.map((node) => lab.log(node)));
        throw new Error(`it has not come to be that ${what}\n${logs.join("\n").slice(-3000)}`);
      }
      await sleep(100);
    }
  }
  const figure = async (node: string) => {
    const text = await lab.on(node, "curl", "-s", "http://127.0.0.1:10259/metrics");
    return /^fairlead_vip_address_conflicts (\d+)$/m.exec(text)?.[1];
  };

  test("IPv6: adverts of VRRPv3 go from node to node, and who takes over tells everybody unasked", async () => {
    // What is on the wire is counted by the switch.
    await runOrThrow(systemCommands, "nsenter", [`--net=/run/netns/${lab.namespace("switch")}`, "nft", "-f", "-"], {
      input: `table bridge seen {
        counter adverts {}
        counter told {}
        chain forward { type filter hook forward priority 0;
          ip6 saddr { ${lab.nodes.map(nodeAddress6).join(", ")} } ip6 daddr { ${lab.nodes.map(nodeAddress6).join(", ")} } ip6 nexthdr 112 ip6 hoplimit 255 @th,0,8 0x31 counter name adverts
          ip6 daddr ff02::1 icmpv6 type nd-neighbor-advert @th,33,1 0 @th,64,128 ${hex(six)} counter name told
        }
      }`,
    });
    const counted = async (name: string) => {
      const text = await runOrThrow(systemCommands, "nsenter", [
        `--net=/run/netns/${lab.namespace("switch")}`,
        "nft",
        "-j",
        "list",
        "counter",
        "bridge",
        "seen",
        name,
      ]);
      return Number(/"packets": (\d+)/.exec(text)?.[1]);
    };
    const before = await holderOf(lab, six);
    await until("adverts are seen", async () => (await counted("adverts")) > 10);
    await probe.start();
    await lab.killDaemon(before, "child");
    // Who held it may have told its neighbours more than once until now.
    const told = await counted("told");
    await holderOf(lab, six, (node) => node !== before);
    await until("neighbours are told", async () => (await counted("told")) >= told + 3);
    const seen = await probe.stop();
    expect(seen.answers).toEqual([before, ...lab.nodes.filter((node) => node !== before)]);
    expect(seen.dual).toBe(0);
    // Both families go on alone: what happens to one address is not the other's business.
    await holderOf(lab, four);
  });

  test("another machine answers for addresses that nodes hold, and for one that none holds yet: told, and no fight", async () => {
    const late = "10.9.0.109";
    const held = [four, six];
    const holders = new Map<string, string>();
    for (const address of held) holders.set(address, await holderOf(lab, address));
    for (const address of [...held, late]) await stranger("address", "add", ...prefix(address));
    await lab.expose("late", { loadBalancerIP: late });
    const mac = /link\/ether (\S+)/.exec(await stranger("link", "show"))?.[1] ?? "none";
    for (const address of [...held, late]) {
      await until(`${address} is told`, async () => (await conflict(address))?.status === "True");
      expect(await conflict(address)).toMatchObject({
        reason: "ForeignHolder",
        message: `${mac} on eth0 answers for it`,
      });
      // Events follow the condition.
      await until(`claim and Service of ${address} have an event`, async () => {
        const { items } = await lab.client.list(resources.Event, { namespace: "default" });
        const events = items.filter(({ reason, message }) => reason === "ForeignHolder" && message?.includes(address));
        return (
          events
            .map(({ involvedObject }) => involvedObject.kind)
            .sort()
            .join() === "AddressClaim,Service"
        );
      });
    }
    // The node that the last address would be on counts it as well.
    await until("the conflicts are counted", async () => {
      const figures = await Promise.all(lab.nodes.map(figure));
      return figures.reduce((sum, one) => sum + Number(one), 0) >= 3;
    });
    for (const address of held) expect(await lab.holders(address)).toEqual([holders.get(address)]);
    expect(await lab.holders(late)).toEqual([]);
    for (const address of [...held, late]) await stranger("address", "delete", ...prefix(address).slice(0, 1));
    for (const address of [...held, late])
      await until(`${address} is free of it`, async () => (await conflict(address))?.status === "False");
    for (const address of held) expect(await holderOf(lab, address)).toBe(holders.get(address));
    await holderOf(lab, late);
  });
});

/** An IPv6 address as nftables writes 128 bits. */
function hex(address: string): string {
  const [head = "", tail = ""] = address.split("::");
  const words = (text: string) => text.split(":").filter(Boolean);
  const zeros = Array.from({ length: 8 - words(head).length - words(tail).length }, () => "0");
  return `0x${[...words(head), ...zeros, ...words(tail)].map((one) => one.padStart(4, "0")).join("")}`;
}
