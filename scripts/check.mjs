// `npm run check`: format, lint, types, dependency direction, unit tests. Stops at the first that fails.
import { spawn } from "node:child_process";
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

/**
 * Runs one step, says how long it took, and resolves with whether it succeeded. Its output is shown as it comes; of a `quiet` one,
 * which runs beside another, when it has ended.
 */
export async function runStep([name, file, args], { quiet = false } = {}) {
  const started = Date.now();
  const child = spawn(file, args, {
    cwd: root,
    stdio: quiet ? ["ignore", "pipe", "pipe"] : "inherit",
    env: { ...process.env, npm_config_loglevel: "error" },
  });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (data) => output.push(data));
  const status = await new Promise((resolve) => {
    child.once("error", () => resolve(-1));
    child.once("close", resolve);
  });
  process.stdout.write(Buffer.concat(output));
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  console.log(`check: ${name} ${status === 0 ? "ok" : "FAILED"}, ${seconds} s`);
  return status === 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const steps = [...staticSteps, ["unit tests", ...npx("vitest", "run", "--project", "unit")]];
  for (const step of steps) {
    if (await runStep(step)) continue;
    process.exitCode = 1;
    break;
  }
}
