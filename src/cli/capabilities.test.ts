import { describe, expect, it } from "vitest";
import { decideCapabilities } from "./capabilities.ts";

const auto = { rootless: false, proxyMode: "auto" } as const;

describe("decideCapabilities", () => {
  it("uses pod networks and the kernel where both can be had", () => {
    expect(decideCapabilities({ admin: true, missing: {} }, auto)).toEqual({
      network: "namespaces",
      proxyMode: "nftables",
      off: [],
    });
  });

  it("falls back to loopback for a user without rights, and names both losses", () => {
    const { network, proxyMode, off } = decideCapabilities({ admin: false, missing: {} }, auto);
    expect({ network, proxyMode }).toEqual({ network: "loopback", proxyMode: "userspace" });
    expect(off).toHaveLength(2);
    expect(off.every((line) => line.includes("not root"))).toBe(true);
  });

  it("keeps pod networks without nft", () => {
    const result = decideCapabilities({ admin: true, missing: { nft: "nft is not installed" } }, auto);
    expect(result).toMatchObject({ network: "namespaces", proxyMode: "userspace" });
    expect(result.off).toEqual([expect.stringContaining("nft is not installed")]);
  });

  it("says nothing of a fallback that was asked for", () => {
    const result = decideCapabilities({ admin: true, missing: {} }, { rootless: false, proxyMode: "userspace" });
    expect(result).toEqual({ network: "namespaces", proxyMode: "userspace", off: [] });
  });

  it("refuses a kernel mode that cannot be had", () => {
    expect(() => decideCapabilities({ admin: false, missing: {} }, { rootless: false, proxyMode: "nftables" })).toThrow(
      "not root",
    );
  });
});
