import { closeSync, openSync } from "node:fs";
import { expect, test } from "vitest";
import { openNft } from "../../src/proxy/nftables/index.ts";
import { openLibrary } from "../../src/proxy/nftables/library.ts";
import { createLogger, systemCommands } from "../../src/system/index.ts";
import { enter, whyNoLab } from "./lab.ts";

const files = 1_100;

/** Opens so many files that what is opened next has a number above 1,023; returns what closes them. */
function openFiles(): () => void {
  const open = Array.from({ length: files }, () => openSync("/dev/null", "r"));
  return () => {
    for (const one of open.splice(0)) closeSync(one);
  };
}

test.skipIf(whyNoLab)(
  "rules are changed in a process that has more than a thousand files open, as user space has",
  async () => {
    const name = `fl-files-${process.pid}`;
    await systemCommands.run("ip", ["netns", "add", name]);
    const home = enter(`/run/netns/${name}`);
    const before = await openLibrary();
    const close = openFiles();
    const nft = await openNft(systemCommands, createLogger({ level: "error" }));
    const later = await openLibrary();
    try {
      // One that was opened when there were few, and one that was opened since: neither may end the process.
      for (const library of [before, later])
        expect(library.run("add table ip files\n")).toMatch(/so many files are open/);
      await nft.run("add table ip files\n");
      expect((await systemCommands.run("nft", ["list", "tables"])).stdout).toContain("table ip files");
      close();
      for (const library of [before, later]) expect(library.run("list table ip files\n")).toBeUndefined();
    } finally {
      close();
      before.close();
      later.close();
      nft.close();
      home();
      await systemCommands.run("ip", ["netns", "delete", name]);
    }
  },
);
