import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { EtcdStoreOptions, Store, StoreError } from "../store/index.ts";
import type { ClusterDirectory } from "./directory.ts";
import { CliError, type ExitName } from "./errors.ts";
import type { Settings } from "./settings.ts";

/** Where a cluster's state is. */
export type StoreSettings = Pick<
  Settings,
  "store" | "etcdServers" | "etcdCafile" | "etcdCertfile" | "etcdKeyfile" | "etcdPrefix"
>;

/** What every key of the API begins with. */
const root = "/registry/";

export interface OpenOptions {
  /** Of a store on disk that is made: where it counts from. */
  readonly firstRevision?: number;
}

/** Opens the store that the settings name. Throws CliError. */
export async function openStore(
  settings: StoreSettings,
  directory: Pick<ClusterDirectory, "store">,
  options: OpenOptions = {},
): Promise<Store> {
  const { openLmdbStore, openEtcdStore } = await import("../store/index.ts");
  try {
    if (settings.store !== "etcd") return await openLmdbStore({ path: storePath(settings, directory), ...options });
    return await openEtcdStore(await etcdOptions(settings));
  } catch (error) {
    throw openingError(settings, directory, error);
  }
}

/**
 * A cluster that has run before must not begin as an empty one because its data is gone. Throws CliError CORRUPT when only the lock beside it is
 * left; who removes the whole folder wants to begin anew.
 */
export function expectData(settings: StoreSettings, directory: Pick<ClusterDirectory, "store" | "kubeconfig">): void {
  const path = storePath(settings, directory);
  const has = (file: string) => existsSync(join(path, file));
  if (settings.store === "etcd" || !existsSync(directory.kubeconfig) || !has("lock.mdb") || has("data.mdb")) return;
  throw new CliError(
    "CORRUPT",
    `${join(path, "data.mdb")} is missing`,
    `nothing was changed; put it back or restore a backup, or remove ${path} to begin anew`,
  );
}

/** What the user is told when a store cannot be opened or read at the start. An error of another kind is given back as it is. */
export function openingError(
  settings: StoreSettings,
  directory: Pick<ClusterDirectory, "store">,
  error: unknown,
): unknown {
  if (!(error instanceof Error && error.name === "StoreError")) return error;
  const { code: reason } = error as StoreError;
  const code: ExitName = reason === "CORRUPT" ? "CORRUPT" : settings.store === "etcd" ? "UNREACHABLE" : "FAILED";
  const place = settings.store === "etcd" ? "etcd" : storePath(settings, directory);
  const message = error.message.includes(place) ? error.message : `${place}: ${error.message}`;
  const remedy =
    code === "CORRUPT"
      ? "nothing was changed; `fairlead store check` says more, `fairlead store restore` puts a backup in its place"
      : undefined;
  return new CliError(code, message, remedy, { cause: error });
}

/** In the cluster's directory, or where `lmdb:PATH` says. */
export function storePath({ store }: Pick<Settings, "store">, directory: Pick<ClusterDirectory, "store">): string {
  return store.startsWith("lmdb:") ? store.slice("lmdb:".length) : directory.store;
}

/** How etcd is reached. Throws CliError USAGE or BAD_FILE. */
export async function etcdOptions(settings: StoreSettings): Promise<EtcdStoreOptions> {
  const { etcdServers, etcdCafile, etcdCertfile, etcdKeyfile, etcdPrefix } = settings;
  if (etcdServers.length === 0)
    throw new CliError("USAGE", "the store etcd needs its servers", "give --etcd-servers https://10.0.0.1:2379");
  if ((etcdCertfile === "") !== (etcdKeyfile === ""))
    throw new CliError("USAGE", "a certificate for etcd needs its key", "give --etcd-certfile and --etcd-keyfile");
  const [ca, cert, key] = await Promise.all([
    pem("--etcd-cafile", etcdCafile),
    pem("--etcd-certfile", etcdCertfile),
    pem("--etcd-keyfile", etcdKeyfile),
  ]);
  return {
    endpoints: etcdServers,
    tls: { ...(ca ? { ca } : {}), ...(cert && key ? { cert, key } : {}) },
    root,
    prefix: `${etcdPrefix}/`,
  };
}

async function pem(flag: string, path: string): Promise<string | undefined> {
  if (path === "") return undefined;
  return readFile(path, "utf8").catch((error: unknown) => {
    throw new CliError("BAD_FILE", `the file ${JSON.stringify(path)} cannot be read`, `check ${flag}`, {
      cause: error,
    });
  });
}
