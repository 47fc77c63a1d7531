import { connect, createServer, type Server } from "node:net";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { embeddedProgram } from "../support/embedded-program.ts";
import { missingFor, startDataPlane, type DataPlane } from "../../src/dataplane/index.ts";
import type { Balance, Endpoint, Pool } from "../../src/routing/index.ts";
import { createMetrics, freePort, silentLogger, systemClock } from "../../src/system/index.ts";
import { owner, streamModel } from "./stream-model.ts";

/** Says its name and what it heard, in hex, when it has heard "ask". */
async function startTeller(name: string): Promise<Server> {
  const server = createServer((socket) => {
    let heard = Buffer.alloc(0);
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      heard = Buffer.concat([heard, chunk]);
      if (heard.subarray(-3).toString() === "ask") socket.end(`${name} ${heard.subarray(0, -3).toString("hex")}`);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

async function ask(host: string, port: number, localAddress = "127.0.0.1"): Promise<[name: string, header: Buffer]> {
  const socket = connect({ host, port, localAddress });
  socket.setTimeout(10_000, () => socket.destroy(new Error("no answer")));
  socket.write("ask");
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  const [name = "", hex = ""] = text.split(" ");
  return [name, Buffer.from(hex, "hex")];
}

const missing = await missingFor("haproxy");
const planes = [
  ["embedded", undefined],
  ["haproxy", missing],
] as const;

describe.each(planes)("streams on %s", (name, why) => {
  const stop = new AbortController();
  const tellers: Server[] = [];
  const endpoints: Endpoint[] = [];
  let plane: DataPlane;
  let port = 0;

  beforeAll(async () => {
    if (why !== undefined) return;
    for (const teller of ["one", "two", "three"]) {
      const server = await startTeller(teller);
      tellers.push(server);
      const address = server.address();
      endpoints.push({
        address: "127.0.0.1",
        port: typeof address === "object" && address ? address.port : 0,
        ready: true,
        owner,
      });
    }
    port = await freePort();
    plane = startDataPlane(name, {
      metrics: createMetrics(),
      signal: stop.signal,
      clock: systemClock,
      log: silentLogger,
      embeddedProgram: await embeddedProgram(),
    });
    await plane.ready;
  });
  afterAll(async () => {
    stop.abort();
    await plane?.stopped;
    for (const teller of tellers) teller.close();
  });

  /** One listener for each pool, all on one port, each at an address of its own. */
  async function serve(pools: readonly Partial<Pool>[]): Promise<void> {
    const model = streamModel(
      pools.map((more) => ({ endpoints, ...more })),
      (i) => ({ address: `127.0.0.${20 + i}`, port, bindPort: port, protocol: "TCP" }),
    );
    const { refused } = await plane.apply({ model, keyPair: () => undefined });
    expect(refused).toEqual([]);
    expect(plane.listeners().map(({ error }) => error)).toEqual(pools.map(() => undefined));
  }

  const names = async (host: string, clients: readonly string[]): Promise<string[]> => {
    const found: string[] = [];
    for (const client of clients) found.push((await ask(host, port, client))[0]);
    return found;
  };
  const same = Array.from({ length: 6 }, () => "127.0.0.1");
  const many = Array.from({ length: 24 }, (_, i) => `127.0.1.${i + 1}`);

  test.skipIf(why)("one port at several addresses, each with an algorithm of its own", async () => {
    const algorithms: Balance[] = ["roundrobin", "first", "source", "leastconn"];
    await serve(algorithms.map((balance) => ({ balance })));
    expect(new Set(await names("127.0.0.20", same))).toHaveLength(3);
    expect(new Set(await names("127.0.0.21", same))).toHaveLength(1);
    expect(new Set(await names("127.0.0.22", same))).toHaveLength(1);
    // Each client stays, and they are not all with one.
    const before = await names("127.0.0.22", many);
    expect(new Set(before).size).toBeGreaterThan(1);
    expect(await names("127.0.0.22", many)).toEqual(before);
    expect(new Set(await names("127.0.0.23", same)).size).toBeGreaterThan(1);
  });

  test.skipIf(why)("an endpoint goes: clients of the others stay with theirs", async () => {
    await serve([{ balance: "source" }]);
    const before = await names("127.0.0.20", many);
    await plane.updatePools([
      {
        key: "p0",
        service: { namespace: "a", name: "db" },
        port: "3306",
        protocol: "tcp",
        balance: "source",
        endpoints: endpoints.slice(1),
      },
    ]);
    const after = await names("127.0.0.20", many);
    expect(after).not.toContain("one");
    const stayed = before.flatMap((each, i) => (each === "one" || each === after[i] ? [] : [i]));
    expect(stayed.length).toBeLessThanOrEqual(name === "haproxy" ? many.length / 4 : 0);
  });

  test.skipIf(why)("endpoints are told the client by the PROXY protocol, versions 1 and 2", async () => {
    await serve([{ proxyProtocol: 1 }, { proxyProtocol: 2 }, {}]);
    const [, one] = await ask("127.0.0.20", port, "127.0.1.9");
    expect(one.toString()).toMatch(new RegExp(`^PROXY TCP4 127\\.0\\.1\\.9 127\\.0\\.0\\.20 \\d+ ${port}\\r\\n$`));
    const [, two] = await ask("127.0.0.21", port, "127.0.1.9");
    expect(two.subarray(0, 16).toString("hex")).toBe("0d0a0d0a000d0a515549540a2111000c");
    expect([...two.subarray(16, 24)]).toEqual([127, 0, 1, 9, 127, 0, 0, 21]);
    expect(two.readUInt16BE(26)).toBe(port);
    expect((await ask("127.0.0.22", port))[1]).toHaveLength(0);
  });
});
