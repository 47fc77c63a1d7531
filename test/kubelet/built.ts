import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** The supervisor and the echo program as JavaScript, compiled into a directory of their own. */
export function buildPrograms(): { dir: string; supervisor: string[]; echo: string; holder: string } {
  const dir = mkdtempSync(join(tmpdir(), "kubelet-built-"));
  process.once("exit", () => rmSync(dir, { recursive: true, force: true }));
  const programs = ["src/kubelet/runtime/supervisor/main.ts", "src/kubelet/echo/main.ts", "test/kubelet/holder.ts"];
  const files = programs.map((file) => join(root, file));
  const options = {
    noEmit: false,
    outDir: join(dir, "dist"),
    rootDir: root,
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
    supervisor: [process.execPath, join(built, "src/kubelet/runtime/supervisor/main.js")],
    echo: join(built, "src/kubelet/echo/main.js"),
    holder: join(built, "test/kubelet/holder.js"),
  };
}
