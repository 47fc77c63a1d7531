// `npm run fuzz -- [target ...] [--minutes N] [--seed S]`: compiles test/fuzz and runs it. See test/fuzz/main.ts.
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "./prepare.mjs";

// Beneath the clone, where packages are found; one folder a run, for two may run at once.
const out = join(root, ".cache/fuzz", `build-${process.pid}`);
mkdirSync(out, { recursive: true });
const options = [
  "--ignoreConfig",
  "--target",
  "es2023",
  "--lib",
  "es2023",
  "--module",
  "nodenext",
  "--rewriteRelativeImportExtensions",
];
const strict = ["--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess"];
const where = ["--types", "node", "--skipLibCheck", ...strict, "--rootDir", ".", "--outDir", out];
const compiler = join(root, "node_modules/typescript/bin/tsc");
const files = ["test/fuzz/main.ts", "test/fuzz/worker.ts"];
const tsc = spawnSync(process.execPath, [compiler, ...options, ...where, ...files], { cwd: root, stdio: "inherit" });
if (tsc.status !== 0) process.exit(2);
// The API server tells the version that stands there.
copyFileSync(join(root, "package.json"), join(out, "package.json"));
const run = spawn(process.execPath, [join(out, "test/fuzz/main.js"), ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, FUZZ_ROOT: root },
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => run.kill(signal));
run.on("exit", (code) => {
  rmSync(out, { recursive: true, force: true });
  process.exit(code ?? 2);
});
