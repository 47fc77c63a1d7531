import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { runOrThrow, systemCommands } from "../../src/system/index.ts";
import { repository } from "./lab.ts";

/** A Python with packages of PyPI, made once. */
export interface Venv {
  readonly python: string;
  /** Makes sure of it; why it cannot be had, or undefined. The first time takes a minute. */
  readonly install: () => Promise<string | undefined>;
}

export function venvOf(name: string, packages: readonly string[]): Venv {
  const folder = join(repository, ".cache", name, packages.join(",").replaceAll(/[^a-z0-9.]+/g, "-"));
  const python = join(folder, "bin", "python");
  return {
    python,
    async install() {
      const done = join(folder, "installed");
      try {
        await access(done);
        return undefined;
      } catch {
        // Not there yet, or not whole.
      }
      try {
        await mkdir(folder, { recursive: true });
        await runOrThrow(systemCommands, "python3", ["-m", "venv", "--clear", folder], { timeout: 120_000 });
        const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        await runOrThrow(systemCommands, python, [...pip, ...packages], { timeout: 600_000 });
        await runOrThrow(systemCommands, "touch", [done]);
        return undefined;
      } catch (error) {
        return `packages of ${name} cannot be installed from PyPI: ${String(error).slice(0, 200)}`;
      }
    },
  };
}
