import { expect, it } from "vitest";
import { listenAddresses } from "./data-plane.ts";

it.each([
  ["0.0.0.0", ["0.0.0.0"]],
  ["0.0.0.0, ::", ["0.0.0.0", "::"]],
])("--address %s", (text, addresses) => {
  expect(listenAddresses(text)).toEqual(addresses);
});

it.each(["", "localhost", "10.0.0.1,", "[::]", "::,::", "10.0.0.0/8"])(
  "--address %j is refused with the remedy",
  (text) => {
    expect(() => listenAddresses(text)).toThrow(`--address ${JSON.stringify(text)} is not usable`);
  },
);

it("names the option that it was given by", () => {
  expect(() => listenAddresses("x", "--gateway-address")).toThrow('--gateway-address "x" is not usable');
});
