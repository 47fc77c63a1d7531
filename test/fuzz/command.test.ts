import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

// The command compiles by itself what it fuzzes, with options of its own: a change elsewhere may break it unseen.
test("npm run fuzz compiles its targets and runs them, a whole API server among them", () => {
  const script = join(import.meta.dirname, "../../scripts/fuzz.mjs");
  const run = spawnSync(process.execPath, [script, "quantity", "requests", "--minutes", "0.1", "--seed", "1"], {
    encoding: "utf8",
  });
  expect(run.stderr).toBe("");
  expect(run.stdout).toContain("seed 1, 2 targets");
  expect(run.stdout).toMatch(/^requests: \d+ inputs, [1-9]\d* outcomes$/m);
  expect(run.status).toBe(0);
});
