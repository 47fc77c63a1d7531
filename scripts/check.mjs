// `npm run check`: format, lint, types, dependency direction, unit tests. Stops at the first that fails.
import { spawnSync } from "node:child_process";

const steps = [
  ["format", "npx", ["--no-install", "oxfmt", "--check", "src", "test", "bench", "scripts"]],
  ["lint", "npx", ["--no-install", "oxlint", "--type-aware", "--deny-warnings"]],
  ["types", "npx", ["--no-install", "tsc"]],
  ["rooms", process.execPath, ["scripts/rooms.mjs"]],
  ["unit tests", "npx", ["--no-install", "vitest", "run", "--project", "unit"]],
];

for (const [name, file, args] of steps) {
  const started = Date.now();
  const { status } = spawnSync(file, args, { stdio: "inherit", env: { ...process.env, npm_config_loglevel: "error" } });
  if (status !== 0) {
    console.error(`check: ${name} failed`);
    process.exit(1);
  }
  console.log(`check: ${name} ok, ${((Date.now() - started) / 1000).toFixed(1)} s`);
}
