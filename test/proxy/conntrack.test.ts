import koffi from "koffi";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createFakeClient, type FakeClient } from "../../src/client/index.ts";
import { resources } from "../../src/kube/index.ts";
import { type Proxy, removeProxy, startProxy } from "../../src/proxy/index.ts";
import { parseFlows } from "../../src/proxy/conntrack.ts";
import { systemCommands } from "../../src/system/index.ts";
import { clientPod, createLab, labNode, type Lab, podAddress, whyNoLab } from "./lab.ts";
import { service, slice } from "./objects.ts";
import { sctpInit } from "./sctp.ts";

const why = whyNoLab ? ` (${whyNoLab})` : "";
const vip = "10.96.0.41";
/** Of no range that the proxy knows: before its Service is there, packets to it go on as they came. */
const external = "203.0.113.41";

/** Sends one SCTP packet from this network namespace. The kernels of small machines have no SCTP, but all of them track it. */
function sendSctp(to: string, port: number, sourcePort: number): void {
  const libc = koffi.load("libc.so.6");
  const [inet, raw, sctp] = [2, 3, 132];
  const socket = libc.func("int socket(int, int, int)")(inet, raw, sctp) as number;
  if (socket < 0) throw new Error("no raw socket");
  const address = Buffer.alloc(16);
  address.writeUInt16LE(inet, 0);
  for (const [i, part] of to.split(".").entries()) address[4 + i] = Number(part);
  const packet = sctpInit(sourcePort, port);
  const send = libc.func("long sendto(int, uint8_t *, size_t, int, uint8_t *, uint32_t)");
  const sent = Number(send(socket, packet, packet.length, 0, address, address.length));
  libc.func("int close(int)")(socket);
  if (sent !== packet.length) throw new Error(`${sent} of ${packet.length} bytes of a packet to ${to} were sent`);
}

describe.skipIf(whyNoLab).each(["nftables", "iptables"] as const)(`flows that the kernel tracks: %s${why}`, (mode) => {
  let lab: Lab;
  let client: FakeClient;
  let proxy: Proxy;
  let stop: AbortController;

  async function settled(): Promise<void> {
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    await proxy.settled();
    expect(proxy.failure()).toBeUndefined();
  }
  /** Where flows of a protocol to an address are answered from. */
  async function answeredBy(protocol: "udp" | "sctp", destination: string): Promise<string[]> {
    const { stdout } = await systemCommands.run("conntrack", ["-L", "-p", protocol]);
    const flows = [...parseFlows(stdout)].filter((flow) => flow.destination === destination);
    return [...new Set(flows.map(({ replySource }) => replySource))].sort();
  }

  beforeAll(async () => {
    lab = await createLab();
    for (let i = 0; i < 3; i++) await lab.pods.serve({ address: podAddress(i), port: 8080, protocol: "UDP" });
  });
  afterAll(() => lab?.close());
  beforeEach(async () => {
    stop = new AbortController();
    client = createFakeClient();
    proxy = await startProxy({
      ...labNode,
      client,
      mode,
      signal: stop.signal,
    });
    await proxy.ready;
  });
  afterEach(async () => {
    stop.abort();
    await proxy.stopped;
    await removeProxy(systemCommands);
  });

  const put = async (endpoints: readonly number[], protocol: "UDP" | "SCTP", name = "flows"): Promise<void> => {
    client.put(resources.EndpointSlice, slice(name, endpoints.map(podAddress), { protocol }));
    await settled();
  };

  test("SCTP: an endpoint that goes takes its flows along, and those of other Services stay", async () => {
    const ports = [{ port: 3868, protocol: "SCTP" }];
    client.put(resources.Service, service("flows", { clusterIP: vip, ports }));
    client.put(resources.Service, service("others", { clusterIP: "10.96.0.42", ports }));
    await put([0], "SCTP");
    await put([2], "SCTP", "others");
    sendSctp(vip, 3868, 5000);
    sendSctp("10.96.0.42", 3868, 5001);
    expect(await answeredBy("sctp", vip)).toEqual([podAddress(0)]);

    await put([1], "SCTP");
    await expect.poll(() => answeredBy("sctp", vip)).toEqual([]);
    // The same association, of the same port, is led to who is there now.
    sendSctp(vip, 3868, 5000);
    expect(await answeredBy("sctp", vip)).toEqual([podAddress(1)]);
    expect(await answeredBy("sctp", "10.96.0.42")).toEqual([podAddress(2)]);

    client.remove(resources.Service, { namespace: "default", name: "flows" });
    await settled();
    await expect.poll(() => answeredBy("sctp", vip)).toEqual([]);
    expect(await answeredBy("sctp", "10.96.0.42")).toEqual([podAddress(2)]);
  });

  test("SCTP: a flow that began before its Service, and was not led anywhere, is led to the first endpoint", async () => {
    sendSctp(external, 3868, 5002);
    expect(await answeredBy("sctp", external)).toEqual([external]);
    const ports = [{ port: 3868, protocol: "SCTP" }];
    client.put(resources.Service, service("flows", { clusterIP: vip, externalIPs: [external], ports }));
    await put([1], "SCTP");
    await expect.poll(() => answeredBy("sctp", external)).toEqual([]);
    sendSctp(external, 3868, 5002);
    expect(await answeredBy("sctp", external)).toEqual([podAddress(1)]);
  });

  test("UDP: the same, and the client's own port is answered", async () => {
    const ask = (timeout: number) =>
      lab.client.ask({ address: external, port: 53, protocol: "UDP", source: clientPod, localPort: 5354, timeout });
    expect(await ask(300)).toEqual({ silent: 1 });
    expect(await answeredBy("udp", external)).toEqual([external]);
    const ports = [{ port: 53, protocol: "UDP" }];
    client.put(resources.Service, service("flows", { clusterIP: vip, externalIPs: [external], ports }));
    await put([2], "UDP");
    await expect.poll(() => answeredBy("udp", external)).toEqual([]);
    expect(Object.keys(await ask(8_000)).map((one) => one.split(" ")[0])).toEqual([podAddress(2)]);
  });
});
