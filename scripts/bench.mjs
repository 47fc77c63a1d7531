// Compiles and runs one benchmark: `npm run bench:NAME -- [arguments]`. Each takes --json: one line a figure,
// {"name","value","unit","baseline","ratio"}.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { copyAssets } from "./assets.mjs";
import { prepare, root } from "./prepare.mjs";

const [name = "", ...args] = process.argv.slice(2);
if (!existsSync(join(root, "bench", `${name}.ts`))) {
  const known = readdirSync(join(root, "bench")).filter((f) => f.endsWith(".ts"));
  console.error(`bench: there is no "${name}"; there are: ${known.map((f) => f.slice(0, -3)).join(" ")}`);
  process.exit(2);
}
if (!prepare((line) => console.error(`bench: ${line}`))) process.exit(1);
const run = (...a) => spawnSync(process.execPath, a, { cwd: root, stdio: "inherit" }).status ?? 1;
const compiled = run("node_modules/typescript/bin/tsc", "-p", "bench/tsconfig.json");
copyAssets(".cache/bench/src");
// The API server tells the version that stands there.
copyFileSync(join(root, "package.json"), join(root, ".cache/bench/package.json"));
process.exitCode = compiled || run("--expose-gc", join(root, ".cache/bench/bench", `${name}.js`), ...args);
