import { accessSync, constants, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A new directory for a test, in memory where there is such a file system: what a disk does is for test/store/ to prove. */
export function temporaryDirectory(): string {
  return mkdtempSync(join(fastest(), "fairlead-store-"));
}

function fastest(): string {
  try {
    accessSync("/dev/shm", constants.W_OK);
    return "/dev/shm";
  } catch {
    return tmpdir();
  }
}
