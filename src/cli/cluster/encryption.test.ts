import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createMemoryStore, type Store } from "../../store/index.ts";
import { FakeClock, silentLogger } from "../../system/index.ts";
import { openEncryption } from "./encryption.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "fairlead-encryption-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

const key = "/registry/core/secrets/default/a";
const secret = Buffer.from('{"data":{}}');

function open(raw: Store, name: string) {
  return openEncryption({
    raw,
    settings: { encryptionProviderConfig: "" },
    directory: { encryption: join(dir, name) },
    signal: new AbortController().signal,
    clock: new FakeClock(),
    log: silentLogger,
  });
}

const write = (store: Store) => store.write([], [{ type: "put", key, value: secret }]);
const read = async (store: Store) => (await store.list(key)).items.map(({ value }) => Buffer.from(value).toString());

test("a first start makes keys, and what is on disk is encrypted", async () => {
  const raw = createMemoryStore();
  const { store } = await open(raw, "keys");
  await write(store);
  expect(await read(raw)).toEqual([expect.stringMatching(/^k8s:enc:/)]);
  expect(await read(store)).toEqual([secret.toString()]);
});

test("Secrets that came from a directory into a shared store are opened with the directory's keys", async () => {
  const raw = createMemoryStore();
  await write((await open(raw, "keys")).store);
  const { store } = await open({ ...raw, shared: true }, "keys");
  expect(await read(store)).toEqual([secret.toString()]);
});

test("a shared store with Secrets whose keys are not here is not opened", async () => {
  const raw = createMemoryStore();
  await write((await open(raw, "keys")).store);
  await expect(open({ ...raw, shared: true }, "other")).rejects.toMatchObject({
    code: "BAD_FILE",
    remedy: expect.stringContaining("--encryption-provider-config"),
  });
});

test("in a shared store nothing is encrypted unasked", async () => {
  const raw = createMemoryStore();
  const { store } = await open({ ...raw, shared: true }, "keys");
  await write(store);
  expect(await read(raw)).toEqual([secret.toString()]);
});
