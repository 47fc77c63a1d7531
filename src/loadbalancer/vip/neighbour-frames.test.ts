import { describe, expect, test } from "vitest";
import { arpProbe, neighbourSolicitation, readAdvertisement, readArp, solicitedNode } from "./neighbour-frames.ts";

const mac = "02:00:00:00:00:0a";

describe("what is asked", () => {
  test("an ARP probe has our hardware address, no address of ours, and what is asked for", () => {
    expect(arpProbe("192.0.2.7", mac).toString("hex")).toBe("000108000604000102000000000a00000000000000000000c0000207");
  });

  test("a solicitation has the target and our hardware address", () => {
    expect(neighbourSolicitation("2001:db8::12:3456", mac).toString("hex")).toBe(
      "870000000000000020010db8000000000000000000123456010102000000000a",
    );
    expect(solicitedNode("2001:db8::12:3456").toString("hex")).toBe("ff0200000000000000000001ff123456");
  });

  test("what is no address of the family, or no hardware address, is refused", () => {
    expect(() => arpProbe("2001:db8::1", mac)).toThrow(/IPv4/);
    expect(() => neighbourSolicitation("192.0.2.1", mac)).toThrow(/IPv6/);
    expect(() => arpProbe("192.0.2.1", "02:00")).toThrow(/MAC/);
  });
});

describe("what is answered", () => {
  const reply = Buffer.from("0001080006040002020000000001c000020702000000000ac0000209", "hex");
  const advert = Buffer.from("880000006000000020010db80000000000000000000000070201020000000001", "hex");

  test("an ARP answer, and an announcement, tell whose the address is", () => {
    expect(readArp(reply)).toEqual({ address: "192.0.2.7", mac: "02:00:00:00:00:01" });
  });

  test("another's probe tells nothing", () => expect(readArp(arpProbe("192.0.2.7", mac))).toBeUndefined());

  test("an advertisement tells whose its target is, whatever options come before", () => {
    expect(readAdvertisement(advert)).toEqual({ address: "2001:db8::7", mac: "02:00:00:00:00:01" });
    const more = Buffer.concat([advert.subarray(0, 24), Buffer.from("0e01000000000000", "hex"), advert.subarray(24)]);
    expect(readAdvertisement(more)?.mac).toBe("02:00:00:00:00:01");
  });

  test("what is cut off or malformed is not read, at any length", () => {
    for (let length = 0; length < reply.length; length++) expect(readArp(reply.subarray(0, length))).toBeUndefined();
    for (let length = 0; length < advert.length; length++)
      expect(readAdvertisement(advert.subarray(0, length))).toBeUndefined();
    const endless = Buffer.from(advert);
    endless[24] = 5;
    endless[25] = 0;
    expect(readAdvertisement(endless)).toBeUndefined();
    expect(readArp(Buffer.alloc(28))).toBeUndefined();
  });
});
