import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { resources } from "../../kube/index.ts";
import { createMemoryStore, type Store, StoreError } from "../../store/index.ts";
import { FakeClock, silentLogger } from "../../system/index.ts";
import { keyFor, prefixFor, storedBytes } from "./entry.ts";
import { startStorage, type Storage } from "./storage.ts";

const { ConfigMap } = resources;
const key = (name: string): string => keyFor(ConfigMap, { namespace: "default", name });
const bytes = (name: string, data = "x"): Uint8Array =>
  storedBytes(ConfigMap, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: "default" },
    data: { data },
  } as never);

let store: Store;
let ended: AbortController;
const start = (): Storage =>
  startStorage({ store, kinds: [ConfigMap], signal: ended.signal, clock: new FakeClock(), log: silentLogger });

beforeEach(() => {
  store = createMemoryStore();
  ended = new AbortController();
});
afterEach(async () => {
  ended.abort();
  await store.close();
});

describe("storage", () => {
  it("holds what was stored before it began, page after page", async () => {
    for (let i = 0; i < 1200; i++) {
      const name = `c${String(i).padStart(4, "0")}`;
      await store.write([], [{ type: "put", key: key(name), value: bytes(name) }]);
    }
    const storage = start();
    await storage.ready;
    const names = storage
      .of(ConfigMap)
      .under(prefixFor(ConfigMap, "default"))
      .map((entry) => entry.object.metadata.name);
    expect(names).toHaveLength(1200);
    expect(names).toEqual([...names].sort());
    expect(storage.revision).toBe(await store.revision());
  });

  it("does not begin on a store that is damaged, and does not ask it again", async () => {
    let asked = 0;
    const damaged: Store = {
      ...store,
      list() {
        asked++;
        return Promise.reject(new StoreError("CORRUPT", "the store is damaged: the value of /a has a wrong checksum"));
      },
    };
    const storage = startStorage({
      store: damaged,
      kinds: [ConfigMap],
      signal: ended.signal,
      clock: new FakeClock(),
      log: silentLogger,
    });
    await expect(storage.ready).rejects.toMatchObject({ code: "CORRUPT" });
    await storage.stopped;
    expect(asked).toBe(1);
  });

  it("splices the revision into the stored bytes", async () => {
    await store.write([], [{ type: "put", key: key("a"), value: bytes("a", "ö") }]);
    const storage = start();
    await storage.ready;
    const revision = String(await store.revision());
    const entry = storage.of(ConfigMap).get(key("a"));
    expect(Buffer.from(entry?.bytes ?? []).toString()).toBe(
      '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"resourceVersion":"REVISION","name":"a","namespace":"default"},"data":{"data":"ö"}}'.replace(
        "REVISION",
        revision,
      ),
    );
    expect(entry?.object.metadata.resourceVersion).toBe(revision);
  });

  it("is caught up with its own writes before it says so", async () => {
    const storage = start();
    await storage.ready;
    await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        storage.write([], [{ type: "put", key: key(`n${i}`), value: bytes(`n${i}`) }]),
      ),
    );
    await storage.caughtUp();
    expect(storage.of(ConfigMap).size).toBe(50);
  });

  it("gives up waiting for a revision that does not come", async () => {
    const clock = new FakeClock();
    const storage = startStorage({ store, kinds: [ConfigMap], signal: ended.signal, clock, log: silentLogger });
    await storage.ready;
    const waiting = storage.reached(99, 3000);
    await clock.advance(3000);
    expect(await waiting).toBe(false);
  });

  it("reads everything again when the store forgot what it had not seen, and ends the watches", async () => {
    let broken: ((reason: Error) => void) | undefined;
    const clock = new FakeClock();
    const flaky: Store = {
      ...store,
      watch: (prefix, options) => {
        const real = store.watch(prefix, options);
        return {
          async *[Symbol.asyncIterator]() {
            const failure = new Promise<never>((_, reject) => {
              broken = reject;
            });
            const batches = real[Symbol.asyncIterator]();
            for (;;) {
              const next = await Promise.race([batches.next(), failure]);
              if (next.done) return;
              yield next.value;
            }
          },
        };
      },
    };
    const storage = startStorage({ store: flaky, kinds: [ConfigMap], signal: ended.signal, clock, log: silentLogger });
    await storage.ready;
    await storage.write([], [{ type: "put", key: key("a"), value: bytes("a") }]);
    await storage.caughtUp();
    const watcher = storage.of(ConfigMap).follow(storage.revision, () => true);
    expect(storage.following).toBe(true);
    broken?.(new Error("compacted"));
    await store.write([], [{ type: "put", key: key("b"), value: bytes("b") }]);
    while (storage.following) await new Promise((resolve) => setImmediate(resolve));
    while (storage.revision < (await store.revision())) await clock.advance(1000);
    expect(storage.of(ConfigMap).size).toBe(2);
    expect(storage.following).toBe(true);
    expect(watcher).toMatchObject({ ended: "closed" });
    // What changed meanwhile is known again.
    const again = storage.of(ConfigMap).follow(2, () => true);
    if (again === "expired") throw new Error("the changes after 2 should be known");
    expect(storage.of(ConfigMap).follow(0, () => true)).toBe("expired");
  });

  it("takes in a kind while it runs, with what is stored and what is written meanwhile, and gives it up again", async () => {
    const { Secret } = resources;
    const secretKey = (name: string): string => keyFor(Secret, { namespace: "default", name });
    const put = (name: string): Promise<unknown> =>
      store.write([], [{ type: "put", key: secretKey(name), value: storedBytes(Secret, secret(name)) }]);
    const secret = (name: string) => ({ apiVersion: "v1", kind: "Secret", metadata: { name, namespace: "default" } });
    await put("before");
    const storage = start();
    await storage.ready;
    expect(() => storage.of(Secret)).toThrow("could not find the requested resource");

    const added = storage.add(Secret);
    const again = storage.add(Secret);
    for (let i = 0; i < 50; i++) await put(`n${i}`);
    expect(await added).toBe(true);
    expect(await again).toBe(true);
    await storage.reached(await store.revision());
    expect(storage.of(Secret).size).toBe(51);
    expect(storage.of(Secret).get(secretKey("before"))?.object.kind).toBe("Secret");

    const watcher = storage.of(Secret).follow(storage.revision, () => true);
    storage.remove(Secret);
    expect(watcher).toMatchObject({ ended: "closed" });
    expect(() => storage.of(Secret)).toThrow("could not find the requested resource");

    const gone = storage.add(Secret);
    storage.remove(Secret);
    expect(await gone).toBe(false);
    expect(() => storage.of(Secret)).toThrow();
  });
});
