import { createReadStream } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import type { Readable } from "node:stream";

/** What `/logs/` answers with. */
export type NodeLogs =
  | { readonly kind: "page"; readonly html: string }
  | { readonly kind: "file"; readonly size: number; readonly open: () => Readable }
  /** A directory that was asked for without a slash at its end. */
  | { readonly kind: "directory" };

/**
 * The files of the node's log directory, as upstream's `/logs/` (enableSystemLogHandler). `path` is decoded. Links that lead out of the
 * directory are as good as not there. Undefined: nothing is there.
 */
export async function nodeLogs(root: string, path: string): Promise<NodeLogs | undefined> {
  try {
    const top = await realpath(root);
    const found = await realpath(join(top, path));
    if (found !== top && !found.startsWith(top + sep)) return undefined;
    const facts = await stat(found);
    const { size } = facts;
    // No more than was there: a log grows while it is read.
    if (facts.isFile())
      return { kind: "file", size, open: () => createReadStream(found, size > 0 ? { end: size - 1 } : {}) };
    if (!facts.isDirectory()) return undefined;
    if (path !== "" && !path.endsWith("/")) return { kind: "directory" };
    const entries = await readdir(found, { withFileTypes: true });
    const names = entries.map((entry) => `${entry.name}${entry.isDirectory() ? "/" : ""}`).sort();
    const links = names.map((name) => `<a href="${escapeHtml(encodeURI(name))}">${escapeHtml(name)}</a>\n`);
    return { kind: "page", html: `<pre>\n${links.join("")}</pre>\n` };
  } catch {
    // Not there, or not to be read.
    return undefined;
  }
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
