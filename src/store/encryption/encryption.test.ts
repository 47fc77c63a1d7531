import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { storeContract } from "../contract/contract.ts";
import { createMemoryStore } from "../memory/memory.ts";
import type { Store } from "../store.ts";
import { parseEncryptionConfiguration } from "./configuration.ts";
import { encryptedStore } from "./encrypted-store.ts";
import { openKeyFile, rotateKeyFile } from "./key-file.ts";
import { createKeyring, type Keyring } from "./keyring.ts";
import { rewriteStale } from "./rewrite.ts";
import { createTransform } from "./transform.ts";

const secret = (byte: number): string => Buffer.alloc(32, byte).toString("base64");
const keys = (...names: string[]) => names.map((name) => ({ name, secret: secret(name.charCodeAt(name.length - 1)) }));
const configured = (providers: object[], resources = ["secrets"]) =>
  parseEncryptionConfiguration(
    JSON.stringify({
      apiVersion: "apiserver.config.k8s.io/v1",
      kind: "EncryptionConfiguration",
      resources: [{ resources, providers }],
    }),
  );
const key = "/registry/core/secrets/default/a";
const other = "/registry/core/configmaps/default/a";
const bytes = (text: string): Uint8Array => Buffer.from(text);
const live = new AbortController().signal;

storeContract("encrypted", async () =>
  encryptedStore(createMemoryStore(), createKeyring(await configured([{ aesgcm: { keys: keys("a") } }], ["*.*"]))),
);

describe("an encrypted store", () => {
  let raw: Store;
  let keyring: Keyring;
  let store: Store;
  beforeEach(async () => {
    raw = createMemoryStore();
    keyring = createKeyring(await configured([{ aesgcm: { keys: keys("k1") } }, { identity: {} }]));
    store = encryptedStore(raw, keyring);
  });
  afterEach(() => raw.close());
  const put = (at: string, text: string) => store.write([], [{ type: "put", key: at, value: bytes(text) }]);
  const rawText = async (at: string) => Buffer.from((await raw.get(at)).item?.value ?? []).toString("latin1");
  const plainText = async (at: string) => Buffer.from((await store.get(at)).item?.value ?? []).toString();

  it("keeps what is listed encrypted, and the rest as it is", async () => {
    await put(key, "hush");
    await put(other, "loud");
    expect(await rawText(key)).toMatch(/^k8s:enc:aesgcm:v1:k1:/);
    expect(await rawText(key)).not.toContain("hush");
    expect(await rawText(other)).toBe("loud");
    expect(await plainText(key)).toBe("hush");
    expect((await store.list("/registry/")).items.map(({ value }) => Buffer.from(value).toString())).toEqual([
      "loud",
      "hush",
    ]);
  });

  it("shows plain values in watches and to who lost a race", async () => {
    const stop = new AbortController();
    const watch = store.watch("/registry/", { signal: stop.signal })[Symbol.asyncIterator]();
    await put(key, "one");
    await put(key, "two");
    const texts: (string | undefined)[] = [];
    while (texts.length < 4) {
      const { value } = await watch.next();
      for (const { value: now, previous } of value?.events ?? [])
        texts.push(...[now, previous?.value].map((one) => one && Buffer.from(one).toString()));
    }
    expect(texts).toEqual(["one", undefined, "two", "one"]);
    stop.abort();
    const lost = await store.write([{ key, modRevision: 0 }], [{ type: "put", key, value: bytes("three") }]);
    expect(lost.ok ? undefined : Buffer.from(lost.current.get(key)?.value ?? []).toString()).toBe("two");
  });

  it("tells values apart by place: one that was moved is refused", async () => {
    await put(key, "hush");
    const moved = `${key}-moved`;
    await raw.write([], [{ type: "put", key: moved, value: (await raw.get(key)).item?.value ?? bytes("") }]);
    await expect(store.get(moved)).rejects.toThrow(/can not be decrypted with key k1/);
  });

  it("says which key is missing, and finds a changed value", async () => {
    await put(key, "hush");
    const value = Buffer.from((await raw.get(key)).item?.value ?? []);
    value[value.length - 1] = (value[value.length - 1] ?? 0) ^ 1;
    await raw.write([], [{ type: "put", key: `${key}2`, value }]);
    await expect(store.get(`${key}2`)).rejects.toMatchObject({ code: "DAMAGED" });
    keyring.use(await configured([{ aesgcm: { keys: keys("k2") } }]));
    await expect(store.get(key)).rejects.toThrow(
      "is encrypted with aesgcm key k1, which the encryption configuration does not have",
    );
  });

  it("re-writes what is older, once, also what was never encrypted; and takes encryption away", async () => {
    await raw.write([], [{ type: "put", key: `${key}-old`, value: bytes("plain") }]);
    await put(key, "hush");
    expect(await rewriteStale(raw, keyring, live)).toEqual({ seen: 2, rewritten: 1 });
    keyring.use(await configured([{ aesgcm: { keys: keys("k2", "k1") } }]));
    expect(await plainText(key)).toBe("hush");
    expect(await rewriteStale(raw, keyring, live)).toEqual({ seen: 2, rewritten: 2 });
    expect(await rewriteStale(raw, keyring, live)).toEqual({ seen: 2, rewritten: 0 });
    expect(await rawText(key)).toMatch(/^k8s:enc:aesgcm:v1:k2:/);
    keyring.use(await configured([{ aesgcm: { keys: keys("k2") } }]));
    expect([await plainText(key), await plainText(`${key}-old`)]).toEqual(["hush", "plain"]);
    keyring.use(await configured([{ identity: {} }, { aesgcm: { keys: keys("k2") } }]));
    expect(await rewriteStale(raw, keyring, live)).toEqual({ seen: 2, rewritten: 2 });
    expect(await rawText(key)).toBe("hush");
  });
});

describe("an encryption configuration", () => {
  it("may be YAML", async () => {
    const text = `
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets, configmaps]
  providers:
  - aesgcm: {keys: [{name: k, secret: ${secret(1)}}]}
  - identity: {}`;
    expect((await parseEncryptionConfiguration(text)).resources[0]?.providers).toHaveLength(2);
  });

  it.each<[object[], string]>([
    [[{ aesgcm: { keys: [] } }], "must not be empty"],
    [[{ aesgcm: { keys: [{ name: "a", secret: "c2hvcnQ=" }] } }], "16, 24 or 32 bytes"],
    [[{ aesgcm: { keys: [...keys("a"), ...keys("a")] } }], "is there twice"],
    [[{ aesgcm: { keys: keys("a:b") } }], 'must not contain ":"'],
    [[{ kms: {} }], "kms is not known"],
    [[{ aescbc: { keys: keys("a") } }], "for reading alone"],
  ])("%j is refused without its secrets", async (providers, message) => {
    const refusal = await configured(providers).catch((error: unknown) => String(error));
    expect(refusal).toContain(message);
    expect(refusal).not.toContain("c2hvcnQ");
  });

  it.each([
    ["secrets", "core/secrets", true],
    ["secrets", "apps/secrets", false],
    ["*.apps", "apps/deployments", true],
    ["*.apps", "core/pods", false],
    ["*.", "core/pods", true],
    ["*.*", "apps/deployments", true],
  ])("%s covers %s: %s", async (name, resource, covered) => {
    expect(createKeyring(await configured([{ aesgcm: { keys: keys("a") } }], [name])).covers(resource)).toBe(covered);
  });
});

it("values that another server wrote with aescbc can be read", async () => {
  const { createCipheriv } = await import("node:crypto");
  const [provider] =
    (await configured([{ identity: {} }, { aescbc: { keys: keys("c") } }])).resources[0]?.providers.slice(1) ?? [];
  if (!provider) throw new Error("no provider");
  const iv = Buffer.alloc(16, 7);
  const cipher = createCipheriv("aes-256-cbc", Buffer.from(secret("c".charCodeAt(0)), "base64"), iv);
  const stored = Buffer.concat([bytes("k8s:enc:aescbc:v1:c:"), iv, cipher.update("hush"), cipher.final()]);
  const transform = createTransform([{ type: "identity" }, provider]);
  expect(Buffer.from(transform.open(key, stored)).toString()).toBe("hush");
  expect(transform.isStale(stored)).toBe(true);
});

describe("the key file", () => {
  let dir: string;
  let path: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "keys-"));
    path = join(dir, "encryption.json");
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it("is made for its owner alone, and stays", async () => {
    const first = await openKeyFile(path, { create: true });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect((await openKeyFile(path, { create: true })).configuration).toEqual(first.configuration);
    await expect(openKeyFile(join(dir, "no"), { create: false })).rejects.toThrow("can not be read");
  });

  it("is refused when others may read it", async () => {
    await openKeyFile(path, { create: true });
    chmodSync(path, 0o644);
    await expect(openKeyFile(path, { create: true })).rejects.toMatchObject({ code: "PERMISSIONS" });
  });

  it("is given a new first key, and tells that it has changed", async () => {
    const file = await openKeyFile(path, { create: true });
    expect(await file.changed()).toBeUndefined();
    expect(await rotateKeyFile(path)).toBe("key2");
    const [provider] = (await file.changed())?.resources[0]?.providers ?? [];
    expect(provider).toMatchObject({ type: "aesgcm", keys: [{ name: "key2" }, { name: "key1" }] });
    expect(await file.changed()).toBeUndefined();
    writeFileSync(path, "{nonsense");
    await expect(file.changed()).rejects.toThrow("neither JSON nor YAML");
    expect(readFileSync(path, "utf8")).toBe("{nonsense");
  });
});
