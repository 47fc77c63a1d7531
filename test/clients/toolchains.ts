import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { runOrThrow, systemCommands } from "../../src/system/index.ts";
import { repository } from "../support/lab.ts";

const cache = join(repository, ".cache", "clients");

/** Why a program of another language can not be had: what its toolchain answered when it was asked for its version. */
export async function missing(program: string, args: readonly string[], hint: string): Promise<string | undefined> {
  const { code } = await systemCommands.run(program, [...args]).catch(() => ({ code: 1 }));
  return code === 0 ? undefined : `${program} is not installed: ${hint}`;
}

/** Builds the tests of a Go package into one program, and answers where it is. The first time fetches and compiles its libraries: minutes. */
export async function buildGoTests(folder: string): Promise<string> {
  await mkdir(cache, { recursive: true });
  const program = join(cache, "go-clients");
  await runOrThrow(systemCommands, "go", ["test", "-C", folder, "-c", "-o", program, "."], { timeout: 1_500_000 });
  return program;
}

/** Installs Python packages into a folder of their own, and answers it: `PYTHONPATH` for who uses them. */
export async function installPython(packages: readonly string[]): Promise<string> {
  const folder = join(cache, "python");
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"];
  await runOrThrow(systemCommands, "python3", [...pip, "--upgrade", "--target", folder, ...packages], {
    timeout: 300_000,
  });
  return folder;
}
