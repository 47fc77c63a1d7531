import { Agent } from "node:http";
import { createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { begin, read, send, sendBytes } from "../clients.ts";
import { type Endpoint, eventually, startBackend } from "../cluster.ts";
import { type Fixture, rule } from "../suite.ts";
import type { Cannots } from "./index.ts";

/** A port that refuses connections. */
async function refusedPort(): Promise<number> {
  const backend = await startBackend("gone");
  await backend.close();
  return backend.port;
}

export function connectionsContract(made: Fixture, cannot: Cannots): void {
  test("keeps connections alive on both sides", async () => {
    const backend = await made.backend("a");
    let opened = 0;
    backend.server.on("connection", () => opened++);
    const cluster = await made.cluster();
    cluster.service("web", [backend]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    for (let i = 0; i < 50; i++) {
      const { request, answer } = begin(cluster, "/", { agent });
      request.on("socket", (socket) => sockets.add(socket));
      request.end();
      expect((await read(await answer)).status).toBe(200);
    }
    agent.destroy();
    expect(sockets.size).toBe(1);
    expect(opened).toBe(1);
  });

  test("a connection outlives answers of the proxy itself", async () => {
    const cluster = await made.shop("a");
    const get = (host: string) => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
    const bytes = get("other.test") + get("shop.test") + get("other.test");
    const codes = [...(await sendBytes(cluster.port("http"), bytes)).matchAll(/HTTP\/1\.1 (\d+)/g)].map(
      (found) => found[1],
    );
    expect(codes).toEqual(["404", "200", "404"]);
  });

  test("a refused connection costs nobody a request, whatever its method", async () => {
    const cluster = await made.cluster();
    const alive = await made.backend("alive");
    cluster.service("web", [{ port: await refusedPort() }, alive, { port: await refusedPort() }]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    for (let i = 0; i < 20; i++) {
      expect((await send(cluster, "/")).status).toBe(200);
      const posted = await send(cluster, "/", { method: "POST", body: "text" });
      expect([posted.status, JSON.parse(posted.body).body]).toEqual([200, "text"]);
    }
  });

  test("502 when every endpoint refuses", async () => {
    const cluster = await made.cluster();
    cluster.service("web", [{ port: await refusedPort() }, { port: await refusedPort() }]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    expect((await send(cluster, "/")).status).toBe(502);
  });

  test.skipIf(cannot.lost)(
    "repeats what an endpoint loses by closing an idle connection, but never a POST",
    async () => {
      let seen = 0;
      const sockets = new Set<Socket>();
      // Answers the first request of a connection and closes it at the second, as if it had been closing already.
      const server = createServer((socket) => {
        let requests = 0;
        sockets.add(socket);
        socket.on("error", () => {});
        socket.on("data", () => {
          seen++;
          if (++requests > 1) socket.destroy();
          else socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        });
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as { port: number };
      const cluster = await made.cluster();
      cluster.service("web", [{ port }]);
      cluster.addIngress("web", { rules: [rule("web")] });
      await cluster.served();
      for (let i = 0; i < 10; i++) expect((await send(cluster, "/")).status).toBe(200);
      seen = 0;
      const codes: number[] = [];
      for (let i = 0; i < 6; i++) codes.push((await send(cluster, "/", { method: "POST" })).status);
      expect(seen).toBe(6);
      // One that never sends a POST on an old connection loses none.
      expect(codes.filter((code) => code !== 200 && code !== 502)).toEqual([]);
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  );

  test("an endpoint that goes finishes what it has begun, and then its connections close", async () => {
    let finish = (): void => {};
    let connections = 0;
    const leaving = await made.backend("leaving", (request, response) => {
      if (request.url === "/slow") finish = () => response.end("finished");
      else response.end("leaving");
    });
    leaving.server.on("connection", (socket) => {
      connections++;
      socket.on("close", () => connections--);
    });
    const staying = await made.backend("staying", (_request, response) => response.end("staying"));
    const cluster = await made.cluster();
    cluster.service("web", [leaving]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    const { request, answer } = begin(cluster, "/slow");
    request.end();
    await eventually("the slow request is there", () => connections > 0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    cluster.endpoints("web", [staying, { port: leaving.port, terminating: true }]);
    await eventually("new requests go elsewhere", async () => (await send(cluster, "/")).body === "staying");
    cluster.endpoints("web", [staying]);
    await eventually("the endpoint is gone", async () => (await send(cluster, "/")).body === "staying");
    for (let i = 0; i < 10; i++) expect((await send(cluster, "/")).body).toBe("staying");
    finish();
    expect((await read(await answer)).body).toBe("finished");
    await eventually("its connections are closed", () => connections === 0);
  });

  test("a steady load loses no request while endpoints come and go", async () => {
    const cluster = await made.cluster();
    type Running = Awaited<ReturnType<Fixture["backend"]>> & { working: number };
    const start = async (): Promise<Running> => {
      const running = { working: 0 } as Running;
      const backend = await made.backend("x", (_request, response) => {
        running.working++;
        setTimeout(() => {
          running.working--;
          response.end("ok");
        }, Math.random() * 20);
      });
      return Object.assign(running, backend);
    };
    let live = [await start(), await start(), await start()];
    const show = (leaving?: Endpoint): void =>
      cluster.endpoints("web", [...live.map(({ port }) => ({ port })), ...(leaving ? [leaving] : [])]);
    cluster.service("web", live);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();

    const agent = new Agent({ keepAlive: true });
    const results: Promise<number>[] = [];
    let running = true;
    const load = (async () => {
      while (running) {
        const options = results.length % 2 ? { agent } : {};
        const method = results.length % 3 ? "GET" : "POST";
        const sent = send(cluster, "/", { ...options, method, ...(method === "POST" ? { body: "text" } : {}) });
        results.push(
          sent.then(
            ({ status }) => status,
            () => 0,
          ),
        );
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    for (let round = 0; round < 12 || results.length < 200; round++) {
      const [oldest, ...others] = live;
      if (!oldest) throw new Error("no backend is left");
      live = [...others, await start()];
      // As on a cluster: it is announced as terminating, works on until all have heard of it, and only then stops.
      show({ port: oldest.port, terminating: true });
      await eventually("all have heard of it", () => !cluster.sendsTo(oldest.port));
      await eventually("the endpoint is idle", () => oldest.working === 0);
      show();
      await oldest.close();
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    running = false;
    await load;
    const codes = await Promise.all(results);
    agent.destroy();
    expect(codes.length).toBeGreaterThan(150);
    expect(codes.filter((code) => code !== 200)).toEqual([]);
  });
}
