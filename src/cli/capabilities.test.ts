import { describe, expect, it } from "vitest";
import { decideCapabilities } from "./capabilities.ts";

const auto = { rootless: false, proxyMode: "auto", vip: false } as const;
const everything = {
  pods: undefined,
  nft: undefined,
  iptables: undefined,
  conntrack: undefined,
  keepalived: undefined,
};

describe("decideCapabilities", () => {
  it("uses pod networks and the kernel where both can be had", () => {
    expect(decideCapabilities(everything, auto)).toEqual({ network: "namespaces", proxyMode: "nftables", off: [] });
  });

  it("falls back to loopback for a user without rights, and names both losses", () => {
    const { network, proxyMode, off } = decideCapabilities({ ...everything, pods: "not started as root" }, auto);
    expect({ network, proxyMode }).toEqual({ network: "loopback", proxyMode: "userspace" });
    expect(off).toHaveLength(2);
    expect(off.every((line) => line.includes("not started as root"))).toBe(true);
  });

  it("keeps pod networks without nft", () => {
    const result = decideCapabilities({ ...everything, nft: "nft is not installed" }, auto);
    expect(result).toMatchObject({ network: "namespaces", proxyMode: "userspace" });
    expect(result.off).toEqual([expect.stringContaining("nft is not installed")]);
  });

  it("says nothing of a fallback that was asked for", () => {
    const result = decideCapabilities(everything, { rootless: false, proxyMode: "userspace", vip: false });
    expect(result).toEqual({ network: "namespaces", proxyMode: "userspace", off: [] });
  });

  it("names what is lost without conntrack", () => {
    const { off } = decideCapabilities({ ...everything, conntrack: "conntrack is not installed" }, auto);
    expect(off).toEqual([expect.stringContaining("UDP")]);
  });

  it.each([{ pods: "not started as root" }, { keepalived: "keepalived is not installed" }])(
    "refuses addresses by VRRP that cannot be had: %j",
    (missing) => {
      const wanted = { ...auto, vip: true };
      expect(() => decideCapabilities({ ...everything, ...missing }, wanted)).toThrow("--vip cannot be had");
      expect(decideCapabilities({ ...everything, ...missing }, auto).off).toBeDefined();
    },
  );

  it("refuses a kernel mode that cannot be had", () => {
    const wanted = { rootless: false, proxyMode: "nftables", vip: false } as const;
    expect(() => decideCapabilities({ ...everything, pods: "not started as root" }, wanted)).toThrow("as root");
  });
});
