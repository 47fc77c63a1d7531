import { once } from "node:events";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createFakeClient, type FakeClient } from "../../src/client/index.ts";
import { resources } from "../../src/kube/index.ts";
import { askConnections, startProxy, type Proxy } from "../../src/proxy/index.ts";
import { isAnswered, silentLogger, systemClock, systemCommands } from "../../src/system/index.ts";
import { service, slice } from "./objects.ts";

// All on loopback addresses of this process, as a cluster without root has it. Ports are this file's own.
const port = 18_311;
const target = 18_312;
const vip = "127.96.211.1";
const podAt = (i: number) => `127.42.211.${i}`;

describe("Services in user space", () => {
  let client: FakeClient;
  let proxy: Proxy;
  let stop: AbortController;
  const open: (Server | UdpSocket)[] = [];
  const events: string[] = [];
  /** Each proxy has its own: that of the one before may not be closed yet. */
  let control = "";
  let tests = 0;

  beforeEach(async () => {
    client = createFakeClient();
    control = join(tmpdir(), `fairlead-userspace-${process.pid}-${++tests}.sock`);
    stop = new AbortController();
    proxy = await startProxy({
      client,
      nodeName: "node1",
      mode: "userspace",
      nodeAddresses: ["127.41.211.1"],
      podCidrs: ["127.42.0.0/16"],
      serviceCidrs: ["127.96.0.0/16"],
      signal: stop.signal,
      clock: systemClock,
      log: silentLogger,
      commands: systemCommands,
      control,
      events: {
        event: (_, type, reason, message) => void events.push(`${type} ${reason} ${message}`),
        flush: () => Promise.resolve(),
      },
    });
    events.length = 0;
    await proxy.ready;
    await expect.poll(() => isAnswered(control), { timeout: 10_000 }).toBe(true);
  });
  afterEach(async () => {
    stop.abort();
    await proxy.stopped;
    for (const server of open.splice(0)) server.close();
  });

  async function settled(): Promise<void> {
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    await proxy.settled();
  }

  /** A pod that gives each connection to `serve`; by default it says its address and echoes. */
  async function pod(i: number, serve?: (socket: Socket) => void): Promise<Server> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      if (serve) return serve(socket);
      socket.write(`${podAt(i)}\n`);
      socket.pipe(socket);
    });
    open.push(server);
    await once(server.listen(target, podAt(i)), "listening");
    return server;
  }

  const web = (spec: object = {}) => service("web", { clusterIP: vip, ports: [{ port, protocol: "TCP" }], ...spec });
  const endpoints = (...pods: number[]) => slice("web", pods.map(podAt), { port: target });

  /** The first line that comes, or what went wrong. */
  function ask(address = vip, at = port): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect({ host: address, port: at });
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      socket.on("data", (data) => {
        resolve(String(data).trim());
        socket.destroy();
      });
      socket.on("close", () => resolve("closed"));
    });
  }

  test("connections are spread over the endpoints", async () => {
    for (const i of [1, 2, 3]) await pod(i);
    client.put(resources.Service, web());
    client.put(resources.EndpointSlice, endpoints(1, 2, 3));
    await settled();
    const answers = await Promise.all(Array.from({ length: 30 }, () => ask()));
    for (const i of [1, 2, 3]) expect(answers.filter((answer) => answer === podAt(i))).toHaveLength(10);
  });

  test("NodePorts, external and load-balancer addresses answer too", async () => {
    await pod(1);
    const spec = { type: "LoadBalancer", externalIPs: ["127.98.211.5"], ports: [{ port, nodePort: 31_811 }] };
    client.put(resources.Service, service("web", { clusterIP: vip, ...spec }, { lb: ["127.97.211.1"] }));
    client.put(resources.EndpointSlice, endpoints(1));
    await settled();
    for (const [address, at] of [
      [vip, port],
      ["127.98.211.5", port],
      ["127.97.211.1", port],
      ["127.41.211.1", 31_811],
      ["127.0.0.1", 31_811],
    ] as const)
      expect(await ask(address, at), address).toBe(podAt(1));
    expect(proxy.frontends()).toEqual([]);
    expect(proxy.frontends("default/web")).toHaveLength(5);
  });

  test("weights share out the turns, and an order to drop turns all away", async () => {
    for (const i of [1, 2, 3]) await pod(i);
    const annotated = (annotations: Record<string, string>) => {
      const plain = web();
      client.put(resources.Service, { ...plain, metadata: { ...plain.metadata, annotations } });
    };
    annotated({ "fairlead.dev/weights": `${podAt(1).split(":")[0] ?? ""}=4,${podAt(3).split(":")[0] ?? ""}=0` });
    client.put(resources.EndpointSlice, endpoints(1, 2, 3));
    await settled();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask()));
    expect(answers.filter((answer) => answer === podAt(1))).toHaveLength(16);
    expect(answers.filter((answer) => answer === podAt(2))).toHaveLength(4);
    annotated({ "fairlead.dev/override": "drop" });
    await settled();
    expect(await ask()).toBe("ECONNREFUSED");
  });

  test("an endpoint that does not answer is passed over for the next", async () => {
    await pod(2);
    client.put(resources.Service, web());
    client.put(resources.EndpointSlice, endpoints(1, 2, 3));
    await settled();
    expect(await Promise.all(Array.from({ length: 12 }, () => ask()))).toEqual(
      Array.from({ length: 12 }, () => podAt(2)),
    );
  });

  test("without endpoints the client is turned away, and let in when one comes", async () => {
    await pod(1);
    client.put(resources.Service, web());
    await settled();
    expect(await ask()).toBe("ECONNREFUSED");
    client.put(resources.EndpointSlice, endpoints(1));
    await settled();
    expect(await ask()).toBe(podAt(1));
  });

  test("with affinity a client stays with its endpoint", async () => {
    for (const i of [1, 2, 3]) await pod(i);
    client.put(resources.Service, web({ sessionAffinity: "ClientIP" }));
    client.put(resources.EndpointSlice, endpoints(1, 2, 3));
    await settled();
    const first = await ask();
    expect(await Promise.all(Array.from({ length: 9 }, () => ask()))).toEqual(Array.from({ length: 9 }, () => first));
  });

  test("each side may end its direction alone", async () => {
    await pod(1, (socket) => {
      let received = 0;
      socket.on("data", (data) => (received += data.length));
      socket.on("end", () => socket.end(`received ${received}`));
    });
    client.put(resources.Service, web());
    client.put(resources.EndpointSlice, endpoints(1));
    await settled();
    const socket = connect({ host: vip, port, allowHalfOpen: true });
    socket.end(Buffer.alloc(1 << 20));
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(String(answer)).toBe(`received ${1 << 20}`);
  });

  test("a slow reader holds the writer back, and gets every byte", async () => {
    const size = 32 << 20;
    let sender: Socket | undefined;
    await pod(1, (socket) => {
      sender = socket;
      socket.end(Buffer.alloc(size, 7));
    });
    client.put(resources.Service, web());
    client.put(resources.EndpointSlice, endpoints(1));
    await settled();
    const socket = connect({ host: vip, port });
    socket.pause();
    await once(socket, "connect");
    await expect.poll(() => sender?.bytesWritten ?? 0).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    // What has left the sender's buffers is bounded by the buffers on the way, not by the size of the answer.
    expect(sender?.writableLength).toBeGreaterThan(size / 2);
    let received = 0;
    socket.on("data", (data) => (received += data.length)).resume();
    await once(socket, "end");
    expect(received).toBe(size);
  });

  test("a reset of the endpoint reaches the client", async () => {
    await pod(1, (socket) => setTimeout(() => socket.resetAndDestroy(), 20));
    client.put(resources.Service, web());
    client.put(resources.EndpointSlice, endpoints(1));
    await settled();
    expect(await ask()).toBe("ECONNRESET");
  });

  test("connections to an endpoint that is removed go on; the Service's removal closes the door only", async () => {
    await pod(1);
    await pod(2);
    client.put(resources.Service, web());
    client.put(resources.EndpointSlice, endpoints(1));
    await settled();
    const socket = connect({ host: vip, port });
    await once(socket, "data");
    client.put(resources.EndpointSlice, endpoints(2));
    await settled();
    expect(await ask()).toBe(podAt(2));
    client.remove(resources.Service, { namespace: "default", name: "web" });
    await settled();
    expect(await ask()).toBe("ECONNREFUSED");
    socket.write("still here");
    expect(String(((await once(socket, "data")) as [Buffer])[0])).toBe("still here");
    socket.destroy();
  });

  test("many Services and connections at once; all end with the proxy", async () => {
    const warnings: string[] = [];
    const onWarning = (warning: Error) => warnings.push(warning.message);
    process.on("warning", onWarning);
    await pod(1);
    for (let i = 0; i < 30; i++) {
      client.put(resources.Service, service(`s${i}`, { clusterIP: `127.96.212.${i}`, ports: [{ port }] }));
      client.put(resources.EndpointSlice, slice(`s${i}`, [podAt(1)], { port: target }));
    }
    await settled();
    const sockets = await Promise.all(
      Array.from({ length: 90 }, async (_, i) => {
        const socket = connect({ host: `127.96.212.${i % 30}`, port });
        await once(socket, "data");
        return socket;
      }),
    );
    stop.abort();
    for (const socket of sockets) if (!socket.closed) await once(socket, "close");
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", onWarning);
    expect(warnings).toEqual([]);
  });

  test("an address that another program has is reported, and taken when it is free", async () => {
    await pod(1);
    const other = createServer();
    await once(other.listen(port, vip), "listening");
    client.put(resources.Service, web());
    client.put(resources.EndpointSlice, endpoints(1));
    await settled();
    expect(proxy.frontends()).toMatchObject([
      { service: "default/web", problem: "another program uses this address and port" },
    ]);
    other.close();
    await expect.poll(() => proxy.frontends(), { timeout: 5_000 }).toEqual([]);
    expect(await ask()).toBe(podAt(1));
  });

  const annotated = (annotations: Record<string, string>) => {
    const plain = web();
    return { ...plain, metadata: { ...plain.metadata, annotations } };
  };

  test("least-connections: the next goes to who has the fewest; each is listed with its endpoint and bytes until it ends", async () => {
    for (const i of [1, 2]) await pod(i);
    client.put(resources.Service, annotated({ "fairlead.dev/balance": "least-connections" }));
    client.put(resources.EndpointSlice, endpoints(1));
    await settled();
    const held: Socket[] = [];
    const hold = async (): Promise<void> => {
      const socket = connect({ host: vip, port });
      held.push(socket);
      await once(socket, "data");
    };
    for (let i = 0; i < 4; i++) await hold();
    client.put(resources.EndpointSlice, endpoints(1, 2));
    await settled();
    for (let i = 0; i < 4; i++) await hold();
    const listed = await askConnections(control, "default/web");
    const of = (i: number) => listed.filter((one) => one.endpoint === `${podAt(i)}:${target}`);
    expect([of(1).length, of(2).length]).toEqual([4, 4]);
    expect(listed[0]).toMatchObject({
      service: "default/web",
      protocol: "TCP",
      frontend: `${vip}:${port}`,
      received: 0,
    });
    expect(listed[0]?.sent).toBeGreaterThan(5);
    for (const socket of held.splice(0)) socket.destroy();
    await expect.poll(() => askConnections(control), { timeout: 5_000 }).toEqual([]);
  });

  test("an endpoint that keeps failing is tried last: it costs clients nothing any more", async () => {
    await pod(1);
    client.put(resources.Service, web());
    client.put(resources.EndpointSlice, endpoints(1, 2));
    await settled();
    // Nobody listens at the second: half of all are led there first, until it has failed three times.
    for (let i = 0; i < 20; i++) expect(await ask()).toBe(podAt(1));
    const server = await pod(2);
    for (let i = 0; i < 4; i++) expect(await ask()).toBe(podAt(1));
    server.close();
  });

  test("hold: clients of a Service without endpoints wait for one, are refused when none comes in time, and at once without it", async () => {
    await pod(1);
    client.put(resources.Service, annotated({ "fairlead.dev/hold": "20" }));
    client.put(resources.EndpointSlice, endpoints());
    await settled();
    const waiting = [ask(), ask()];
    await expect.poll(() => events.length, { timeout: 5_000 }).toBe(1);
    expect(events[0]).toContain("ConnectionsWaiting");
    client.put(resources.EndpointSlice, endpoints(1));
    expect(await Promise.all(waiting)).toEqual([podAt(1), podAt(1)]);
    client.put(resources.Service, annotated({ "fairlead.dev/hold": "1" }));
    client.put(resources.EndpointSlice, endpoints());
    await settled();
    expect(await ask()).toBe("ECONNRESET");
    client.put(resources.Service, web());
    await settled();
    expect(await ask()).toBe("ECONNREFUSED");
  });

  describe("UDP", () => {
    const dns = service("web", { clusterIP: vip, ports: [{ port, protocol: "UDP" }] });
    const udpEndpoints = (...pods: number[]) => slice("web", pods.map(podAt), { port: target, protocol: "UDP" });

    async function udpPod(i: number): Promise<void> {
      const socket = createSocket("udp4");
      open.push(socket);
      socket.on("message", (data, from) => socket.send(`${podAt(i)} ${String(data)}`, from.port, from.address));
      socket.bind(target, podAt(i));
      await once(socket, "listening");
    }

    async function ask(socket: UdpSocket): Promise<string> {
      socket.send("hello", port, vip);
      const [data] = (await once(socket, "message")) as [Buffer];
      return String(data);
    }

    test("datagrams reach an endpoint and answers come back; a client moves on when its endpoint goes", async () => {
      await udpPod(1);
      await udpPod(2);
      client.put(resources.Service, dns);
      client.put(resources.EndpointSlice, udpEndpoints(1));
      await settled();
      const socket = createSocket("udp4");
      open.push(socket);
      expect(await ask(socket)).toBe(`${podAt(1)} hello`);
      client.put(resources.EndpointSlice, udpEndpoints(2));
      await settled();
      expect(await ask(socket)).toBe(`${podAt(2)} hello`);
    });
  });
});
