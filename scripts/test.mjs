// `npm test`: set-up, the checks, unit tests, then system tests against the real kernel and real clients.
// Goes on after a failure, says for every skipped test why, and ends with `N passed, N failed, N skipped`.
// Usage: node scripts/test.mjs [--no-system]
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { runStep, staticSteps } from "./check.mjs";
import { root } from "./prepare.mjs";
import { setup } from "./setup.mjs";

if (!setup({ system: !process.argv.includes("--no-system") })) {
  console.log("0 passed, 1 failed");
  process.exit(1);
}

const count = { passed: 0, failed: 0, skipped: 0 };
const skipped = [];

for (const step of staticSteps) count[runStep(step) ? "passed" : "failed"]++;

mkdirSync(join(root, ".cache"), { recursive: true });
for (const project of ["unit", "system"]) {
  const report = join(root, ".cache", `tests-${project}.json`);
  rmSync(report, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const ok = runStep([
    `${project} tests`,
    "npx",
    ["--no-install", "vitest", "run", "--project", project, ...reporters],
  ]);
  const failedBefore = count.failed;
  for (const file of readReport(report)) {
    for (const test of file.assertionResults) {
      if (test.status === "passed") count.passed++;
      else if (test.status === "failed") count.failed++;
      else {
        count.skipped++;
        skipped.push(`${relative(root, file.name)}: ${test.fullName}`);
      }
    }
  }
  // A file that could not be loaded, or a runner that died, has no failed test of its own.
  if (!ok && count.failed === failedBefore) count.failed++;
}

/** Test files with their results, as vitest's JSON reporter writes them; none when it did not get that far. */
function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).testResults;
  } catch {
    return [];
  }
}

for (const line of skipped) console.log(`skipped: ${line}`);
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
process.exitCode = count.failed === 0 ? 0 : 1;
