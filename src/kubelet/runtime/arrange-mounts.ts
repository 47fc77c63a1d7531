import { resolve } from "node:path";
import type { Mount } from "./runtime.ts";

/** Where sources are bound that a mount would hide before their turn: the first that no mount of the container hides. */
const stages = ["/run/fairlead-mounts", "/mnt/fairlead-mounts", "/var/fairlead-mounts", "/fairlead-mounts"];

/**
 * Mounts in the order in which they are to be made. Outer directories come first: a mount hides what was mounted inside it before.
 * It hides the sources of later ones too, as a volume at /tmp does when the node's own files are beneath /tmp: those are bound
 * elsewhere before all others.
 */
export function arrangeMounts(wanted: readonly Mount[], isDirectory: (source: string) => boolean): Mount[] {
  const ordered = wanted.toSorted((a, b) => a.target.length - b.target.length);
  const targets = ordered.map(({ target }) => resolve("/", target));
  const hides = (path: string, among: readonly string[]): boolean =>
    among.some((target) => path === target || path.startsWith(`${target}/`));
  const stage = stages.find((path) => !hides(path, targets));
  const staged: Mount[] = [];
  const mounts = ordered.map((mount, i) => {
    if (stage === undefined || !hides(resolve("/", mount.source), targets.slice(0, i))) return mount;
    // Other containers have theirs there: a mount point is a directory for all of them, or for none.
    const kind = isDirectory(mount.source) ? "directories" : "files";
    const held = { ...mount, target: `${stage}/${kind}/${staged.length}`, readOnly: false };
    staged.push(held);
    return { ...mount, source: held.target };
  });
  return [...staged, ...mounts];
}
