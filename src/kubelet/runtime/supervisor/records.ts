import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Records by id, each in a file of its own, so that they outlive the process. Small: all of them are in memory. */
export interface Records<T extends { readonly id: string }> {
  get(id: string): T | undefined;
  all(): readonly T[];
  put(record: T): void;
  delete(id: string): void;
}

/**
 * Opens the records in `dir`, which is made when missing. A file that cannot be read as a record is left out and
 * deleted: it was half written when the machine stopped.
 */
export function openRecords<T extends { readonly id: string }>(dir: string): Records<T> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const records = new Map<string, T>();
  for (const file of readdirSync(dir)) {
    try {
      const record = JSON.parse(readFileSync(join(dir, file), "utf8")) as T;
      records.set(record.id, record);
    } catch {
      rmSync(join(dir, file), { force: true });
    }
  }
  return {
    get: (id) => records.get(id),
    all: () => [...records.values()],
    put(record) {
      const file = join(dir, `${record.id}.json`);
      writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 });
      renameSync(`${file}.new`, file);
      records.set(record.id, record);
    },
    delete(id) {
      if (records.delete(id)) rmSync(join(dir, `${id}.json`), { force: true });
    },
  };
}
