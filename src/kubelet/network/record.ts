import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Something small of each sandbox that outlives the kubelet, in one file. */
export interface DurableRecord<T> {
  all(): Readonly<Record<string, T>>;
  put(id: string, value: T): void;
  delete(id: string): void;
  clear(): void;
}

/** Writes `value` as JSON so that the file is the old or the new one, whatever happens. */
export function replaceFile(file: string, value: unknown): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.new`, JSON.stringify(value), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

export function openRecord<T>(file: string): DurableRecord<T> {
  const values = read<T>(file);
  return {
    all: () => Object.fromEntries(values),
    put(id, value) {
      values.set(id, value);
      replaceFile(file, Object.fromEntries(values));
    },
    delete(id) {
      if (values.delete(id)) replaceFile(file, Object.fromEntries(values));
    },
    clear() {
      values.clear();
      rmSync(file, { force: true });
    },
  };
}

function read<T>(file: string): Map<string, T> {
  try {
    return new Map(Object.entries(JSON.parse(readFileSync(file, "utf8")) as Record<string, T>));
  } catch {
    // Missing, or half written when the machine stopped: no sandbox of it is alive either.
    return new Map();
  }
}
