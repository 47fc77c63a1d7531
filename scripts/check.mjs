// `npm run check`: format, lint, types, dependency direction, unit tests. Stops at the first that fails.
import { spawnSync } from "node:child_process";
import { pathToFileURL } from "node:url";
import { root } from "./prepare.mjs";

const npx = (...args) => ["npx", ["--no-install", ...args]];

/** The steps before any test runs: name, program, arguments. */
export const staticSteps = [
  ["format", ...npx("oxfmt", "--check", "src", "test", "bench", "scripts")],
  ["lint", ...npx("oxlint", "--type-aware", "--deny-warnings")],
  ["types", ...npx("tsc")],
  ["rooms", process.execPath, ["scripts/rooms.mjs"]],
];

/** Runs one step with its output shown, says how long it took, and returns whether it succeeded. */
export function runStep([name, file, args]) {
  const started = Date.now();
  const { status } = spawnSync(file, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, npm_config_loglevel: "error" },
  });
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  console.log(`check: ${name} ${status === 0 ? "ok" : "FAILED"}, ${seconds} s`);
  return status === 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const steps = [...staticSteps, ["unit tests", ...npx("vitest", "run", "--project", "unit")]];
  process.exitCode = steps.every(runStep) ? 0 : 1;
}
