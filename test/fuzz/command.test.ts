import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

// The command compiles by itself what it fuzzes, with options of its own: a change elsewhere may break it unseen.
test("npm run fuzz compiles its targets and runs one", () => {
  const script = join(import.meta.dirname, "../../scripts/fuzz.mjs");
  const run = spawnSync(process.execPath, [script, "quantity", "--minutes", "0.02", "--seed", "1"], {
    encoding: "utf8",
  });
  expect(run.stderr).toBe("");
  expect(run.stdout).toContain("seed 1, 1 targets");
  expect(run.status).toBe(0);
});
