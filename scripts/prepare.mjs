// What a clone needs before its code can run: npm packages and a build. Plain Node: nothing is installed yet.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { copyAssets } from "./assets.mjs";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

const modifiedAt = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Runs a program in the clone with its output shown, on standard error: standard output belongs to whoever called. */
function show(file, args) {
  return spawnSync(file, args, { cwd: root, stdio: ["ignore", 2, 2] }).status === 0;
}

/** Time in milliseconds at which the newest file that the build reads was changed. */
function newestSource() {
  let newest = Math.max(
    ...["tsconfig.json", "tsconfig.build.json", "package.json"].map((f) => modifiedAt(join(root, f))),
  );
  for (const entry of readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name.endsWith(".test.ts") || !/\.(?:ts|lua)$/.test(entry.name)) continue;
    newest = Math.max(newest, modifiedAt(join(entry.parentPath, entry.name)));
  }
  return newest;
}

/** Whether dist/bundle/ was made of what is in dist/. */
function isJoined() {
  return modifiedAt(join(root, "dist/bundle/main.js")) >= modifiedAt(join(root, "dist/.tsbuildinfo"));
}

/** The module that runs the command line: joined, unless that is older than what it was made of. */
export const mainModule = () => new URL(isJoined() ? "../dist/bundle/main.js" : "../dist/cli/main.js", import.meta.url);

/**
 * Installs npm packages and builds where either is missing or older than what it is made from. Says what it does in
 * a line each through `say`; says nothing when there is nothing to do. Returns false when a step failed.
 */
export function prepare(say) {
  if (modifiedAt(join(root, "node_modules/.package-lock.json")) < modifiedAt(join(root, "package-lock.json"))) {
    // Not `npm ci`: it refuses a lock file made where the registry did not have every platform's optional packages.
    say("installing npm packages");
    // Without a network npm would try for ten minutes.
    const quick = ["--fetch-retries=1", "--fetch-timeout=30000"];
    if (!show("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error", ...quick])) {
      say("npm install failed: is the npm registry reachable?");
      return false;
    }
  }
  const stamp = join(root, "dist/.built");
  const newest = newestSource();
  if (!existsSync(join(root, "dist/cli/main.js")) || modifiedAt(stamp) < newest) {
    say("building (tsc)");
    if (!show(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"])) {
      say("the build failed: see the lines above");
      return false;
    }
    copyAssets();
    mkdirSync(dirname(stamp), { recursive: true });
    writeFileSync(stamp, "");
  }
  // Also after a build by tsc alone. Where it can not be joined it runs as it is.
  if (isJoined() || show(process.execPath, [join(root, "scripts/bundle.mjs")])) return true;
  say("the build runs as single modules: rolldown is not installed");
  return true;
}
