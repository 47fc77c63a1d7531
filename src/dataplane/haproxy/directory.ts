import { chown, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** Whom a data plane runs as. */
export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/** The first of `names` that this machine has, when we may become someone else; `undefined`: as ourselves. */
export async function findUser(names: readonly string[]): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const lines = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  for (const name of names) {
    const found = lines.find(([candidate]) => candidate === name);
    if (found) return { uid: Number(found[2]), gid: Number(found[3]) };
  }
  return undefined;
}

/** Files of a data plane, readable by it alone. */
export interface PlaneDirectory {
  readonly path: string;
  /** Puts a whole new file in the place of an old one. Nothing is done when it says that already. */
  write(file: string, text: string): Promise<void>;
  remove(file: string): Promise<void>;
  /** Removes everything. */
  close(): Promise<void>;
}

/** A new directory with `folders` in it, at `at` or somewhere temporary. What was there before is gone. */
export async function openDirectory(
  name: string,
  folders: readonly string[],
  user?: SystemUser,
  at?: string,
): Promise<PlaneDirectory> {
  if (at !== undefined) {
    await rm(at, { recursive: true, force: true });
    await mkdir(at, { recursive: true });
  }
  const path = at ?? (await mkdtemp(join(tmpdir(), `fairlead-${name}-`)));
  const written = new Map<string, string>();
  const own = async (file: string): Promise<void> => {
    if (user) await chown(file, user.uid, user.gid);
  };
  await own(path);
  for (const folder of folders) {
    await mkdir(join(path, folder), { mode: 0o700 });
    await own(join(path, folder));
  }
  return {
    path,
    async write(file, text) {
      if (written.get(file) === text) return;
      const draft = join(dirname(file), `.new-${process.pid}`);
      await writeFile(draft, text, { mode: 0o600 });
      await own(draft);
      await rename(draft, file);
      written.set(file, text);
    },
    async remove(file) {
      written.delete(file);
      await rm(file, { force: true });
    },
    close: () => rm(path, { recursive: true, force: true }),
  };
}
