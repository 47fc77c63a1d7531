import { expect, test } from "vitest";
import { FakeClock, silentLogger } from "../system/index.ts";
import { createPacketLog, logBurst, logRate, packetOf, packetsIn } from "./packet-log.ts";

const four = Buffer.from("4500003c00004000400600000a2a04020a60000100500050", "hex");
const six = Buffer.from(`6000000000281140${"fd42".padEnd(30, "0")}02${"fd96".padEnd(30, "0")}01c3500035`, "hex");

test("the beginning of a packet tells who goes where", () => {
  four.writeUInt16BE(50_000, 20);
  four.writeUInt16BE(80, 22);
  expect(packetOf(four)).toEqual({
    source: "10.42.4.2",
    sourcePort: 50_000,
    destination: "10.96.0.1",
    port: 80,
    protocol: "TCP",
  });
  expect(packetOf(six)).toEqual({
    source: "fd42::2",
    sourcePort: 50_000,
    destination: "fd96::1",
    port: 53,
    protocol: "UDP",
  });
  expect(packetOf(four.subarray(0, 22))).toBeUndefined();
  expect(packetOf(Buffer.alloc(64))).toBeUndefined();
  expect([...packetsIn(Buffer.alloc(40))]).toEqual([]);
});

test("what this process sees itself is told up to the limit", async () => {
  const clock = new FakeClock();
  const lines: unknown[] = [];
  const log = { ...silentLogger, info: (fields: unknown) => lines.push(fields) };
  const packets = createPacketLog({
    model: { route: () => ({ client: "outside" }) },
    kernel: false,
    signal: new AbortController().signal,
    clock,
    log,
  });
  const packet = packetOf(four);
  if (!packet) throw new Error("no packet");
  for (let i = 0; i < 100; i++) packets.tell(packet);
  expect(lines).toHaveLength(logBurst);
  await clock.advance(1_000);
  for (let i = 0; i < 100; i++) packets.tell(packet);
  expect(lines).toHaveLength(logBurst + logRate);
  expect(lines[0]).toMatchObject({ source: "10.42.4.2:50000", destination: "10.96.0.1:80", client: "outside" });
});
