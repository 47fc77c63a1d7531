import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
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

/** What a shelf holds of each target at most. */
export interface ShelfBounds {
  readonly files: number;
  readonly bytes: number;
}

const usualBounds: ShelfBounds = { files: 2000, bytes: 8 << 20 };

/** Inputs of one target that are kept on disk, as many as there is room for. */
export interface Shelf {
  /** Keeps an input. When there is no room, the largest go: a small input that reaches the same place says more. */
  put(input: Uint8Array): void;
}

/** Goes on with what earlier runs have left in the folder of the target. */
export function openShelf(root: string, target: string, bounds: ShelfBounds = usualBounds): Shelf {
  const folder = join(root, target);
  const sizes = new Map<string, number>();
  for (const name of existsSync(folder) ? readdirSync(folder) : [])
    sizes.set(join(folder, name), statSync(join(folder, name)).size);
  let bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);

  /** To nine tenths of the bounds at once, so that a full shelf is not sorted for each input. */
  const makeRoom = (): void => {
    const largest = [...sizes].sort(([, a], [, b]) => b - a);
    for (const [path, size] of largest) {
      if (sizes.size <= 0.9 * bounds.files && bytes <= 0.9 * bounds.bytes) return;
      rmSync(path, { force: true });
      sizes.delete(path);
      bytes -= size;
    }
  };
  if (sizes.size > bounds.files || bytes > bounds.bytes) makeRoom();

  return {
    put(input) {
      const path = keep(root, target, input);
      if (sizes.has(path)) return;
      sizes.set(path, input.length);
      bytes += input.length;
      if (sizes.size > bounds.files || bytes > bounds.bytes) makeRoom();
    },
  };
}
