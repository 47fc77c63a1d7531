import { expect, test } from "vitest";
import { readSettings } from "./settings.ts";

test("readSettings: without anything it answers HTTP on 8080 everywhere", () => {
  expect(readSettings({})).toMatchObject({
    address: "0.0.0.0",
    httpPorts: [8080],
    tcpPorts: [],
    udpPorts: [],
    drainMs: 2000,
    logsPerSecond: 20,
  });
});

test("readSettings: declared ports are used where no variable names others", () => {
  const declared = { FAIRLEAD_PORTS: "80/TCP,9000/TCP,53/UDP" };
  expect(readSettings(declared)).toMatchObject({ httpPorts: [80, 9000], tcpPorts: [], udpPorts: [53] });
  expect(readSettings({ ...declared, TCP_PORT: "9000" })).toMatchObject({ httpPorts: [80], tcpPorts: [9000] });
  expect(readSettings({ ...declared, PORTS: "1, 2", UDP_PORT: "3" })).toMatchObject({
    httpPorts: [1, 2],
    udpPorts: [3],
  });
});

test("readSettings: who it is", () => {
  const env = { HOSTNAME: "web-1", POD_NAME: "", FAIRLEAD_NAMESPACE: "shop", NODE_NAME: "n1", POD_IP: "127.42.0.2" };
  expect(readSettings(env)).toMatchObject({
    address: "127.42.0.2",
    pod: { namespace: "shop", node: "n1", address: "127.42.0.2" },
  });
});

test.each([
  ["PORT", "0"],
  ["TCP_PORT", "http"],
  ["UDP_PORT", "65536"],
  ["DRAIN_SECONDS", "-1"],
])("readSettings: %s=%s is refused by name", (name, value) => {
  expect(() => readSettings({ [name]: value })).toThrow(name);
});
