import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openEtcdStore, openLmdbStore, type Store } from "../../src/store/index.ts";
import { noEtcd, startEtcd, type Etcd } from "../support/etcd.ts";

const root = join(import.meta.dirname, "../..");
const directory = mkdtempSync(join(tmpdir(), "fairlead-transfer-"));
const at = (name: string): string => join(directory, name);
let etcd: Etcd | undefined;
beforeAll(async () => {
  if (!noEtcd) etcd = await startEtcd();
});
afterAll(async () => {
  await etcd?.stop();
  rmSync(directory, { recursive: true });
});

function fairlead(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "fairlead"), "store", ...args], {
    encoding: "utf8",
  });
  return { status, text: stdout + stderr };
}

const keyOf = (i: number): string => `/registry/core/configmaps/default/${String(i).padStart(4, "0")}`;

async function stateOf(store: Store): Promise<string[]> {
  try {
    return (await store.list("")).items.map(({ key, value }) => `${key}=${Buffer.from(value).toString()}`);
  } finally {
    await store.close();
  }
}

const wanted = Array.from({ length: 700 }, (_, i) => `${keyOf(i)}=${i}`);

test("a backup is taken while the store is open, and restored to a directory that counts on beyond it", async () => {
  const store = await openLmdbStore({ path: at("first") });
  for (let i = 0; i < 700; i++) await store.write([], [{ type: "put", key: keyOf(i), value: Buffer.from(String(i)) }]);
  // What is of a moment only does not go with it.
  await store.write(
    [],
    [{ type: "put", key: "/registry/fairlead.dev/apiservers/10.0.0.1/6443", value: Buffer.from("{}") }],
  );
  const revision = await store.revision();
  expect(fairlead("backup", at("one.backup"), "--path", at("first"))).toMatchObject({ status: 0 });
  expect(statSync(at("one.backup")).mode & 0o777).toBe(0o600);
  await store.close();

  expect(fairlead("restore", at("one.backup"), "--path", at("second"))).toMatchObject({ status: 0 });
  expect(fairlead("check", "--path", at("second"))).toMatchObject({ status: 0 });
  const second = await openLmdbStore({ path: at("second") });
  expect(await second.compacted()).toBeGreaterThan(revision);
  expect(await stateOf(second)).toEqual(wanted);
});

test("nothing is overwritten unless it is forced, and nothing is changed by a damaged backup", async () => {
  const again = fairlead("restore", at("one.backup"), "--path", at("second"));
  expect(again.status).toBe(1);
  expect(again.text).toContain("use --force");
  const bytes = readFileSync(at("one.backup"));
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(at("bad.backup"), bytes);
  const damaged = fairlead("restore", at("bad.backup"), "--path", at("second"), "--force");
  expect(damaged.status).toBe(12);
  expect(damaged.text).toContain("no sound backup");
  expect(await stateOf(await openLmdbStore({ path: at("second") }))).toEqual(wanted);
  const forced = fairlead("restore", at("one.backup"), "--path", at("second"), "--force");
  expect(forced.text).toContain("what was there is kept in");
  expect(await stateOf(await openLmdbStore({ path: at("second") }))).toEqual(wanted);
});

test.skipIf(noEtcd)(`a store goes to etcd and back${noEtcd ? ` (${noEtcd})` : ""}`, async () => {
  const endpoints = etcd?.endpoints ?? [];
  const flags = ["--etcd-servers", endpoints.join(","), "--etcd-prefix", "/copy"];
  const to = fairlead("copy", "--from", `lmdb:${at("second")}`, "--to", "etcd", ...flags);
  expect(to).toMatchObject({ status: 0 });
  const open = () => openEtcdStore({ endpoints, root: "/registry/", prefix: "/copy/" });
  expect(await stateOf(await open())).toEqual(wanted);
  expect(fairlead("check", "--store", "etcd", ...flags)).toMatchObject({ status: 0 });
  expect(fairlead("copy", "--from", "etcd", "--to", `lmdb:${at("third")}`, ...flags)).toMatchObject({ status: 0 });
  expect(await stateOf(await openLmdbStore({ path: at("third") }))).toEqual(wanted);

  const server = await open();
  const key = "/registry/fairlead.dev/apiservers/10.0.0.1/6443";
  await server.write([], [{ type: "put", key, value: Buffer.from("{}") }]);
  await server.close();
  const refused = fairlead("restore", at("one.backup"), "--store", "etcd", ...flags, "--force");
  expect(refused.status).toBe(13);
  expect(refused.text).toContain("10.0.0.1:6443");
});
