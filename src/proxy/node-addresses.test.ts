import { expect, test } from "vitest";
import type { Node } from "../kube/index.ts";
import { nodePortAddresses } from "./node-addresses.ts";

const interfaces = ["127.0.0.1", "::1", "fe80::1", "192.0.2.5", "198.51.100.7", "2001:db8::5"];
const node = {
  status: {
    addresses: [
      { type: "Hostname", address: "worker" },
      { type: "ExternalIP", address: "203.0.113.1" },
      { type: "InternalIP", address: "198.51.100.7" },
    ],
  },
} as Node;

test("primary is the node's own address of each family, as its object says or as the machine has it", () => {
  expect(nodePortAddresses(["primary"], node, interfaces)).toEqual(["198.51.100.7", "2001:db8::5"]);
  expect(nodePortAddresses(["primary"], undefined, interfaces)).toEqual(["192.0.2.5", "2001:db8::5"]);
  expect(nodePortAddresses(["primary"], undefined, ["127.0.0.1"])).toEqual([]);
});

test("a range takes every address of the machine in it, once", () => {
  expect(nodePortAddresses(["0.0.0.0/0"], node, interfaces)).toEqual(["127.0.0.1", "192.0.2.5", "198.51.100.7"]);
  expect(nodePortAddresses(["primary", "198.51.100.0/24"], node, interfaces)).toEqual(["198.51.100.7", "2001:db8::5"]);
});
