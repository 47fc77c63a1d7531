import { expect, test } from "vitest";
import { der, namedBits, oid, readAll, sequence, tags, time } from "./der.ts";

test("lengths are short below 128 bytes, and have as many digits as they need from then on", () => {
  expect(der(tags.octets, Buffer.alloc(127)).subarray(0, 2).toString("hex")).toBe("047f");
  expect(der(tags.octets, Buffer.alloc(128)).subarray(0, 3).toString("hex")).toBe("048180");
  expect(der(tags.octets, Buffer.alloc(256)).subarray(0, 4).toString("hex")).toBe("04820100");
});

test("object identifiers", () => {
  expect(oid("2.5.29.15").toString("hex")).toBe("0603551d0f");
  expect(oid("1.2.840.10045.4.3.2").toString("hex")).toBe("06082a8648ce3d040302");
});

test("years have two digits until 2049", () => {
  expect(time(Date.UTC(2049, 11, 31, 23, 59, 59)).toString("latin1")).toBe("\x17\x0d491231235959Z");
  expect(time(Date.UTC(2050, 0, 1)).toString("latin1")).toBe("\x18\x0f20500101000000Z");
});

test("named bits have no zeros at their end", () => {
  expect(namedBits(1).toString("hex")).toBe("03020780");
  expect(namedBits(1 | 32 | 64).toString("hex")).toBe("03020186");
  expect(namedBits(256).toString("hex")).toBe("0303070080");
});

test("what was written is read", () => {
  const values = [der(tags.integer, Buffer.from([1])), der(tags.octets, Buffer.alloc(300, 7))];
  const [outer] = readAll(sequence(...values));
  expect(outer?.tag).toBe(tags.sequence);
  expect(outer && readAll(outer.content).map(({ whole }) => whole)).toEqual(values);
});

test.each(["30", "3005aa", "308200"])("what ends too early is refused: %s", (hex) => {
  expect(() => readAll(Buffer.from(hex, "hex"))).toThrow(RangeError);
});
