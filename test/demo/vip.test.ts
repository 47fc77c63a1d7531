import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type Lab, openLab, repository } from "../support/lab.ts";
import { noVipLab } from "../support/vip-lab.ts";

describe.skipIf(noVipLab)(`fairlead demo vip${noVipLab ? ` (${noVipLab})` : ""}`, () => {
  let lab: Lab | undefined;
  afterEach(async () => {
    await lab?.close();
  });

  it("an address outlives the node that holds it, and nothing is left at the end", async () => {
    lab = await openLab("root");
    const dir = join(lab.dir, "demo");
    const { code, stdout, stderr } = await lab.run(process.execPath, [
      join(repository, "fairlead"),
      "demo",
      "vip",
      "--dir",
      dir,
      "-o",
      "json",
    ]);
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    const rows = JSON.parse(stdout) as { event: string; from: string; to: string; requests: number; lost: number }[];
    expect(rows.map(({ event }) => event)).toEqual([
      "the holder is cut off the network",
      "the holder is drained",
      "the holder's keepalived is killed",
    ]);
    for (const { from, to, requests, lost } of rows) {
      expect(from).toMatch(/^node-[234]$/);
      expect(to).toMatch(/^node-[234]$/);
      expect(to).not.toBe(from);
      // It was answered again: not all is lost.
      expect(lost).toBeLessThan(requests);
    }
    expect(existsSync(dir)).toBe(false);
    const left = await lab.run("sh", ["-c", "ip -j link; nft list tables"]);
    expect(left.stdout).not.toMatch(/fairlead-lan|fairlead_vips/);
  });
});
