import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { ServiceEndpoint } from "../../services/index.ts";
import { openEpollTcpServer, type Bounds } from "./epoll-tcp.ts";
import { openNodeTcpServer } from "./node-tcp.ts";
import { openPoller } from "./poller.ts";
import { errors, openSocketCalls, type SocketCalls } from "./socket-calls.ts";
import type { Connection, OpenServer, Server, Target } from "./target.ts";

const calls = process.platform === "linux" ? await openSocketCalls() : undefined;
const ways: (readonly [string, OpenServer])[] = [["Node.js", openNodeTcpServer]];
if (calls) ways.push(["epoll", openEpollTcpServer(calls, openPoller(calls))]);

const address = "127.96.77.1";
const pattern = (size: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 9)) & 255));

describe.each(ways)("TCP by %s", (_name, open) => {
  const toClose: { close(): unknown }[] = [];
  const connections = new Set<Connection>();
  afterEach(async () => {
    for (const one of toClose.splice(0)) one.close();
    for (const connection of connections) connection.destroy();
    await expect.poll(() => connections.size).toBe(0);
  });

  async function pod(serve: (socket: Socket) => void, host = "127.0.0.1"): Promise<ServiceEndpoint> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      serve(socket);
    }).listen(0, host);
    await once(server, "listening");
    toClose.push(server);
    return endpointOf(server);
  }

  function endpointOf(server: NetServer): ServiceEndpoint {
    const found = server.address();
    if (found === null || typeof found === "string") throw new Error("no address");
    return { address: found.address, port: found.port } as ServiceEndpoint;
  }

  async function freePlace(host: string): Promise<number> {
    const server = createServer().listen(0, host);
    await once(server, "listening");
    const { port } = endpointOf(server);
    server.close();
    await once(server, "close");
    return port;
  }

  const told: string[] = [];
  async function serve(endpoints: readonly ServiceEndpoint[], more: Partial<Target> = {}, host = address) {
    told.length = 0;
    const target: Target = {
      endpointsFor: () => endpoints,
      reached: (client, { port }) => void told.push(`reached ${client} ${port}`),
      began: (_, { port }) => {
        told.push(`began ${port}`);
        return () => told.push(`ended ${port}`);
      },
      failed: ({ port }) => void told.push(`failed ${port}`),
      hold: () => Promise.resolve(false),
      came: ({ remoteAddress }) => void told.push(`came ${remoteAddress}`),
      ...more,
    };
    const port = await freePlace(host);
    const server: Server = await open({ address: host, port }, target, () => {}, connections);
    toClose.push(server);
    return { server, port, client: () => connect({ host, port, allowHalfOpen: true }) };
  }

  async function everything(socket: Socket): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of socket) parts.push(part as Buffer);
    return Buffer.concat(parts);
  }

  test("who speaks first is heard, either side", async () => {
    const endpoint = await pod((socket) => {
      socket.write("hello");
      socket.once("data", (data) => socket.end(data));
    });
    const { client } = await serve([endpoint]);
    const socket = client();
    const [hello] = (await once(socket, "data")) as [Buffer];
    expect(String(hello)).toBe("hello");
    expect([...connections][0]).toMatchObject({ remoteAddress: "127.0.0.1", localAddress: address, bytesWritten: 5 });
    socket.end("again");
    expect(String(await everything(socket))).toBe("again");
    await expect.poll(() => connections.size).toBe(0);
    expect(told).toEqual([
      "came 127.0.0.1",
      `reached 127.0.0.1 ${endpoint.port}`,
      `began ${endpoint.port}`,
      `ended ${endpoint.port}`,
    ]);
  });

  test("much of it both ways at once, past a slow reader, comes whole; each end alone", async () => {
    const data = pattern(4 << 20);
    const endpoint = await pod((socket) => void socket.pipe(socket));
    const { client } = await serve([endpoint]);
    const socket = client();
    socket.end(data);
    let count = 0;
    const got: Buffer[] = [];
    for await (const part of socket) {
      got.push(part as Buffer);
      if (++count % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(Buffer.concat(got).equals(data)).toBe(true);
  });

  test("an answer and an end that come together are both passed on", async () => {
    const endpoint = await pod((socket) => socket.end("bye"));
    const { client } = await serve([endpoint]);
    const answers = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const socket = client();
        const text = String(await everything(socket));
        socket.end();
        return text;
      }),
    );
    expect(new Set(answers)).toEqual(new Set(["bye"]));
  });

  test("a client that ends first still gets its answer", async () => {
    const endpoint = await pod((socket) => {
      socket.resume().on("end", () => socket.end("done"));
    });
    const { client } = await serve([endpoint]);
    const socket = client();
    socket.end();
    expect(String(await everything(socket))).toBe("done");
  });

  test("a reset of either side reaches the other", async () => {
    const endpoint = await pod((socket) => void socket.once("data", () => socket.resetAndDestroy()));
    const { client } = await serve([endpoint]);
    const socket = client();
    socket.write("x");
    const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
    expect(error.code).toBe("ECONNRESET");

    let seen: Promise<unknown[]> | undefined;
    const other = await pod((peer) => {
      seen = once(peer, "error");
      peer.write("hi");
    });
    const second = (await serve([other])).client();
    await once(second, "data");
    second.resetAndDestroy();
    expect(await seen).toMatchObject([{ code: "ECONNRESET" }]);
  });

  test("the next endpoint is tried, and who has none is reset", async () => {
    const nobody = { address: "127.0.0.1", port: await freePlace("127.0.0.1") } as ServiceEndpoint;
    const good = await pod((socket) => socket.end("good"));
    const { client } = await serve([nobody, nobody, good]);
    expect(String(await everything(client()))).toBe("good");
    expect(told.filter((line) => line.startsWith("failed"))).toHaveLength(2);
    const alone = (await serve([nobody])).client();
    expect(await once(alone, "error")).toMatchObject([{ code: "ECONNRESET" }]);
    const none = (await serve([])).client();
    expect(await once(none, "error")).toMatchObject([{ code: "ECONNRESET" }]);
  });

  test("a held client waits for its endpoint, and one that is let go is reset", async () => {
    const endpoint = await pod((socket) => socket.end("here"));
    let there = false;
    let decide: (answer: boolean) => void = () => {};
    const { client } = await serve([], {
      endpointsFor: () => (there ? [endpoint] : []),
      hold: () => new Promise((resolve) => (decide = resolve)),
    });
    const first = client();
    await expect.poll(() => connections.size).toBe(1);
    there = true;
    decide(true);
    expect(String(await everything(first.end()))).toBe("here");
    await expect.poll(() => connections.size).toBe(0);
    there = false;
    const second = client();
    await expect.poll(() => connections.size).toBe(1);
    for (const connection of connections) connection.resetAndDestroy();
    expect(await once(second, "error")).toMatchObject([{ code: "ECONNRESET" }]);
    there = true;
    decide(true);
  });

  test("the door closes, and those inside stay", async () => {
    const endpoint = await pod((socket) => void socket.pipe(socket));
    const { client, server } = await serve([endpoint]);
    const socket = client();
    socket.write("a");
    await once(socket, "data");
    server.close();
    expect(await once(client(), "error")).toMatchObject([{ code: "ECONNREFUSED" }]);
    socket.write("b");
    expect(String((await once(socket, "data"))[0])).toBe("b");
    socket.end();
    await once(socket.resume(), "end");
  });

  test("IPv6, on both sides", async () => {
    const endpoint = await pod((socket) => socket.end("six"), "::1");
    const { client } = await serve([endpoint], {}, "::1");
    expect(String(await everything(client()))).toBe("six");
    expect(told[0]).toBe("came ::1");
  });

  test("why a place cannot be opened is told by its code", async () => {
    const { port } = await serve([]);
    const target = {} as Target;
    const none = new Set<Connection>();
    await expect(open({ address, port }, target, () => {}, none)).rejects.toMatchObject({ code: "EADDRINUSE" });
    await expect(open({ address: "192.0.2.77", port }, target, () => {}, none)).rejects.toMatchObject({
      code: "EADDRNOTAVAIL",
    });
  });
});

describe.runIf(calls)("TCP by epoll, where the system says no", () => {
  const at = { address: "127.96.77.2", port: 18_377 };
  const toClose: (() => unknown)[] = [];
  afterEach(() => {
    for (const close of toClose.splice(0)) close();
  });
  const real = (): SocketCalls => {
    if (!calls) throw new Error("not on Linux");
    return calls;
  };

  async function serve(asked: SocketCalls, endpoints: readonly ServiceEndpoint[], bounds?: Bounds) {
    const connections = new Set<Connection>();
    const [problems, failed]: [string[], number[]] = [[], []];
    const target: Target = {
      endpointsFor: () => endpoints,
      reached() {},
      began: () => () => {},
      failed: ({ port }) => void failed.push(port),
      hold: () => Promise.resolve(false),
      came() {},
    };
    const openServer = openEpollTcpServer(asked, openPoller(asked), bounds);
    const server = await openServer(at, target, (problem) => void problems.push(problem), connections);
    toClose.push(() => {
      server.close();
      for (const one of connections) one.destroy();
    });
    return { problems, failed };
  }

  async function pod(): Promise<ServiceEndpoint> {
    const server = createServer((socket) => socket.end("good")).listen(0, "127.0.0.1");
    await once(server, "listening");
    toClose.push(() => server.close());
    const found = server.address();
    return { address: "127.0.0.1", port: typeof found === "object" ? (found?.port ?? 0) : 0 } as ServiceEndpoint;
  }

  const said = (): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({ host: at.address, port: at.port });
      socket.on("data", (data) => resolve(String(data)));
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
    });

  test("an endpoint that does not answer is given up for the next", async () => {
    // A program that is stopped and whose queue is full: the system drops what would open one more connection.
    const script = `const s = require("net").createServer(); s.listen({ host: "127.0.0.1", port: 0, backlog: 1 }, () => console.log(s.address().port))`;
    const stopped = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    toClose.push(() => stopped.kill("SIGKILL"));
    const port = Number(String(((await once(stopped.stdout, "data")) as [Buffer])[0]));
    stopped.kill("SIGSTOP");
    const filling = Array.from({ length: 4 }, () => connect({ host: "127.0.0.1", port }).on("error", () => {}));
    toClose.push(() => filling.forEach((socket) => socket.destroy()));
    await Promise.all(filling.slice(0, 2).map((socket) => once(socket, "connect")));
    const { failed, problems } = await serve(real(), [{ address: "127.0.0.1", port } as ServiceEndpoint, await pod()], {
      patience: 100,
    });
    expect(await said()).toBe("good");
    expect(failed).toEqual([port]);
    expect(problems).toEqual([`127.0.0.1:${port}: no answer to connect`]);
  });

  test("with too many open files a client is turned away at once, and the next is served", async () => {
    let full = true;
    const accept = (listener: number): number => {
      if (!full) return real().accept(listener);
      full = false;
      return errors.tooManyFiles;
    };
    const { problems } = await serve({ ...real(), accept }, [await pod()]);
    expect(await said()).toBe("ECONNRESET");
    expect(problems).toEqual([`${at.address}:${at.port}: accept EMFILE`]);
    expect(await said()).toBe("good");
  });

  test("descriptors above those for connections are left to others", async () => {
    const { problems, failed } = await serve(real(), [await pod()], { files: 3 });
    expect(await said()).toBe("ECONNRESET");
    expect(problems).toEqual([`${at.address}:${at.port}: too many open files: a client is turned away`]);
    expect(failed).toEqual([]);
  });

  test("when not even that helps, it rests and goes on", async () => {
    let calls = 0;
    const accept = (listener: number): number => (++calls < 5 ? errors.tooManyFiles : real().accept(listener));
    await serve({ ...real(), accept }, [await pod()]);
    expect(await said()).toBe("good");
  });

  test("no descriptor left for the way to an endpoint: the client is reset, and no endpoint is blamed", async () => {
    const { failed } = await serve({ ...real(), connect: () => errors.tooManyFiles }, [await pod()]);
    expect(await said()).toBe("ECONNRESET");
    expect(failed).toEqual([]);
  });
});
