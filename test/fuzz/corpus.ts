import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Target } from "./target.ts";

/** Inputs that once found something or that reach what seeds do not. */
export function kept(root: string, target: Target): Buffer[] {
  const folder = join(root, target.name);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .map((name) => readFileSync(join(folder, name)));
}

export async function inputsOf(root: string, target: Target): Promise<Buffer[]> {
  return [...(await target.seeds()).map((seed) => Buffer.from(seed)), ...kept(root, target)];
}

/** Writes an input into the folder of its target; gives its path. */
export function keep(root: string, target: string, input: Uint8Array, prefix = ""): string {
  const folder = join(root, target);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, prefix + createHash("sha256").update(input).digest("hex").slice(0, 12));
  writeFileSync(path, input);
  return path;
}
