import { readFileSync } from "node:fs";
import type { Logger } from "../../system/index.ts";

/** Descriptors that the process needs beside connections: libraries, listeners, watches. */
const own = 256;
/** Each connection has a socket to its client and one to its endpoint. */
const each = 2;
/** Connections that a node of some size has at once. */
const enough = 16_384;

/** How many connections fit into a limit of open files. */
export function connectionsWithin(files: number): number {
  return Math.floor(filesForConnections(files) / each);
}

/** How many of all descriptors connections may use, so that the process can still read files and reach the API. */
export function filesForConnections(files = Number.POSITIVE_INFINITY): number {
  return Math.max(files - own, Math.floor(files / 2));
}

/** The limit of open files of this process; undefined where there is none or it is not told. Node has raised it as far as it may at its start. */
export function fileLimit(limits = readLimits()): number | undefined {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(limits) ?? [];
  return soft === undefined ? undefined : Number(soft);
}

function readLimits(): string {
  try {
    return readFileSync("/proc/self/limits", "utf8");
  } catch {
    // Systems without it have no such limit to tell of.
    return "";
  }
}

/** Says how many connections fit, where these are few: those beyond are turned away, and all else goes on. */
export function warnOfFileLimit(log: Logger, files = fileLimit()): void {
  if (files === undefined) return;
  const connections = connectionsWithin(files);
  if (connections < enough)
    log.warn(
      { files, connections },
      `the limit of open files allows about ${connections} connections at once: raise it (ulimit -n, LimitNOFILE) for more`,
    );
}
