import * as dnsPacket from "dns-packet";
import { describe, expect, test } from "vitest";
import { decodeQuery, encodeReply, MessageError, type DnsRecord } from "./message.ts";

function query(name: string, type = "A", more: object = {}): Buffer {
  const questions = [{ name, type: type as dnsPacket.RecordType, class: "IN" as const }];
  return dnsPacket.encode({ type: "query", id: 4711, flags: dnsPacket.RECURSION_DESIRED, questions, ...more });
}

const opt = (udpPayloadSize: number, ednsVersion = 0): dnsPacket.OptAnswer => {
  const base = { type: "OPT", name: ".", flags: 0, flag_do: false, extendedRcode: 0, options: [] } as const;
  return { ...base, options: [], udpPayloadSize, ednsVersion };
};

const addresses = (name: string, count: number) =>
  Array.from({ length: count }, (_, i): DnsRecord => ({ name, type: "A", class: "IN", ttl: 5, data: `10.0.0.${i}` }));

function refusal(bytes: Buffer): string {
  try {
    decodeQuery(bytes);
  } catch (error) {
    const { reply } = error as MessageError;
    if (!(error instanceof MessageError)) throw error;
    return reply ? `${reply.readUInt16BE(0)} ${reply.readUInt16BE(2).toString(16)}` : "nothing";
  }
  return "accepted";
}

test("reads a question and keeps its case", () => {
  expect(decodeQuery(query("wEb.Shop.svc.cluster.LOCAL", "AAAA"))).toMatchObject({
    id: 4711,
    name: "wEb.Shop.svc.cluster.LOCAL",
    type: "AAAA",
    recursionDesired: true,
  });
  expect(decodeQuery(query(".", "NS")).name).toBe("");
  expect(decodeQuery(query("a", "A", { additionals: [opt(4096)] })).edns).toEqual({ size: 4096 });
  expect(decodeQuery(query("a")).edns).toBeUndefined();
});

describe("what is no question for this server", () => {
  const plain = query("a.example");
  const changed = (at: number, value: number) => {
    const bytes = Buffer.from(plain);
    bytes.writeUInt16BE(value, at);
    return bytes;
  };
  test.each<[string, Buffer, string]>([
    ["nothing", Buffer.alloc(0), "nothing"],
    ["less than a header", plain.subarray(0, 11), "nothing"],
    ["a response", changed(2, 0x8100), "nothing"],
    ["another operation: NOTIMP", changed(2, 0x2900), "4711 a904"],
    ["no question: FORMERR", changed(4, 0), "4711 8101"],
    ["many questions: FORMERR", changed(4, 0xffff), "4711 8101"],
    ["records that are not there: FORMERR", changed(6, 9), "4711 8101"],
    ["a name that ends too soon: FORMERR", plain.subarray(0, 16), "4711 8101"],
    ["no type: FORMERR", plain.subarray(0, plain.byteLength - 3), "4711 8101"],
    ["a name that points to itself: FORMERR", changed(12, 0xc00c), "4711 8101"],
    ["another class: REFUSED", changed(plain.byteLength - 2, 3), "4711 8185"],
    ["a zone transfer: REFUSED", query("cluster.local", "AXFR"), "4711 8185"],
  ])("%s", (_, bytes, expected) => {
    expect(refusal(bytes)).toBe(expected);
  });

  test("a later version of EDNS: BADVERS (RFC 6891 section 6.1.3)", () => {
    try {
      decodeQuery(query("a", "A", { additionals: [opt(4096, 1)] }));
      expect.unreachable();
    } catch (error) {
      const reply = dnsPacket.decode((error as MessageError).reply ?? Buffer.alloc(0));
      expect(reply.additionals).toMatchObject([{ type: "OPT", extendedRcode: 1, ednsVersion: 0 }]);
    }
  });

  test("bytes at random never do more than be refused", () => {
    let state = 1;
    const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
    for (let i = 0; i < 5000; i++) {
      const bytes =
        i % 2 ? Buffer.from(query("web.shop.svc.cluster.local", "A", { additionals: [opt(512)] })) : Buffer.alloc(80);
      const flips = i % 2 ? 4 : 80;
      for (let j = 0; j < flips; j++) bytes[Math.floor(random() * bytes.byteLength)] = Math.floor(random() * 256);
      expect(typeof refusal(bytes.subarray(0, Math.floor(random() * 90)))).toBe("string");
    }
  });
});

describe("a reply", () => {
  const reply = (bytes: Buffer, count: number, transport: "udp" | "tcp" = "udp") => {
    const asked = decodeQuery(bytes);
    const answers = addresses(asked.name, count);
    const encoded = encodeReply(asked, { rcode: "NOERROR", authoritative: true, answers }, transport);
    return { size: encoded.byteLength, ...dnsPacket.decode(encoded) };
  };

  test("repeats the question and the id and says who answers", () => {
    expect(reply(query("wEb.example"), 1)).toMatchObject({
      id: 4711,
      type: "response",
      flag_aa: true,
      flag_rd: true,
      flag_ra: true,
      flag_tc: false,
      questions: [{ name: "wEb.example", type: "A" }],
      answers: [{ name: "wEb.example", type: "A", ttl: 5, data: "10.0.0.0" }],
      additionals: [],
    });
  });

  test("is cut to 512 bytes over UDP, with the flag that says so", () => {
    const cut = reply(query("web.shop.svc.cluster.local"), 100);
    expect(cut.size).toBeLessThanOrEqual(512);
    expect(cut.flag_tc).toBe(true);
    expect(cut.answers?.length).toBeGreaterThan(20);
  });

  test("may be larger for who speaks EDNS, but not larger than a frame", () => {
    for (const [offered, allowed] of [
      [100, 512],
      [800, 800],
      [65_000, 1232],
    ] as const) {
      const cut = reply(query("web.shop.svc.cluster.local", "A", { additionals: [opt(offered)] }), 200);
      expect(cut.size).toBeLessThanOrEqual(allowed);
      expect(cut.size).toBeGreaterThan(allowed - 20);
      expect(cut).toMatchObject({ flag_tc: true, additionals: [{ type: "OPT", udpPayloadSize: 1232 }] });
    }
  });

  test("is whole over TCP", () => {
    const whole = reply(query("web.shop.svc.cluster.local"), 1000, "tcp");
    expect(whole).toMatchObject({ flag_tc: false });
    expect(whole.answers).toHaveLength(1000);
  });

  test("leaves out additional records that do not fit, without the flag", () => {
    const asked = decodeQuery(query("a.example"));
    const additionals = addresses("b.example", 100);
    const bytes = encodeReply(
      asked,
      { rcode: "NOERROR", authoritative: true, answers: addresses("a.example", 1), additionals },
      "udp",
    );
    expect(dnsPacket.decode(bytes)).toMatchObject({ flag_tc: false });
    expect(bytes.byteLength).toBeLessThanOrEqual(512);
  });
});
