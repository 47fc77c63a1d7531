import { execFileSync } from "node:child_process";
import { mkdtempSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** Compiles the store room, so that plain Node processes can run it. Returns the URL of its index and a clean-up. */
export function compileStore(): { index: string; remove: () => void } {
  mkdirSync(join(root, ".cache"), { recursive: true });
  // Beneath the clone, where packages are found.
  const out = mkdtempSync(join(root, ".cache/store-"));
  const options = ["--ignoreConfig", "--target", "es2023", "--module", "nodenext", "--rewriteRelativeImportExtensions"];
  const where = ["--types", "node", "--skipLibCheck", "--strict", "--rootDir", "src", "--outDir", out];
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, ...options, ...where, "src/store/index.ts"], { cwd: root });
  return { index: join(out, "store/index.js"), remove: () => rmSync(out, { recursive: true }) };
}
