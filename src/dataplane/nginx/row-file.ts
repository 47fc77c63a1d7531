import { open, rename, type FileHandle } from "node:fs/promises";
import { batchesOf, type Rows } from "./rows.ts";

/**
 * The rows on disk: batches, appended as they are made, that nginx reads when it starts with empty memory. Written anew
 * when most of it is of no use any more.
 */
export interface RowFile {
  append(batches: readonly Buffer[], current: Rows): Promise<void>;
  close(): Promise<void>;
}

/** Bytes below which it is never written anew. */
const small = 1 << 20;

function bytesOf(rows: Rows): number {
  let bytes = 0;
  for (const [name, row] of rows) bytes += name.length + row.length + 32;
  return bytes;
}

/** Begins a new file. Keys are in it: nobody else may read it. */
export async function createRowFile(path: string): Promise<RowFile> {
  let file: FileHandle | undefined = await open(path, "w", 0o600);
  let size = 0;
  /** Size at which it is looked how much of it is of use: a look costs what there is. */
  let enough = small;
  const write = async (to: FileHandle, batches: readonly Buffer[]): Promise<void> => {
    for (const batch of batches) {
      await to.write(batch);
      size += batch.length;
    }
  };
  return {
    async append(batches, current) {
      if (!file) return;
      if (size < enough) return write(file, batches);
      enough = Math.max(small, bytesOf(current) * 2);
      if (size < enough) return write(file, batches);
      const draft = `${path}.draft`;
      const next = await open(draft, "w", 0o600);
      size = 0;
      await write(next, batchesOf([...current]));
      await rename(draft, path);
      await file.close();
      file = next;
    },
    async close() {
      await file?.close();
      file = undefined;
    },
  };
}
