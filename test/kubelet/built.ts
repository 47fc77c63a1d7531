import { execFileSync } from "node:child_process";
import { mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** The supervisor and the echo program as JavaScript, compiled into a directory of their own. */
export function buildPrograms(): { dir: string; supervisor: string[]; echo: string } {
  const dir = mkdtempSync(join(tmpdir(), "kubelet-built-"));
  const src = join(root, "src");
  const files = ["kubelet/runtime/supervisor/main.ts", "kubelet/echo/main.ts"].map((file) => join(src, file));
  const options = {
    noEmit: false,
    outDir: join(dir, "dist"),
    rootDir: src,
    typeRoots: [join(root, "node_modules/@types")],
  };
  writeFileSync(
    join(dir, "tsconfig.json"),
    JSON.stringify({
      extends: join(root, "tsconfig.json"),
      compilerOptions: options,
      files,
      include: [],
    }),
  );
  writeFileSync(join(dir, "package.json"), JSON.stringify({ type: "module" }));
  symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", join(dir, "tsconfig.json")], { stdio: "inherit" });
  const built = join(dir, "dist");
  return {
    dir,
    supervisor: [process.execPath, join(built, "kubelet/runtime/supervisor/main.js")],
    echo: join(built, "kubelet/echo/main.js"),
  };
}
