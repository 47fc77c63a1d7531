import { createHash } from "node:crypto";
import { chmod, chown, mkdir, rename, rm, writeFile } from "node:fs/promises";
import type { SystemUser } from "../haproxy/directory.ts";
import type { StreamRows } from "./stream-rows.ts";

/** Rows of which each is a file, named by the hash of its name: whoever reads one finds all of the old or all of the new. */
export interface RowFiles {
  /** Writes what is new or another; rows that `next` does not have stay until `prune`. */
  write(next: StreamRows): Promise<void>;
  /** Removes what is not among `next`. */
  prune(next: StreamRows): Promise<void>;
  /** One row, if there is one of that name. */
  update(name: string, row: string): Promise<void>;
}

/** Files being written at a time. */
const atOnce = 32;

/** Lets `user` pass through a folder of ours, and nobody else. */
export async function closeTo(folder: string, user: SystemUser | undefined): Promise<void> {
  if (user) await chown(folder, 0, user.gid);
  await chmod(folder, user ? 0o710 : 0o700);
}

/** Begins with an empty folder that only `user` may enter: keys are among the rows. It may change none of them. */
export async function createRowFiles(folder: string, user: SystemUser | undefined): Promise<RowFiles> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await closeTo(folder, user);
  const written = new Map<string, string>();
  const pathOf = (name: string): string => `${folder}/${createHash("sha256").update(name).digest("hex")}`;

  async function put(name: string, row: string): Promise<void> {
    if (written.get(name) === row) return;
    const draft = `${pathOf(name)}.draft`;
    await writeFile(draft, row, { mode: 0o600 });
    if (user) {
      await chown(draft, 0, user.gid);
      await chmod(draft, 0o640);
    }
    await rename(draft, pathOf(name));
    written.set(name, row);
  }

  async function each<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
    for (let at = 0; at < all.length; at += atOnce) await Promise.all(all.slice(at, at + atOnce).map(work));
  }

  return {
    async write(next) {
      // A route never names a pool that is not there yet.
      const pools = [...next].filter(([name]) => name.startsWith("pool/"));
      const others = [...next].filter(([name]) => !name.startsWith("pool/"));
      await each(pools, ([name, row]) => put(name, row));
      await each(others, ([name, row]) => put(name, row));
    },
    async prune(next) {
      const gone = [...written.keys()].filter((name) => !next.has(name));
      await each(gone, async (name) => {
        written.delete(name);
        await rm(pathOf(name), { force: true });
      });
    },
    async update(name, row) {
      if (written.has(name)) await put(name, row);
    },
  };
}
