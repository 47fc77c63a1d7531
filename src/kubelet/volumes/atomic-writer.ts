import { randomBytes } from "node:crypto";
import {
  chmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { Payload } from "./payload.ts";

/**
 * Writes a volume's files so that a reader sees all of the old ones or all of the new: they lie in a directory of
 * their own, `..data` points to it, and each visible name points through `..data`. As the kubelet lays them out.
 * Answers whether anything changed.
 */
export function writeAtomically(directory: string, payload: Payload, group?: number): boolean {
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o755);
  const link = join(directory, "..data");
  const old = target(link);
  if (old !== undefined && same(join(directory, old), payload)) return false;

  const fresh = `..${new Date().toISOString().slice(0, 19).replace(/[-:T]/g, "_")}.${randomBytes(4).toString("hex")}`;
  const root = join(directory, fresh);
  mkdirSync(root);
  chmodSync(root, 0o755);
  for (const [path, { data, mode }] of payload) {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    writeFileSync(file, data);
    if (group !== undefined) lchownSync(file, -1, group);
    // Whoever may read through the group must be able to, whatever the mode says for others.
    chmodSync(file, group === undefined ? mode : mode | 0o040);
  }
  symlinkSync(fresh, `${link}_tmp`);
  renameSync(`${link}_tmp`, link);

  const visible = new Set([...payload.keys()].map((path) => path.split("/")[0] ?? ""));
  for (const name of visible)
    if (!exists(join(directory, name))) symlinkSync(join("..data", name), join(directory, name));
  for (const name of readdirSync(directory)) {
    if (!name.startsWith("..") && !visible.has(name)) rmSync(join(directory, name), { force: true });
    // Only what an earlier write left; the mount may be in use, but no new reader finds it.
    if (name.startsWith("..2") && name !== fresh) rmSync(join(directory, name), { recursive: true, force: true });
  }
  return true;
}

function same(root: string, payload: Payload): boolean {
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  if (files.length !== payload.size) return false;
  for (const [path, { data }] of payload) {
    try {
      if (!readFileSync(join(root, path)).equals(data)) return false;
    } catch {
      return false;
    }
  }
  return true;
}

function target(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}

function exists(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
