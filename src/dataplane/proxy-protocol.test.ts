import { expect, test } from "vitest";
import { proxyHeader } from "./proxy-protocol.ts";

const four = { source: "192.0.2.1", sourcePort: 56324, destination: "192.0.2.15", destinationPort: 443 };
const six = { source: "2001:db8::1", sourcePort: 1, destination: "2001:db8::2", destinationPort: 65535 };

test("version 1 is a line", () => {
  expect(proxyHeader(1, four).toString()).toBe("PROXY TCP4 192.0.2.1 192.0.2.15 56324 443\r\n");
  expect(proxyHeader(1, six).toString()).toBe("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n");
});

test("an IPv4 client at a socket of both families is one", () => {
  const mapped = { ...four, source: "::ffff:192.0.2.1", destination: "::ffff:192.0.2.15" };
  expect(proxyHeader(1, mapped).toString()).toBe("PROXY TCP4 192.0.2.1 192.0.2.15 56324 443\r\n");
});

test("version 2 has signature, family and lengths", () => {
  const signature = "0d0a0d0a000d0a515549540a";
  expect(proxyHeader(2, four).toString("hex")).toBe(`${signature}2111000cc0000201c000020fdc0401bb`);
  const of6 = proxyHeader(2, six).toString("hex");
  const addresses = "20010db800000000000000000000000120010db8000000000000000000000002";
  expect(of6).toBe(`${signature}21210024${addresses}0001ffff`);
});
