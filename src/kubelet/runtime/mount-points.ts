import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type Mount, RuntimeError } from "./runtime.ts";

/**
 * Mount points that containers need and the node has not. They are made on the node, empty, and stay until the node goes:
 * removing one would detach what is mounted on it in every namespace, also for containers that still run.
 */
export interface MountPoints {
  /** Makes the target (and, for a subPath, the source) exist. Throws `RuntimeError` CREATE_FAILED. */
  make(mount: Mount): void;
  /** Takes away what was made and is empty and not mounted on for any process. */
  removeUnused(): void;
}

/** What was made is remembered in `directory`, so that it is known after a restart. */
export function openMountPoints(directory: string): MountPoints {
  const file = join(directory, "mount-points.json");
  const made = new Set<string>(existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as string[]) : []);

  return {
    make(mount) {
      const target = resolve("/", mount.target);
      if (target === "/") throw new RuntimeError("CREATE_FAILED", `mountPath "${mount.target}" cannot be the root`);
      const source = statSync(mount.source, { throwIfNoEntry: false });
      if (!source) mkdirSync(mount.source, { recursive: true });
      if (existsSync(target)) return;
      const isFile = source !== undefined && !source.isDirectory();
      for (let path = target; !existsSync(path); path = dirname(path)) made.add(path);
      // First remembered, then made: what is made is never forgotten.
      writeFileSync(file, JSON.stringify([...made]), { mode: 0o600 });
      mkdirSync(isFile ? dirname(target) : target, { recursive: true });
      if (isFile) writeFileSync(target, "");
    },
    removeUnused() {
      const mounted = mountedAnywhere();
      for (const path of [...made].sort((a, b) => b.length - a.length)) {
        if (!mounted.has(path)) removeEmpty(path);
      }
      made.clear();
      rmSync(file, { force: true });
    },
  };
}

/** Paths that are mount points for any process of this machine. */
function mountedAnywhere(): Set<string> {
  const paths = new Set<string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    let text = "";
    try {
      text = readFileSync(`/proc/${pid}/mountinfo`, "utf8");
    } catch {
      // It ended meanwhile.
    }
    for (const line of text.split("\n")) paths.add(unescapeOctal(line.split(" ")[4] ?? ""));
  }
  return paths;
}

/** As the kernel writes blanks in /proc: `\040`. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)));
}

function removeEmpty(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  try {
    if (stat?.isDirectory()) rmdirSync(path);
    else if (stat?.size === 0) rmSync(path);
  } catch {
    // Someone has put something there.
  }
}
