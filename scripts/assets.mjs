// What the build does not compile but the program reads at run time, copied beside the modules that read it.
import { cpSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** Folders under src/, and the same under the folder of the build. */
const assets = ["dataplane/nginx/lua"];

export function copyAssets(build = "dist") {
  for (const path of assets) cpSync(join(root, "src", path), join(root, build, path), { recursive: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) copyAssets();
