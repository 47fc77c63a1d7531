import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ProxyContext } from "../services/index.ts";
import { CommandError, FakeClock, silentLogger, type CommandRunner } from "../system/index.ts";
import { chooseBackend, ProxyModeError } from "./choose.ts";

const context: ProxyContext = {
  families: ["IPv4"],
  node: { name: "node1", addresses: [] },
  podCidrs: [],
  serviceCidrs: [],
};
const noNft: CommandRunner = {
  run: () => Promise.reject(new CommandError("NOT_FOUND", "nft", "nft is not installed")),
};
const oldKernel: CommandRunner = {
  run: () =>
    Promise.resolve({ code: 1, stdout: "", stderr: "Error: Could not process rule: No such file or directory" }),
};

describe("the proxy mode", () => {
  let stop: AbortController;
  beforeEach(() => {
    stop = new AbortController();
  });
  afterEach(() => stop.abort());

  const choose = (mode: "auto" | "nftables" | "userspace", commands: CommandRunner) =>
    chooseBackend({ mode, commands, signal: stop.signal, clock: new FakeClock() }, context, silentLogger);

  test.each([
    ["nft is not installed", noNft],
    ["No such file or directory", oldKernel],
  ])("auto falls back to user space and says why: %s", async (why, commands) => {
    const { backend, reason } = await choose("auto", commands);
    expect(backend.mode).toBe("userspace");
    expect(reason).toContain(why);
  });

  test("nftables is not replaced by anything else when it is asked for", async () => {
    await expect(choose("nftables", noNft)).rejects.toThrow(ProxyModeError);
    await expect(choose("nftables", noNft)).rejects.toThrow("nft is not installed");
  });

  test("userspace needs no reason", async () => {
    const { backend, reason } = await choose("userspace", noNft);
    expect(backend.mode).toBe("userspace");
    expect(reason).toBeUndefined();
  });
});
