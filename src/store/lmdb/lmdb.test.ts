import { rmSync } from "node:fs";
import { afterAll } from "vitest";
import { storeContract } from "../contract/contract.ts";
import { openLmdbStore } from "./lmdb.ts";
import { temporaryDirectory } from "./temporary.ts";

let path: string | undefined;
const remove = () => {
  if (path) rmSync(path, { recursive: true });
};
afterAll(remove);

storeContract("lmdb", () => {
  remove();
  path = temporaryDirectory();
  return openLmdbStore({ path });
});
