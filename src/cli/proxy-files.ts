import { watch, type FSWatcher } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { createMemoryInformers, type Informers } from "../client/index.ts";
import { resources } from "../kube/index.ts";
import type { Clock, Logger } from "../system/index.ts";
import { type FileObjects, objectFiles, readObjectFile } from "./proxy-objects.ts";

/** Services and EndpointSlices of files, followed as they change. */
export interface FileSource {
  readonly informers: Informers;
  /** Why what is in the files now is not all in force; undefined when it is. */
  problem(): string | undefined;
}

/** Milliseconds between looks at the files, for what the system does not tell of: network file systems, links to other places. */
const lookEvery = 2_000;
/** Milliseconds of quiet after which a change counts as written. */
const quiet = 50;

/**
 * Reads the files, and reads them anew when they change: in place, by a rename, or by a link that is set to another folder, as in a
 * mounted ConfigMap. A file that cannot be read or is wrong keeps its objects as they were. Throws CliError BAD_FILE for what is wrong at
 * the start.
 */
export async function followFiles(
  paths: readonly string[],
  options: { readonly signal: AbortSignal; readonly clock: Clock; readonly log: Logger },
): Promise<FileSource> {
  const { signal, clock, log } = options;
  const informers = createMemoryInformers();
  let files = new Map<string, { readonly version: string; readonly objects: FileObjects }>();
  let problem: string | undefined;
  let begun = false;
  /** Versions that were wrong: said once. */
  const wrong = new Map<string, string>();

  /** Brings what is in the files into force; answers what is wrong. */
  async function read(): Promise<unknown[]> {
    const found = await objectFiles(paths);
    const next: typeof files = new Map();
    const faults: unknown[] = [];
    for (const file of found) {
      const before = files.get(file);
      const version = await versionOf(file);
      if (before && before.version === version) {
        next.set(file, before);
        continue;
      }
      try {
        next.set(file, { version, objects: await readObjectFile(file) });
        wrong.delete(file);
      } catch (error) {
        faults.push(error);
        if (before) next.set(file, before);
        if (wrong.get(file) === version) continue;
        wrong.set(file, version);
        if (!begun) continue;
        const then = before ? "what it held before stays in force" : "it is left out";
        log.error({ file, error: messageOf(error) }, `a file of Services is wrong: ${then}`);
      }
    }
    files = next;
    const all = [...files.values()];
    informers.replace(
      resources.EndpointSlice,
      all.flatMap(({ objects }) => objects.slices),
    );
    informers.replace(
      resources.Service,
      all.flatMap(({ objects }) => objects.services),
    );
    problem = faults.length > 0 ? faults.map(messageOf).join("; ") : undefined;
    return faults;
  }

  const [fault] = await read();
  if (fault !== undefined) throw fault;
  begun = true;
  void follow();
  return { informers, problem: () => problem };

  async function follow(): Promise<void> {
    let wake: () => void = () => {};
    const watchers = watchFolders(paths, () => wake());
    signal.addEventListener("abort", () => watchers.forEach((watcher) => watcher.close()), { once: true });
    while (!signal.aborted) {
      const woken = new Promise<boolean>((resolve) => (wake = () => resolve(true)));
      const late = clock.sleep(lookEvery, signal).then(() => false);
      if (await Promise.race([woken, late]).catch(() => false)) await clock.sleep(quiet, signal).catch(() => {});
      if (signal.aborted) return;
      await read().catch((error: unknown) => {
        if (problem !== messageOf(error))
          log.error({ error: messageOf(error) }, "the files of Services cannot be read: all stays as it is");
        problem = messageOf(error);
      });
    }
  }
}

/** What changes when the file does: another file in its place, or another text in it. */
async function versionOf(file: string): Promise<string> {
  const found = await stat(file, { bigint: true }).catch(() => undefined);
  return found ? [found.dev, found.ino, found.size, found.mtimeNs].join() : "";
}

/** A file is watched through its folder: in its place another may be put. What cannot be watched is looked at. */
function watchFolders(paths: readonly string[], changed: () => void): FSWatcher[] {
  const folders = new Set(paths.flatMap((path) => [path, dirname(path)]));
  return [...folders].flatMap((folder) => {
    try {
      return [watch(folder, { persistent: false }, changed).on("error", () => {})];
    } catch {
      return [];
    }
  });
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
