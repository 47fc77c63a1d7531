import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { storeContract } from "../contract.ts";
import { openLmdbStore } from "./lmdb.ts";

const root = mkdtempSync(join(tmpdir(), "fairlead-store-"));
afterAll(() => rmSync(root, { recursive: true }));

let stores = 0;
storeContract("lmdb", () => openLmdbStore({ path: join(root, String(stores++)) }));
