import { expect, test } from "vitest";
import { keepalivedConfig, VipConfigError } from "./config.ts";
import type { VrrpInstance } from "./plan.ts";

const files = { config: "/run/x/keepalived.conf", fifo: "/run/x/fifo", bar: (name: string) => `/run/x/bar-${name}` };
const instance: VrrpInstance = {
  name: "v4-7",
  family: "IPv4",
  group: 7,
  addresses: ["192.0.2.10", "192.0.2.11"],
  advertisementIntervalMs: 100,
  priority: 254,
  source: "10.0.0.1",
  peers: ["10.0.0.2", "10.0.0.3"],
  isPreferred: true,
};
const write = (change: Partial<Record<keyof VrrpInstance, unknown>> = {}, device = "eth0") =>
  keepalivedConfig([{ ...instance, ...change } as VrrpInstance], files, () => device);

test("an instance is written whole", () => {
  expect(write().slice(write().indexOf("track_file"))).toBe(`track_file bar-v4-7 {
  file /run/x/bar-v4-7
  weight 0
}
vrrp_instance v4-7 {
  state BACKUP
  nopreempt
  interface eth0
  virtual_router_id 7
  priority 254
  advert_int 0.1
  unicast_src_ip 10.0.0.1
  unicast_ttl 255
  unicast_peer {
    10.0.0.2 min_ttl 255 max_ttl 255
    10.0.0.3 min_ttl 255 max_ttl 255
  }
  track_file {
    bar-v4-7
  }
  virtual_ipaddress {
    192.0.2.10/32 dev eth0
  }
  virtual_ipaddress_excluded {
    192.0.2.11/32 dev eth0
  }
}
`);
});

test("IPv6 addresses are written with their own length", () => {
  const text = write({ name: "v6-7", family: "IPv6", addresses: ["FD00::1"], source: "fd00::a", peers: ["fd00::b"] });
  expect(text).toContain("fd00::1/128 dev eth0");
  expect(text).not.toContain("excluded");
});

test.each([
  [{ name: "v4-7 {\n" }, "eth0"],
  [{ name: "../../x" }, "eth0"],
  [{ addresses: ["192.0.2.10\n  notify /bin/sh"] }, "eth0"],
  [{ addresses: ["fd00::1"] }, "eth0"],
  [{ addresses: [] }, "eth0"],
  [{ source: "10.0.0.1 }" }, "eth0"],
  [{ peers: ["10.0.0.2", "example.com"] }, "eth0"],
  [{ group: 0 }, "eth0"],
  [{ group: 256 }, "eth0"],
  [{ group: 1.5 }, "eth0"],
  [{ priority: 255 }, "eth0"],
  [{ priority: Number.NaN }, "eth0"],
  [{ advertisementIntervalMs: 5 }, "eth0"],
  [{ advertisementIntervalMs: 1e9 }, "eth0"],
  [{}, "eth0\n}"],
  [{}, "a-name-that-is-too-long"],
  [{}, ""],
])("%j on %j does not get in", (change, device) => {
  expect(() => write(change, device)).toThrow(VipConfigError);
});

test("a directory that the configuration cannot name is refused", () => {
  expect(() => keepalivedConfig([instance], { ...files, fifo: "/tmp/a b" }, () => "eth0")).toThrow(VipConfigError);
});
