// Clients that mean harm: slow ones, floods, windows that never open, connections that only stay. Each must lose what it holds, cost
// little, and nobody else may notice. ABUSE=full: 9,800 connections (a listener takes 10,000, HAProxy 9,900) and floods ten times as long (`npm run abuse:dataplane`).
import { readdirSync, readFileSync } from "node:fs";
import { Agent } from "node:http";
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type DataPlaneName, missingFor, startDataPlane } from "../../../src/dataplane/index.ts";
import { embeddedProgram } from "../../support/embedded-program.ts";
import { send } from "../clients.ts";
import { type Backend, eventually, startBackend, startCluster, type TestCluster } from "../cluster.ts";
import { rule } from "../suite.ts";
import {
  connectRaw,
  field,
  flags,
  frame,
  getFlood,
  getRoot,
  initialWindow,
  type RawConnection,
  types,
  word,
} from "./frames.ts";

const full = process.env.ABUSE === "full";
const floods = full ? 10 : 1;
const idle = full ? 9_800 : 500;
/** KiB of resident memory that an idle connection may cost the processes of a data plane. */
const perConnection = 16;
/** Of a listener; times in milliseconds. Where connections are to stay, `clientIdle` is as long as they may. */
const limits = { clientHeaders: 1_500, clientIdle: 1_500, linger: 500, clientKeepAlive: 600_000 };

/** What a program does not do, and why: told instead of tried. */
const cannot: Readonly<Record<string, readonly string[]>> = {
  // `timeout client` does not end a connection whose endpoint still waits for the body, nor streams whose window is shut.
  haproxy: ["bodies that stand still", "windows that never open"],
};

const program = await embeddedProgram();
const names: readonly DataPlaneName[] = ["embedded", "haproxy", "nginx"];

for (const name of names) {
  const missing = await missingFor(name);
  describe.skipIf(missing !== undefined)(`abuse of ${name}${missing ? ` (skipped: ${missing})` : ""}`, () => {
    let cluster: TestCluster;
    let backend: Backend;
    /** Requests that the backend has, and those that have ended. */
    let underWay = 0;
    let reached = 0;
    const paths = new Set<string>();
    const raw: RawConnection[] = [];
    const sockets: Socket[] = [];
    const agent = new Agent({ keepAlive: false });

    beforeAll(async () => {
      backend = await startBackend("a", (request, response) => {
        reached++;
        paths.add(request.url ?? "");
        underWay++;
        response.on("close", () => underWay--);
        request.on("error", () => {});
        response.on("error", () => {});
        request.resume();
        if (request.url === "/large") response.end(Buffer.alloc(32 << 20));
        else request.on("end", () => response.end("ok"));
      });
      cluster = await open(limits);
    });
    afterEach(() => {
      for (const each of raw.splice(0)) each.close();
      for (const each of sockets.splice(0)) each.destroy();
    });
    afterAll(async () => {
      await cluster.stop();
      await backend.close();
    });

    async function open(clientLimits: typeof limits): Promise<TestCluster> {
      const opened = await startCluster({
        limits: clientLimits,
        start: (options) => startDataPlane(name, { ...options, embeddedProgram: program, processes: 1 }),
      });
      opened.service("web", [backend]);
      opened.addIngress("web", { rules: [rule("web")] });
      await opened.served();
      return opened;
    }

    const serves = async (by = cluster): Promise<void> => {
      expect((await send(by, "/", { agent })).status).toBe(200);
    };

    /** Opens a connection and says something; `over` is true when the server has ended it, or answered with an error. */
    function say(
      text: string,
      to = cluster,
    ): { readonly socket: Socket; readonly over: () => boolean; readonly text: () => string } {
      const socket = connect(to.port("http"), "127.0.0.1");
      let over = false;
      let got = "";
      sockets.push(socket);
      socket.on("error", () => (over = true));
      socket.on("close", () => (over = true));
      socket.on("end", () => (over = true));
      socket.on("data", (chunk: Buffer) => (got = (got + chunk.toString("latin1")).slice(0, 1_000)));
      socket.write(text, "latin1");
      return { socket, over: () => over, text: () => got };
    }

    async function open2(settings?: Buffer): Promise<RawConnection> {
      const opened = await connectRaw(cluster.port("https"), settings);
      raw.push(opened);
      return opened;
    }

    test("header sections that never end", async () => {
      const slow = Array.from({ length: 50 }, () => say("GET / HTTP/1.1\r\nHost: shop.test\r\n"));
      const drip = setInterval(() => {
        for (const { socket, over } of slow) if (!over()) socket.write("X-More: x\r\n");
      }, 100);
      await serves();
      await eventually("all are closed", () => slow.every(({ over }) => over()));
      clearInterval(drip);
      await serves();
    });

    test.skipIf(cannot[name]?.includes("bodies that stand still"))("bodies that stand still", async () => {
      const slow = Array.from({ length: 50 }, () =>
        say("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1000\r\n\r\nbegin"),
      );
      await serves();
      await eventually("all are closed", () => slow.every(({ over }) => over()));
      await eventually("the backend has none of them", () => underWay === 0);
    });

    test("answers that nobody reads", async () => {
      const lazy = Array.from({ length: 8 }, () => say("GET /large HTTP/1.1\r\nHost: shop.test\r\n\r\n"));
      for (const { socket } of lazy) socket.pause();
      await serves();
      await eventually("the backend has none of them", () => underWay === 0);
    });

    test("header sections without measure, and chunk extensions too", async () => {
      const floods = [
        say(`GET /long HTTP/1.1\r\nHost: shop.test\r\nX-Long: ${"x".repeat(1 << 20)}\r\n\r\n`),
        say(`GET /many HTTP/1.1\r\nHost: shop.test\r\n${"X-Many: x\r\n".repeat(50_000)}\r\n`),
        say(`GET /${"x".repeat(1 << 20)} HTTP/1.1\r\nHost: shop.test\r\n\r\n`),
      ];
      await eventually("all are refused", () => floods.every(({ over }) => over()));
      for (const { text } of floods) expect(text()).toMatch(/^$|^HTTP\/1\.[01] 4\d\d /);
      expect([...paths].filter((path) => /^\/(?:long|many|x)/.test(path))).toEqual([]);
      const extended = say(
        `POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n1;${"x".repeat(1 << 20)}\r\na\r\n0\r\n\r\n`,
      );
      await eventually("it is refused, or the extension is ignored", () => extended.over() || extended.text() !== "");
      await serves();
    });

    test("so many connections that stay", async () => {
      // HAProxy counts `clientIdle` between requests too.
      const patient = await open({ ...limits, clientIdle: limits.clientKeepAlive });
      try {
        await serves(patient);
        const before = residentKiB();
        const kept: ReturnType<typeof say>[] = [];
        for (let i = 0; i < idle; i++) {
          kept.push(say("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n", patient));
          if (i % 100 === 99) await eventually("they are answered", () => kept.every(({ text }) => text() !== ""));
        }
        await serves(patient);
        const grown = residentKiB() - before;
        expect(kept.filter(({ over }) => over()).length).toBe(0);
        console.log(`${name}: ${idle} idle connections are open, ${(grown / idle).toFixed(1)} KiB for each`);
        // Buffers of the first requests are in the figure as well: of few connections it says little.
        if (full) expect(grown).toBeLessThan(perConnection * idle);
      } finally {
        await patient.stop();
      }
    });

    describe("over HTTP/2", () => {
      test("fields that speak of a connection: the request is refused", async () => {
        for (const each of [field("connection", "x-a"), field("connection", "keep-alive")]) {
          const client = await open2();
          const before = reached;
          client.socket.write(
            frame(types.headers, flags.endStream | flags.endHeaders, 1, Buffer.concat([getRoot, each])),
          );
          // An answer of its own is as good as the end of the stream (RFC 9113 section 8.1.1).
          await eventually(
            "it is refused",
            () => client.ended() || client.seen.has(types.reset) || client.seen.has(types.headers),
          );
          expect(reached).toBe(before);
        }
      });

      test("streams that are reset as soon as they are opened", async () => {
        const client = await open2();
        const before = reached;
        for (let i = 0; i < 5_000 * floods && !client.ended(); i++) {
          const id = 2 * i + 1;
          client.socket.write(
            Buffer.concat([
              frame(types.headers, flags.endStream | flags.endHeaders, id, getRoot),
              frame(types.reset, 0, id, word(8)),
            ]),
          );
          if (i % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
        }
        await serves();
        await eventually("the backend has none of them", () => underWay === 0);
        if (name !== "embedded") return;
        await eventually("the connection is ended", () => client.ended());
        // nghttp2 lets through a burst of a thousand.
        expect(reached - before).toBeLessThan(2_500);
      });

      test("a header section of endless continuations", async () => {
        const client = await open2();
        client.socket.write(frame(types.headers, flags.endStream, 1, getFlood));
        const more = frame(types.continuation, 0, 1, Buffer.concat(Array(60).fill(field("x-more", "x".repeat(100)))));
        for (let i = 0; i < 1_000 * floods && !client.ended(); i++) {
          client.socket.write(more);
          if (i % 20 === 19) await new Promise((resolve) => setImmediate(resolve));
        }
        await eventually("the connection is ended", () => client.ended());
        expect(paths.has("/flood")).toBe(false);
        await serves();
      });

      test.each([
        ["settings", frame(types.settings, 0, 0, initialWindow(65_535))],
        ["pings", frame(types.ping, 0, 0, Buffer.alloc(8))],
        ["empty data", frame(types.data, 0, 1)],
      ])("a flood of %s whose answers nobody reads", async (_what, each) => {
        const client = await open2();
        client.socket.write(frame(types.headers, flags.endHeaders, 1, getRoot));
        client.socket.pause();
        const many = Buffer.concat(Array<Buffer>(1_000).fill(each));
        for (let i = 0; i < 30 * floods && client.socket.writableLength < 1 << 20; i++) {
          client.socket.write(many);
          await new Promise((resolve) => setImmediate(resolve));
        }
        await serves();
        client.close();
        await eventually("the backend has none of it", () => underWay === 0);
      });

      test.skipIf(cannot[name]?.includes("windows that never open"))("windows that never open", async () => {
        const client = await open2(initialWindow(0));
        for (let i = 0; i < 90; i++)
          client.socket.write(frame(types.headers, flags.endStream | flags.endHeaders, 2 * i + 1, getRoot));
        await serves();
        await eventually("all are given up", () => client.ended() || (client.seen.get(types.reset) ?? 0) === 90);
        await eventually("the backend has none of them", () => underWay === 0);
        expect(client.seen.has(types.data)).toBe(false);
      });
    });
  });
}

/** Resident memory of all that this process has started, and of what that has. */
function residentKiB(): number {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc").filter((each) => /^\d+$/.test(each))) {
    try {
      const [, owner] = /\) \S (\d+) /.exec(readFileSync(`/proc/${name}/stat`, "utf8")) ?? [];
      children.set(Number(owner), [...(children.get(Number(owner)) ?? []), Number(name)]);
    } catch {
      // It has ended.
    }
  }
  const of = (pid: number): number =>
    (children.get(pid) ?? []).reduce((sum, child) => sum + residentOf(child) + of(child), 0);
  return of(process.pid);
}

function residentOf(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
