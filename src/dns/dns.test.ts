import * as dnsPacket from "dns-packet";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createFakeClient, createInformers, type FakeClient } from "../client/index.ts";
import { resources } from "../kube/index.ts";
import { createMetrics, FakeClock, silentLogger, systemClock } from "../system/index.ts";
import { startDns, type Dns, type DnsOptions } from "./dns.ts";
import { writeDnsService } from "./service.ts";
import type { Endpoint } from "./upstream.ts";

let stop: AbortController;
let client: FakeClient;
beforeEach(async () => {
  stop = new AbortController();
  client = createFakeClient();
  await client.create(resources.Namespace, { metadata: { name: "shop" }, spec: {} });
});
afterEach(() => stop.abort());

const loopback = { address: "127.0.0.1", port: 0 };

async function start(more: Partial<DnsOptions> = {}): Promise<{ dns: Dns; at: Endpoint }> {
  const { signal } = stop;
  const informers = createInformers(client, { signal, log: silentLogger });
  const dns = startDns({
    informers,
    listen: [loopback],
    clusterDomain: "cluster.local",
    upstream: [],
    signal,
    clock: systemClock,
    log: silentLogger,
    ...more,
  });
  await dns.ready;
  return { dns, at: (await dns.listening)[0] as Endpoint };
}

const service = (name: string, spec: object) =>
  client.create(resources.Service, { metadata: { name, namespace: "shop" }, spec });

function encode(name: string, type = "A", id = 99): Buffer {
  const questions = [{ name, type: type as dnsPacket.RecordType, class: "IN" as const }];
  return dnsPacket.encode({ type: "query", id, flags: dnsPacket.RECURSION_DESIRED, questions });
}

async function askUdp(at: Endpoint, query: Buffer) {
  const socket = createSocket("udp4");
  try {
    socket.send(query, at.port, at.address);
    const [message] = (await once(socket, "message")) as [Buffer];
    return summary(message);
  } finally {
    socket.close();
  }
}

/** Sends all queries at once and reads as many responses. */
async function askTcp(at: Endpoint, ...queries: Buffer[]) {
  const socket = connect(at.port, at.address);
  for (const query of queries) {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.byteLength);
    socket.write(length);
    socket.write(query);
  }
  let received = Buffer.alloc(0);
  const responses: ReturnType<typeof summary>[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    received = Buffer.concat([received, chunk]);
    while (received.byteLength >= 2 && received.byteLength >= 2 + received.readUInt16BE()) {
      const end = 2 + received.readUInt16BE();
      responses.push(summary(received.subarray(2, end)));
      received = received.subarray(end);
    }
    if (responses.length === queries.length) break;
  }
  return responses;
}

function summary(message: Buffer) {
  const { id, answers = [], flag_aa, flag_tc } = dnsPacket.decode(message);
  const data = answers.map((record) => ("data" in record ? record.data : undefined));
  return { id, rcode: message.readUInt8(3) & 0xf, data, flag_aa, flag_tc };
}

/** Another name server: answers as told, or not at all. */
async function otherServer(respond: (name: string, query: Buffer) => Buffer | undefined) {
  const socket = createSocket("udp4");
  const asked: string[] = [];
  socket.on("message", (message, from) => {
    const name = dnsPacket.decode(message).questions?.[0]?.name ?? "";
    asked.push(name);
    const response = respond(name, message);
    if (response) socket.send(response, from.port, from.address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  stop.signal.addEventListener("abort", () => socket.close());
  return { asked, address: `127.0.0.1:${socket.address().port}` };
}

function respondWith(query: Buffer, data: string, rcode = 0): Buffer {
  const { id = 0, questions = [] } = dnsPacket.decode(query);
  const answers = questions.map(({ name }) => ({ name, type: "A" as const, class: "IN" as const, ttl: 60, data }));
  return dnsPacket.encode({ type: "response", id, flags: rcode, questions, answers: rcode === 0 ? answers : [] });
}

describe("over the network", () => {
  test("counts responses by transport and result", async () => {
    const metrics = createMetrics();
    const { at } = await start({ metrics });
    await service("web", { clusterIP: "10.96.0.20", clusterIPs: ["10.96.0.20"] });
    await expect.poll(() => askUdp(at, encode("web.shop.svc.cluster.local"))).toMatchObject({ rcode: 0 });
    await askTcp(at, encode("no.shop.svc.cluster.local"), encode("none.shop.svc.cluster.local"));
    const text = await metrics.text();
    expect(text).toMatch(/^fairlead_dns_responses_total\{protocol="udp",rcode="NOERROR"\} \d+$/m);
    expect(text).toMatch(/^fairlead_dns_responses_total\{protocol="tcp",rcode="NXDOMAIN"\} 2$/m);
  });

  test("answers over UDP and TCP, and follows changes", async () => {
    const { at } = await start();
    expect(await askUdp(at, encode("web.shop.svc.cluster.local"))).toMatchObject({ rcode: 3, data: [] });
    await service("web", { clusterIP: "10.96.0.20", clusterIPs: ["10.96.0.20"] });
    await expect
      .poll(() => askUdp(at, encode("web.shop.svc.cluster.local")))
      .toEqual({ id: 99, rcode: 0, data: ["10.96.0.20"], flag_aa: true, flag_tc: false });
    const queries = [1, 2, 3].map((id) => encode("WEB.shop.svc.cluster.local", "A", id));
    expect(await askTcp(at, ...queries)).toMatchObject([1, 2, 3].map((id) => ({ id, data: ["10.96.0.20"] })));
  });

  test("a resolver library understands it", async () => {
    const ports = [{ name: "http", port: 80, protocol: "TCP" }];
    await service("web", { clusterIP: "10.96.0.20", clusterIPs: ["10.96.0.20"], ports });
    const { at } = await start();
    const resolver = new Resolver();
    resolver.setServers([`${at.address}:${at.port}`]);
    const web = "web.shop.svc.cluster.local";
    expect(await resolver.resolve4(web, { ttl: true })).toEqual([{ address: "10.96.0.20", ttl: 5 }]);
    expect(await resolver.resolveSrv(`_http._tcp.${web}`)).toEqual([{ name: web, port: 80, priority: 0, weight: 100 }]);
    expect(await resolver.reverse("10.96.0.20")).toEqual([web]);
    expect(await resolver.resolveTxt("dns-version.cluster.local")).toEqual([["1.1.0"]]);
    await expect(resolver.resolve6(web)).rejects.toMatchObject({ code: "ENODATA" });
    await expect(resolver.resolve4("nothing.shop.svc.cluster.local")).rejects.toMatchObject({ code: "ENOTFOUND" });
  });

  test("an answer that is too large for a datagram is whole over TCP", async () => {
    await service("many", { clusterIP: "None", clusterIPs: ["None"] });
    await client.create(resources.EndpointSlice, {
      metadata: { name: "many-1", namespace: "shop", labels: { "kubernetes.io/service-name": "many" } },
      addressType: "IPv4",
      endpoints: Array.from({ length: 100 }, (_, i) => ({ addresses: [`10.42.0.${i}`], conditions: { ready: true } })),
    });
    const { at } = await start();
    const query = encode("many.shop.svc.cluster.local");
    expect((await askUdp(at, query)).flag_tc).toBe(true);
    const [whole] = await askTcp(at, query);
    expect(whole?.flag_tc).toBe(false);
    expect(new Set(whole?.data).size).toBe(100);
  });

  test("what is no query does no harm", async () => {
    const { at } = await start();
    const socket = createSocket("udp4");
    for (const bytes of [Buffer.from("x"), Buffer.alloc(600, 0xff), Buffer.alloc(12)])
      socket.send(bytes, at.port, at.address);
    const broken = connect(at.port, at.address);
    broken.write(Buffer.from([0, 3, 1, 2, 3]));
    await once(broken, "close");
    socket.close();
    expect((await askUdp(at, encode("dns-version.cluster.local", "TXT"))).data).toEqual([[Buffer.from("1.1.0")]]);
  });

  test("an address that is taken, and one that this machine does not have, are named in the error", async () => {
    const { at } = await start();
    await expect(start({ listen: [at] })).rejects.toThrow(
      `DNS cannot listen on 127.0.0.1 port ${at.port}: another program listens there`,
    );
    await expect(start({ listen: [{ address: "192.0.2.1", port: 0 }] })).rejects.toThrow(
      "this machine does not have the address",
    );
  });

  test("stops with its signal", async () => {
    const { dns, at } = await start();
    const open = connect(at.port, at.address);
    await once(open, "connect");
    stop.abort();
    await dns.stopped;
    await expect(askTcp(at, encode("cluster.local"))).rejects.toThrow("ECONNREFUSED");
  });

  test("says of no name that it does not exist before it knows the cluster", async () => {
    const never: FakeClient = {
      ...client,
      watch: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }),
    };
    const informers = createInformers(never, { signal: stop.signal, log: silentLogger });
    const dns = startDns({
      informers,
      listen: [loopback],
      clusterDomain: "cluster.local",
      upstream: [],
      signal: stop.signal,
      clock: systemClock,
      log: silentLogger,
    });
    const [at] = await dns.listening;
    expect(await askUdp(at as Endpoint, encode("web.shop.svc.cluster.local"))).toMatchObject({
      rcode: 2,
      flag_aa: false,
    });
  });
});

describe("names of others", () => {
  test("are asked for elsewhere, and the answer has the client's id", async () => {
    const other = await otherServer((_, query) => respondWith(query, "192.0.2.7"));
    const { at } = await start({ upstream: [other.address] });
    expect(await askUdp(at, encode("www.example.com"))).toMatchObject({
      id: 99,
      rcode: 0,
      data: ["192.0.2.7"],
      flag_aa: false,
    });
    expect(await askUdp(at, encode("nothing.shop.svc.cluster.local"))).toMatchObject({ rcode: 3 });
    expect(other.asked).toEqual(["www.example.com"]);
  });

  test("come from the next server when one fails or is not there", async () => {
    const failing = await otherServer((_, query) => respondWith(query, "", 2));
    const forging = await otherServer((_, query) => {
      const forged = respondWith(query, "192.0.2.66");
      forged.writeUInt16BE(forged.readUInt16BE() ^ 1);
      return forged;
    });
    const good = await otherServer((_, query) => respondWith(query, "192.0.2.7"));
    const clock = new FakeClock();
    const closed = "127.0.0.1:1";
    const { at } = await start({ upstream: [failing.address, closed, forging.address, good.address], clock });
    const asking = askUdp(at, encode("www.example.com"));
    await expect.poll(() => forging.asked.length).toBe(1);
    await clock.advance(2000);
    expect(await asking).toMatchObject({ rcode: 0, data: ["192.0.2.7"] });
    expect(failing.asked).toHaveLength(1);
  });

  test("get SERVFAIL when nobody answers, and a failure is passed on", async () => {
    const { at } = await start();
    expect(await askUdp(at, encode("www.example.com"))).toMatchObject({ rcode: 2 });
    stop.abort();
    stop = new AbortController();
    const failing = await otherServer((_, query) => respondWith(query, "", 5));
    const second = await start({ upstream: [failing.address] });
    expect(await askUdp(second.at, encode("www.example.com"))).toMatchObject({ rcode: 5 });
  });

  test("are never asked for at this server itself", async () => {
    const own = await otherServer(() => undefined);
    const { at } = await start({ upstream: [own.address, "127.0.0.9"], ownAddresses: ["127.0.0.1", "127.0.0.9"] });
    expect(await askUdp(at, encode("www.example.com"))).toMatchObject({ rcode: 2 });
    expect(own.asked).toEqual([]);
  });

  test("an upstream that is no address is refused at the start", async () => {
    await expect(start({ upstream: ["dns.example.com"] })).rejects.toThrow('not a name server: "dns.example.com"');
  });
});

describe("an ExternalName Service", () => {
  test("is led on to its name elsewhere", async () => {
    await service("other", { type: "ExternalName", externalName: "www.example.com" });
    const other = await otherServer((_, query) => respondWith(query, "192.0.2.7"));
    const { at } = await start({ upstream: [other.address] });
    const name = "other.shop.svc.cluster.local";
    expect(await askUdp(at, encode(name))).toMatchObject({ rcode: 0, data: ["www.example.com", "192.0.2.7"] });
    expect(await askUdp(at, encode(name, "CNAME"))).toMatchObject({ rcode: 0, data: ["www.example.com"] });
    expect(other.asked).toEqual(["www.example.com"]);
  });

  test("is led on inside the cluster, and a circle ends", async () => {
    await service("web", { clusterIP: "10.96.0.20", clusterIPs: ["10.96.0.20"] });
    await service("alias", { type: "ExternalName", externalName: "web.shop.svc.cluster.local" });
    await service("a", { type: "ExternalName", externalName: "b.shop.svc.cluster.local" });
    await service("b", { type: "ExternalName", externalName: "a.shop.svc.cluster.local" });
    await service("dead", { type: "ExternalName", externalName: "nothing.shop.svc.cluster.local" });
    const { at } = await start();
    const ask = (name: string) => askUdp(at, encode(`${name}.shop.svc.cluster.local`));
    expect(await ask("alias")).toMatchObject({ rcode: 0, data: ["web.shop.svc.cluster.local", "10.96.0.20"] });
    expect(await ask("a")).toMatchObject({ rcode: 2 });
    expect(await ask("dead")).toMatchObject({ rcode: 3, data: ["nothing.shop.svc.cluster.local"] });
  });
});

test("writes the Service kube-dns and where it leads, as soon as it can", async () => {
  const clock = new FakeClock();
  let refuse = 2;
  const slow: FakeClient = {
    ...client,
    apply: (resource, draft, options) => {
      if (refuse-- > 0) return Promise.reject(new Error("not yet"));
      return client.apply(resource, draft, options);
    },
  };
  const first = { address: "10.42.0.1", port: 8053 };
  const second = { address: "fd00::1", port: 8054 };
  const writing = writeDnsService({
    client: slow,
    clusterIPs: ["10.96.0.10", "fd00:96::a"],
    endpoints: [first, second],
    signal: stop.signal,
    clock,
    log: silentLogger,
  });
  for (let i = 0; i < 3; i++) await clock.advance(1000);
  await writing;
  const where = { namespace: "kube-system", name: "kube-dns" };
  const written = await client.get(resources.Service, where);
  expect(written.spec).toMatchObject({
    clusterIP: "10.96.0.10",
    clusterIPs: ["10.96.0.10", "fd00:96::a"],
    ipFamilies: ["IPv4", "IPv6"],
    ports: [
      { name: "dns", protocol: "UDP", port: 53, targetPort: 8053 },
      { name: "dns-tcp", protocol: "TCP", port: 53, targetPort: 8053 },
    ],
  });
  for (const [name, addressType, { address, port }] of [
    ["kube-dns-fairlead", "IPv4", first],
    ["kube-dns-fairlead-ipv6", "IPv6", second],
  ] as const) {
    const slice = await client.get(resources.EndpointSlice, { ...where, name });
    expect(slice).toMatchObject({
      metadata: { labels: { "kubernetes.io/service-name": "kube-dns" } },
      addressType,
      endpoints: [{ addresses: [address] }],
      ports: [{ port }, { port }],
    });
  }
});
