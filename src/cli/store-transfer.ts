import { closeSync, createReadStream, existsSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { BackupItem, Snapshot, Store } from "../store/index.ts";
import { clusterDirectory } from "./directory.ts";
import { CliError } from "./errors.ts";
import { openStore, storePath, type StoreSettings } from "./open-store.ts";

/** A store that a command names. */
export interface Place {
  readonly settings: StoreSettings;
  readonly dir: string;
}

type Tell = (line: string) => void;

/** Keys that say which processes run now: they are not part of what a cluster knows. */
const passing = ["/registry/fairlead.dev/apiservers/", "/registry/fairlead.dev/compactions/"];
const apiServers = "/registry/fairlead.dev/apiservers/";
const events = "/registry/core/events/";

/**
 * Revisions between a state and the store that it is restored to: clients that saw later versions than the backup has, know afterwards
 * that theirs are gone. As etcd's documentation advises.
 */
const revisionsAhead = 1_000_000_000;

/** Writes the state of a store to a file, also while a cluster runs on it. The file appears whole or not at all. */
export async function backUp(place: Place, file: string, tell: Tell): Promise<void> {
  const { encodeBackup, snapshotLmdb, snapshotOf } = await import("../store/index.ts");
  await translated(async () => {
    const snapshot =
      place.settings.store === "etcd"
        ? await snapshotOf(await openStore(place.settings, clusterDirectory(place.dir)))
        : await snapshotLmdb(storePath(place.settings, clusterDirectory(place.dir)));
    const part = `${file}.part`;
    const target = openFile(part);
    let bytes = 0;
    let keys = -2;
    try {
      const header = { revision: snapshot.revision, taken: new Date().toISOString() };
      // In one turn of the event loop where the store is a directory: so it is one moment's state.
      for await (const chunk of encodeBackup(header, lasting(snapshot.items))) {
        for (let at = 0; at < chunk.length;) at += writeSync(target, chunk, at);
        bytes += chunk.length;
        keys++;
      }
      fsyncSync(target);
      renameSync(part, file);
    } catch (error) {
      rmSync(part, { force: true });
      throw error;
    } finally {
      closeSync(target);
      await snapshot.close();
    }
    tell(`${keys} keys of revision ${snapshot.revision} are in ${file} (${bytes} bytes)`);
  });
}

/** Makes a store what a backup says. The backup is read and checked whole before anything is changed. */
export async function restore(place: Place, file: string, force: boolean, tell: Tell): Promise<void> {
  const { decodeBackup } = await import("../store/index.ts");
  await translated(async () => {
    if (!existsSync(file)) throw new CliError("BAD_FILE", `there is no file ${JSON.stringify(file)}`);
    let keys = 0;
    for await (const _ of (await decodeBackup(createReadStream(file))).items) keys++;
    tell(`${file} is sound: ${keys} keys`);
    const { header, items } = await decodeBackup(createReadStream(file));
    await fill(place, { revision: header.revision, items, close: async () => {} }, force, tell);
  });
}

/** Makes a store what another one is. The source may not be written to meanwhile where it is a directory. */
export async function copy(from: Place, to: Place, force: boolean, tell: Tell): Promise<void> {
  const { snapshotOf } = await import("../store/index.ts");
  await translated(async () => {
    if (from.settings.store !== "etcd" && !existsSync(storePath(from.settings, clusterDirectory(from.dir))))
      throw new CliError("BAD_FILE", `there is no store at ${storePath(from.settings, clusterDirectory(from.dir))}`);
    const snapshot = await snapshotOf(await openStore(from.settings, clusterDirectory(from.dir)));
    try {
      await fill(to, snapshot, force, tell);
    } finally {
      await snapshot.close();
    }
  });
}

async function fill(place: Place, snapshot: Snapshot, force: boolean, tell: Tell): Promise<void> {
  const [{ fillStore }, { eventLife }] = await Promise.all([
    import("../store/index.ts"),
    import("../apiserver/index.ts"),
  ]);
  const lifetimeOf = (key: string): number | undefined => (key.startsWith(events) ? eventLife : undefined);
  const store = await emptied(place, snapshot.revision, force, tell);
  try {
    let told = 0;
    const progress = (items: number): void => {
      if (items - told < 10_000) return;
      told = items;
      tell(`${items} keys`);
    };
    const count = await fillStore(store, lasting(snapshot.items), { lifetimeOf, progress });
    // Nothing of before can be read or watched on: every client begins anew.
    await store.compact(await store.revision());
    tell(`${count} keys are restored; the store is at revision ${await store.revision()}`);
  } finally {
    await store.close();
  }
}

/** The target, open and empty. A directory that held a store is kept beside it. */
async function emptied({ settings, dir }: Place, revision: number, force: boolean, tell: Tell): Promise<Store> {
  const directory = clusterDirectory(dir);
  const open = (): Promise<Store> => openStore(settings, directory, { firstRevision: revision + revisionsAhead });
  const path = storePath(settings, directory);
  const isNew = settings.store !== "etcd" && !existsSync(path);
  const store = await open();
  const { items } = await store.list("", { limit: 1 });
  if (items.length === 0 && (isNew || settings.store === "etcd")) return store;
  if (items.length > 0 && !force) {
    await store.close();
    throw new CliError("FAILED", "the store holds something already", "use --force to replace it");
  }
  if (settings.store === "etcd") {
    await refuseWhileServed(store);
    const { emptyStore } = await import("../store/index.ts");
    tell(`${await emptyStore(store)} keys are removed`);
    return store;
  }
  await store.close();
  const kept = `${path}.${new Date().toISOString().replaceAll(/[:.]/g, "-")}`;
  renameSync(path, kept);
  if (items.length > 0) tell(`what was there is kept in ${kept}`);
  return open();
}

async function refuseWhileServed(store: Store): Promise<void> {
  const { items } = await store.list(apiServers);
  if (items.length === 0) return;
  await store.close();
  const names = items.map(({ key }) => key.slice(apiServers.length).replace("/", ":")).join(", ");
  throw new CliError(
    "ALREADY_RUNNING",
    `API servers run on this etcd: ${names}`,
    "stop them first; they are forgotten after 20 s",
  );
}

async function* lasting(items: Snapshot["items"]): AsyncGenerator<BackupItem> {
  for await (const item of items) if (!passing.some((prefix) => item.key.startsWith(prefix))) yield item;
}

function openFile(path: string): number {
  try {
    return openSync(path, "w", 0o600);
  } catch (error) {
    throw new CliError("BAD_FILE", `${JSON.stringify(path)} cannot be written`, `check ${dirname(path)}`, {
      cause: error,
    });
  }
}

/** Errors of the store in the CLI's words. */
async function translated(action: () => Promise<void>): Promise<void> {
  const { StoreError } = await import("../store/index.ts");
  await action().catch((error: unknown) => {
    if (!(error instanceof StoreError)) throw error;
    throw new CliError(error.code === "CORRUPT" ? "CORRUPT" : "FAILED", error.message, undefined, { cause: error });
  });
}
