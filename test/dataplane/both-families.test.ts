import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DataPlane, type DataPlaneName, missingFor, startDataPlane } from "../../src/dataplane/index.ts";
import type { Endpoint } from "../../src/routing/index.ts";
import { createMetrics, freePort, silentLogger, systemClock } from "../../src/system/index.ts";
import { embeddedProgram } from "../support/embedded-program.ts";
import { owner, streamModel } from "./stream-model.ts";

const addresses = ["127.0.0.1", "::1"];

/** What a server says to who connects. */
async function heardFrom(host: string, port: number): Promise<string> {
  const socket = connect({ host, port }).setTimeout(10_000, () => socket.destroy(new Error("no answer")));
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return text;
}

/** Asks until there is an answer, as UDP promises nothing. */
async function echoOf(host: string, port: number): Promise<string> {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  const asking = setInterval(() => socket.send("hello", port, host), 200);
  try {
    const [message] = (await once(socket, "message", { signal: AbortSignal.timeout(10_000) })) as [Buffer];
    return String(message);
  } finally {
    clearInterval(asking);
    socket.close();
  }
}

describe.each<DataPlaneName>(["embedded", "haproxy", "nginx"])("%s on an address of each family", async (name) => {
  const why = await missingFor(name);
  const stop = new AbortController();
  const tcp = createServer((socket) => void socket.on("error", () => socket.destroy()).end("tcp"));
  const udp = createSocket("udp4", (message, from) => udp.send(`udp ${String(message)}`, from.port, from.address));
  let plane: DataPlane;

  const endpointAt = ({ port }: { port: number }): Endpoint => ({ address: "127.0.0.1", port, ready: true, owner });

  beforeAll(async () => {
    if (why !== undefined) return;
    tcp.listen(0, "127.0.0.1");
    udp.bind(0, "127.0.0.1");
    await Promise.all([once(tcp, "listening"), once(udp, "listening")]);
    plane = startDataPlane(name, {
      address: addresses,
      // Nobody who has asked once is waited for at the end.
      limits: { datagramIdle: 1_000 },
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
    tcp.close();
    udp.close();
  });

  test.skipIf(why)(`serves TCP${name === "haproxy" ? "" : " and UDP"} on both${why ? ` (${why})` : ""}`, async () => {
    const [tcpPort, udpPort] = [await freePort(), await freePort()];
    const pools = [
      { endpoints: [endpointAt(tcp.address() as AddressInfo)] },
      { endpoints: [endpointAt(udp.address())] },
    ];
    const listeners = [
      { port: tcpPort, bindPort: tcpPort, protocol: "TCP" as const },
      { port: udpPort, bindPort: udpPort, protocol: "UDP" as const },
    ];
    // HAProxy knows no datagrams.
    const count = name === "haproxy" ? 1 : 2;
    const model = streamModel(pools.slice(0, count), (i) => listeners[i] ?? { port: 0, protocol: "TCP" });
    await plane.apply({ model, keyPair: () => undefined });
    expect(plane.listeners().map(({ port, error }) => [port, error])).toEqual(
      [tcpPort, udpPort].slice(0, count).map((port) => [port, undefined]),
    );
    for (const address of addresses) {
      expect(await heardFrom(address, tcpPort)).toBe("tcp");
      if (count === 2) expect(await echoOf(address, udpPort)).toBe("udp hello");
    }
  });

  test.skipIf(why)(`has no port that one of them does not have${why ? ` (${why})` : ""}`, async () => {
    const other = createServer().listen(0, "::1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const pools = [{ endpoints: [endpointAt(tcp.address() as AddressInfo)] }];
    const model = streamModel(pools, () => ({ port, bindPort: port, protocol: "TCP" }));
    await plane.apply({ model, keyPair: () => undefined });
    expect(plane.listeners()).toMatchObject([{ error: `port ${port} is in use` }]);
    await expect(heardFrom("127.0.0.1", port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    other.close();
    await plane.apply({
      model: streamModel(pools, () => ({ port, bindPort: port, protocol: "TCP" })),
      keyPair: () => undefined,
    });
    for (const address of addresses) expect(await heardFrom(address, port)).toBe("tcp");
  });
});
