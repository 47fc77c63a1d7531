import type { PeerCertificate } from "node:tls";
import { expect, test } from "vitest";
import { wrongIdentity } from "./backend-tls.ts";

const certificate = {
  subject: { CN: "abc.test" },
  subjectaltname: 'DNS:abc.test, URI:spiffe://abc.test/id, URI:"spiffe://with,comma"',
} as unknown as PeerCertificate;

test.each([
  ["the name that is asked for", "abc.test", [], true],
  ["another name", "other.test", [], false],
  [
    "a host name of several",
    "other.test",
    [
      { type: "Hostname", value: "x.test" },
      { type: "Hostname", value: "abc.test" },
    ],
    true,
  ],
  ["none of several", "abc.test", [{ type: "Hostname", value: "x.test" }], false],
  ["a URI", "abc.test", [{ type: "URI", value: "spiffe://abc.test/id" }], true],
  ["a URI with a comma", "abc.test", [{ type: "URI", value: "spiffe://with,comma" }], true],
  ["the beginning of a URI", "abc.test", [{ type: "URI", value: "spiffe://abc.test" }], false],
  ["a host name as a URI", "abc.test", [{ type: "URI", value: "abc.test" }], false],
] as const)("%s: %s", (_what, serverName, subjectAltNames, good) => {
  expect(wrongIdentity({ serverName, subjectAltNames }, certificate) === undefined).toBe(good);
});
