import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { StoreError } from "../store.ts";

const LOCK_EX_NB = 2 | 4;
const EWOULDBLOCK = 11;

/**
 * Takes the directory for this process: flock(2), so the kernel gives it back whatever way the process ends. The file says
 * who holds it. Returns the release. Throws StoreError UNAVAILABLE when another process has it.
 */
export function lockDirectory(directory: string): () => void {
  const path = join(directory, "fairlead.lock");
  const descriptor = openSync(path, "a+", 0o600);
  const flock = koffi.load(null).func("int flock(int, int)") as (descriptor: number, operation: number) => number;
  if (flock(descriptor, LOCK_EX_NB) !== 0) {
    const reason = koffi.errno();
    const holder = readFileSync(path, "utf8").trim();
    closeSync(descriptor);
    throw new StoreError(
      "UNAVAILABLE",
      reason === EWOULDBLOCK
        ? `the store in ${directory} is in use${holder ? ` by process ${holder}` : ""}: stop that first`
        : `the store in ${directory} cannot be locked: error ${reason}`,
    );
  }
  ftruncateSync(descriptor);
  writeSync(descriptor, `${process.pid}\n`);
  return () => closeSync(descriptor);
}
