import { accessSync, constants, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { RuntimeError } from "./runtime.ts";

/** The absolute path of an executable, looked up as execvp does. Throws `RuntimeError` START_FAILED. */
export function findCommand(name: string, path: string, workingDir: string): string {
  if (name.includes("/")) {
    const file = resolve(workingDir, name);
    if (isExecutable(file)) return file;
    throw new RuntimeError("START_FAILED", `exec: "${name}": no such executable file`);
  }
  for (const directory of path.split(":")) {
    const file = join(directory || ".", name);
    if (name && isExecutable(file)) return file;
  }
  throw new RuntimeError("START_FAILED", `exec: "${name}": executable file not found in $PATH`);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
