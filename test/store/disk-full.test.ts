import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compileStore } from "./compiled.ts";

const script = join(import.meta.dirname, "disk-full.mjs");
const mayMount = spawnSync("unshare", ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;

test.skipIf(!mayMount)(
  `a full disk fails writes, keeps reads, and is over when there is room${mayMount ? "" : " (skipped: needs root to mount)"}`,
  () => {
    const compiled = compileStore();
    const path = mkdtempSync(join(tmpdir(), "fairlead-full-"));
    try {
      const result = spawnSync("unshare", ["--mount", process.execPath, script, compiled.index, path], {
        encoding: "utf8",
        timeout: 60_000,
      });
      expect(result.status, result.stderr).toBe(0);
      const seen = JSON.parse(result.stdout) as Record<string, unknown> & { written: number };
      expect(seen.written).toBeGreaterThan(50);
      expect(seen).toMatchObject({
        code: "UNAVAILABLE",
        message: expect.stringContaining("nothing was written to the store") as string,
        revision: seen.written + 1,
        readable: seen.written,
        still: ["UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE"],
        after: { ok: true, revision: seen.written + 2 },
        found: seen.written + 1,
      });
    } finally {
      compiled.remove();
      rmSync(path, { recursive: true });
    }
  },
);
