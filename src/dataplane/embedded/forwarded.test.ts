import { describe, expect, test } from "vitest";
import { type Arrival, forwardedFor, trustedForwarders } from "./forwarded.ts";

function arrival(peer: string, headers: Record<string, string> = {}): Arrival {
  return { peer, protocol: "http", host: "shop.test:8080", port: 8080, header: (name) => headers[name] };
}

const claims = {
  "x-forwarded-for": "6.6.6.6, 9.9.9.9, 10.0.0.9",
  "x-forwarded-proto": "https",
  "x-forwarded-host": "front.test",
  "x-forwarded-port": "443",
};

describe("forwardedFor", () => {
  test.each<[what: string, trusted: string[], arrival: Arrival, expected: object]>([
    [
      "nobody is trusted",
      [],
      arrival("10.0.0.1", claims),
      { for: "10.0.0.1", realIp: "10.0.0.1", proto: "http", host: "shop.test:8080", port: "8080" },
    ],
    ["a peer outside the range", ["10.0.0.0/8"], arrival("11.0.0.1", claims), { for: "11.0.0.1", proto: "http" }],
    [
      "a trusted peer",
      ["10.0.0.0/8"],
      arrival("10.0.0.1", claims),
      {
        for: "6.6.6.6, 9.9.9.9, 10.0.0.9, 10.0.0.1",
        realIp: "9.9.9.9",
        proto: "https",
        host: "front.test",
        port: "443",
      },
    ],
    [
      "a trusted peer without a list",
      ["10.0.0.1"],
      arrival("10.0.0.1"),
      { for: "10.0.0.1", realIp: "10.0.0.1", proto: "http" },
    ],
    [
      "only trusted hops",
      ["10.0.0.0/8"],
      arrival("10.0.0.1", { "x-forwarded-for": "10.0.0.7, 10.0.0.9" }),
      { realIp: "10.0.0.7" },
    ],
    [
      "garbage in the list",
      ["10.0.0.0/8"],
      arrival("10.0.0.1", { "x-forwarded-for": "unknown, <x>, 9.9.9.9" }),
      { for: "9.9.9.9, 10.0.0.1", realIp: "9.9.9.9" },
    ],
    ["IPv4 in IPv6", ["10.0.0.0/8"], arrival("::ffff:10.0.0.1", claims), { realIp: "9.9.9.9" }],
    [
      "IPv6",
      ["fd00::/8"],
      arrival("fd00::1", { "x-forwarded-for": "2001:db8::1" }),
      { for: "2001:db8::1, fd00::1", realIp: "2001:db8::1" },
    ],
  ])("%s", (_what, trusted, from, expected) => {
    expect(forwardedFor(from, trustedForwarders(trusted))).toMatchObject(expected);
  });
});

test.each(["10.0.0.0/33", "10.0.0/8", "x", "", "::/129", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8/9x"])(
  "%j is no CIDR",
  (cidr) => {
    expect(() => trustedForwarders([cidr])).toThrow(TypeError);
  },
);
