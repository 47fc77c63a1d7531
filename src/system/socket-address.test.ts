import { expect, test } from "vitest";
import { readSocketAddress, socketAddress } from "./socket-address.ts";

test.each([
  ["10.0.255.1", 80, "10.0.255.1"],
  ["0.0.0.0", 0, "0.0.0.0"],
  ["::", 65_535, "::"],
  ["fd00:0:0:1::a", 443, "fd00:0:0:1::a"],
  ["FD00:0::0:1", 53, "fd00::1"],
  ["1:2:3:4:5:6:7:8", 1, "1:2:3:4:5:6:7:8"],
  ["::ffff:10.1.2.3", 7, "::ffff:10.1.2.3"],
])("%s port %i is read back", (address, port, text) => {
  expect(readSocketAddress(socketAddress(address, port) ?? Buffer.alloc(28))).toEqual({ address: text, port });
});

test("what is no address has no form, and another family is not read", () => {
  for (const text of ["", "host", "1.2.3", "fe80::1%eth0", "10.0.0.1/8"])
    expect(socketAddress(text, 1)).toBeUndefined();
  expect(readSocketAddress(Buffer.alloc(28))).toBeUndefined();
});
