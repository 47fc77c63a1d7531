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
const remarks = [];
/** More files than this fail because something is broken, not by chance: they are not asked again. */
const mostRetried = 4;

/**
 * Suites that have their servers and namespaces for themselves, in lanes that run beside each other and beside the lane of all others:
 * half of the time is waiting.
 */
const beside = {
  "system-api": [
    "test/acme",
    "test/admission",
    "test/aggregation",
    "test/apiserver",
    "test/bad-input",
    "test/clients",
    "test/conformance",
    "test/consistency",
    "test/explain/announcement-faults",
    "test/fuzz",
    "test/golden",
    "test/loadbalancer/openstack",
    "test/loadbalancer/stability",
    "test/operations",
    "test/security",
    "test/store",
  ],
  "system-edge": [
    "test/dataplane",
    "test/differential",
    "test/ingress-nginx",
    "test/loadbalancer/aws",
    "test/loadbalancer/azure",
    "test/loadbalancer/bgp",
    "test/loadbalancer/f5",
    "test/loadbalancer/front-ends",
    "test/loadbalancer/gce",
    "test/loadbalancer/rancher",
    "test/loadbalancer/vip",
  ],
};

for (const ok of await Promise.all(staticSteps.map((step) => runStep(step, { quiet: true }))))
  count[ok ? "passed" : "failed"]++;

mkdirSync(join(root, ".cache"), { recursive: true });
tallyAll(await runTests("unit"), []);
const others = Object.values(beside).flatMap((paths) => paths.map((path) => `--exclude=${path}**`));
const lanes = await Promise.all([
  runTests("system", others),
  ...Object.entries(beside).map(([name, paths]) => runTests("system", paths, name)),
]);
const first = { ok: lanes.every(({ ok }) => ok), files: lanes.flatMap(({ files }) => files) };
const died = lanes.some(({ ok, files }) => !ok && !files.some(hasFailed));
const failing = first.files.filter(hasFailed).map((file) => relative(root, file.name));
// These tests meet real clocks, packets and processes. What fails once and passes alone is told, not hidden.
if (!died && failing.length > 0 && failing.length <= mostRetried) {
  const second = await runTests("system", failing, "system-second");
  tallyAll({ ok: second.ok, files: first.files }, second.files);
} else tallyAll(first, []);

/** Counts what the files of a run say, or what they said when they were asked again. */
function tallyAll({ ok, files }, again) {
  const failedBefore = count.failed;
  for (const file of files) {
    const second = again.find(({ name }) => name === file.name);
    if (second && !hasFailed(second))
      for (const test of failedTests(file)) remarks.push(`flaky: ${nameOf(file, test)} (passed at the second run)`);
    tally(second ?? file);
  }
  // A runner that died has no failed test of its own.
  if (!ok && count.failed === failedBefore) count.failed++;
}

/** Runs a project, or some files of it: whether all passed, and the files with their results, as vitest's JSON reporter writes them. */
async function runTests(project, args = [], name = project) {
  const report = join(root, ".cache", `tests-${name}.json`);
  rmSync(report, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const step = [`${name} tests`, "npx", ["--no-install", "vitest", "run", "--project", project, ...reporters, ...args]];
  const ok = await runStep(step, { quiet: name in beside });
  return { ok, files: readReport(report) };
}

function failedTests(file) {
  return file.assertionResults.filter(({ status }) => status === "failed");
}

/** A file that could not be loaded has no failed test of its own. */
function hasFailed(file) {
  return file.status === "failed";
}

function nameOf(file, test) {
  return `${relative(root, file.name)}: ${test.fullName}`;
}

function tally(file) {
  if (hasFailed(file) && failedTests(file).length === 0) count.failed++;
  for (const test of file.assertionResults) {
    if (test.status === "passed") count.passed++;
    else if (test.status === "failed") count.failed++;
    else {
      count.skipped++;
      remarks.push(`skipped: ${nameOf(file, test)}`);
    }
  }
}

/** None when the run did not get that far. */
function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).testResults;
  } catch {
    return [];
  }
}

for (const line of remarks) console.log(line);
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
process.exitCode = count.failed === 0 ? 0 : 1;
