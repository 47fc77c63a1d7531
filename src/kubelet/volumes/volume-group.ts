import { chmodSync, chownSync, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * Gives a volume to a group that its containers share (`fsGroup`): all of its files when its root has another group or mode, or
 * always when the pod says so. Symbolic links are left alone.
 */
export function giveToGroup(root: string, group: number, policy: string | undefined): void {
  const { gid, mode } = lstatSync(root);
  if (policy === "OnRootMismatch" && gid === group && (mode & 0o2070) === 0o2070) return;
  const open: string[] = [root];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    const found = lstatSync(path);
    if (found.isSymbolicLink()) continue;
    chownSync(path, -1, group);
    chmodSync(path, (found.mode & 0o7777) | (found.isDirectory() ? 0o2770 : 0o660));
    if (found.isDirectory()) for (const name of readdirSync(path)) open.push(join(path, name));
  }
}
