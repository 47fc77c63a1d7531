// Connections and datagrams while endpoints change twenty times a second and ports come and go: none is lost, and one that is open goes on.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { connect as connectTls, createServer as createTls } from "node:tls";
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { type DataPlaneName, missingFor } from "../../../src/dataplane/index.ts";
import { selfSigned } from "../../../src/dataplane/self-signed.ts";
import type { Listener, ListenerProtocol, Owner, Pool } from "../../../src/routing/index.ts";
import { freePort } from "../../../src/system/index.ts";
import { startPlane } from "../plane.ts";

const owner: Owner = { object: { kind: "Service", namespace: "a", name: "db" }, field: "" };
const changes = 60;
/** Milliseconds between two of them. */
const pace = 50;
const portEvery = 20;
/** Milliseconds: far more than anything takes. */
const patience = 20_000;

const clean: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const each of clean.splice(0).reverse()) await each();
});

/** Echoes until its client ends. */
function echo(socket: Socket): void {
  socket.on("error", () => socket.destroy());
  socket.pipe(socket);
}

async function listening(server: ReturnType<typeof createServer>): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  clean.push(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function datagrams(): Promise<number> {
  const socket = createSocket("udp4", (message, from) => socket.send(message, from.port, from.address));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  clean.push(() => void socket.close());
  return socket.address().port;
}

/** Sends a word and waits for it to come back. */
async function exchange(socket: Socket, word: string): Promise<void> {
  let text = "";
  const done = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no answer")), patience);
    const over = (error?: Error): void => {
      clearTimeout(timer);
      socket.off("data", hear).off("close", gone).off("error", over);
      if (error) reject(error);
      else resolve();
    };
    const hear = (chunk: Buffer): void => {
      text += String(chunk);
      if (text === word) over();
    };
    const gone = (): void => over(new Error(`closed after ${JSON.stringify(text)}`));
    socket.on("data", hear).on("close", gone).on("error", over);
  });
  socket.write(word);
  await done;
}

const planes: readonly (readonly [DataPlaneName, string | undefined])[] = [
  ["embedded", undefined],
  ["nginx", await missingFor("nginx")],
];

describe.each(planes)("streams on %s while all changes", (name, why) => {
  test.skipIf(why)("lose no connection and no datagram", { timeout: 120_000 }, async () => {
    const stop = new AbortController();
    const plane = await startPlane(name, stop.signal);
    clean.push(async () => {
      stop.abort();
      await plane.stopped;
    });
    const { certificate, key } = selfSigned(Date.now(), ["a.example"]);
    const tcp = [await listening(createServer(echo)), await listening(createServer(echo))];
    const tls = [
      await listening(createTls({ cert: certificate, key }, echo)),
      await listening(createTls({ cert: certificate, key }, echo)),
    ];
    const udp = [await datagrams(), await datagrams()];
    const [tcpPort, tlsPort, udpPort, extraPort] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    /** Which of the two endpoints are ready. */
    let ready = [true, true];
    const poolOf = (key: string, protocol: Pool["protocol"], ports: readonly number[]): Pool => ({
      key,
      service: { namespace: "a", name: "db" },
      port: "1",
      protocol,
      endpoints: ports.flatMap((port, i) => (ready[i] ? [{ address: "127.0.0.1", port, ready: true, owner }] : [])),
    });
    const pools = (): Pool[] => [poolOf("tcp", "tcp", tcp), poolOf("tls", "tcp", tls), poolOf("udp", "udp", udp)];
    const listenerOf = (id: string, port: number, protocol: ListenerProtocol, pool: string): Listener => {
      const rule = {
        id,
        filters: [],
        backends: [{ pool, weight: 1, filters: [], owner }],
        timeouts: {},
        owner,
      };
      const streams = { exact: new Map(), wildcard: new Map(), any: { id, host: "", rule, owner } };
      const servers = new Map([["", { kind: "stream" as const, hostname: "", streams, owner }]]);
      return { name: id, port, bindPort: port, protocol, servers };
    };
    const fixed = [
      listenerOf("tcp", tcpPort, "TCP", "tcp"),
      listenerOf("tls", tlsPort, "TLS", "tls"),
      listenerOf("udp", udpPort, "UDP", "udp"),
    ];
    const apply = async (more: readonly Listener[]): Promise<void> => {
      const model = { listeners: [...fixed, ...more], pools: new Map(pools().map((pool) => [pool.key, pool])) };
      expect((await plane.apply({ model, keyPair: () => undefined })).refused).toEqual([]);
    };
    await apply([]);

    const failed: string[] = [];
    const served = new Map<string, number>();
    let running = true;
    const keep = async (kind: string, turn: (count: number) => Promise<void>): Promise<void> => {
      for (let count = 0; running; count++) {
        try {
          await turn(count);
          served.set(kind, (served.get(kind) ?? 0) + 1);
        } catch (error) {
          failed.push(`${kind}: ${String(error)}`);
        }
        await wait(5);
      }
    };
    const open = connect({ host: "127.0.0.1", port: tcpPort });
    await once(open, "connect");
    const client = createSocket("udp4");
    const load = [
      keep("open", (count) => exchange(open, `open ${count}`)),
      keep("tcp", async (count) => {
        const socket = connect({ host: "127.0.0.1", port: tcpPort });
        await exchange(socket, `tcp ${count}`);
        socket.destroy();
      }),
      keep("tls", async (count) => {
        const options = { host: "127.0.0.1", port: tlsPort, servername: "a.example", ca: certificate };
        const socket = connectTls(options);
        await exchange(socket, `tls ${count}`);
        socket.destroy();
      }),
      keep("udp", async (count) => {
        // A client of UDP asks again: a datagram may always be lost.
        for (let again = 0; again < 5; again++) {
          const heard = once(client, "message", { signal: AbortSignal.timeout(1_000) });
          client.send(`udp ${count}`, udpPort, "127.0.0.1");
          const message = await heard.then(
            ([said]) => String(said),
            () => undefined,
          );
          if (message === `udp ${count}`) return;
        }
        throw new Error("no answer");
      }),
    ];
    for (let change = 1; change <= changes; change++) {
      ready = [change % 3 !== 0, change % 3 !== 1];
      if (change % portEvery === 0)
        await apply(change % (2 * portEvery) === 0 ? [] : [listenerOf("extra", extraPort, "TCP", "tcp")]);
      else await plane.updatePools(pools());
      await wait(pace);
    }
    running = false;
    await Promise.all(load);
    open.destroy();
    client.close();
    expect(failed).toEqual([]);
    expect([...served.keys()].sort()).toEqual(["open", "tcp", "tls", "udp"]);
    for (const count of served.values()) expect(count).toBeGreaterThan(changes);
  });
});
