import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { compareKeys, maxValueBytes } from "./keys.ts";
import { StoreError, type Operation, type Store, type StoreErrorCode, type WatchBatch } from "./store.ts";
import { simulate } from "./simulation.ts";

/** What every store must do. `open` gives a new, empty store each time; the suite closes it. */
export function storeContract(name: string, open: () => Promise<Store>): void {
  describe(`store contract: ${name}`, () => {
    let store: Store;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(() => store.close());

    const put = async (key: string, value: string) => {
      const result = await store.write([], [putOf(key, value)]);
      return result.revision;
    };
    const remove = async (key: string) => (await store.write([], [{ type: "delete", key }])).revision;
    const keysOf = async (prefix: string, options = {}) =>
      (await store.list(prefix, options)).items.map((item) => `${item.key}=${text(item.value)}`);

    describe("writes", () => {
      test("an empty store is at revision 1 and each write raises it by one", async () => {
        expect(await store.revision()).toBe(1);
        expect(await put("/a", "1")).toBe(2);
        expect(await put("/a", "1")).toBe(3);
        const many = await store.write([], [putOf("/b", "1"), putOf("/c", "1"), { type: "delete", key: "/a" }]);
        expect(many).toEqual({ ok: true, revision: 4 });
        expect(await store.revision()).toBe(4);
      });

      test("a write that changes nothing takes no revision", async () => {
        const before = await put("/a", "1");
        expect(await remove("/missing")).toBe(before);
        expect(await store.write([{ key: "/a", modRevision: before }], [])).toEqual({ ok: true, revision: before });
      });

      test("keeps the creation revision until the key is deleted", async () => {
        const created = await put("/a", "1");
        const changed = await put("/a", "2");
        const { item } = await store.get("/a");
        expect(item).toMatchObject({ key: "/a", createRevision: created, modRevision: changed });
        expect(text(item?.value)).toBe("2");
        await remove("/a");
        expect((await store.get("/a")).item).toBeUndefined();
        const again = await put("/a", "3");
        expect((await store.get("/a")).item).toMatchObject({ createRevision: again, modRevision: again });
      });

      test("keeps bytes as they are, also none", async () => {
        const value = Uint8Array.from({ length: 256 }, (_, i) => i);
        await store.write([], [{ type: "put", key: "/bytes", value }, putOf("/empty", "")]);
        expect(new Uint8Array((await store.get("/bytes")).item?.value ?? [])).toEqual(value);
        expect((await store.get("/empty")).item?.value.byteLength).toBe(0);
      });

      test("takes a value of 1.5 MiB and refuses a larger one, a huge key and too many operations, changing nothing", async () => {
        const largest = new Uint8Array(maxValueBytes).fill(7);
        await store.write([], [{ type: "put", key: "/large", value: largest }]);
        expect((await store.get("/large")).item?.value.byteLength).toBe(maxValueBytes);
        const revision = await store.revision();
        const larger = new Uint8Array(maxValueBytes + 1);
        await fails(
          "TOO_LARGE",
          store.write([], [putOf("/small", "1"), { type: "put", key: "/larger", value: larger }]),
        );
        await fails("TOO_LARGE", store.write([], [putOf("/".repeat(2000), "1")]));
        await fails(
          "TOO_LARGE",
          store.write(
            [],
            Array.from({ length: 129 }, (_, i) => putOf(`/${i}`, "1")),
          ),
        );
        expect(await store.revision()).toBe(revision);
        expect((await store.get("/small")).item).toBeUndefined();
      });

      test("takes the longest key that it promises", async () => {
        const key = `/${"é".repeat(511)}x`;
        await put(key, "1");
        await put(key, "2");
        expect(await keysOf(key)).toEqual([`${key}=2`]);
      });

      test.each(["", "a\0b", "\ud800"])("refuses the key %j", async (key) => {
        await expect(store.write([], [putOf(key, "1")])).rejects.toThrow(TypeError);
        await expect(store.write([], [putOf("/a", "1"), { type: "delete", key: "/a" }])).rejects.toThrow(TypeError);
        expect(await store.revision()).toBe(1);
      });
    });

    describe("compare-and-set", () => {
      test("0 means: must not exist", async () => {
        expect(await store.write([{ key: "/a", modRevision: 0 }], [putOf("/a", "1")])).toEqual({
          ok: true,
          revision: 2,
        });
        const second = await store.write([{ key: "/a", modRevision: 0 }], [putOf("/a", "2")]);
        expect(second).toMatchObject({ ok: false, revision: 2 });
        if (second.ok) throw new Error("unreachable");
        expect([...second.current.keys()]).toEqual(["/a"]);
        expect(text(second.current.get("/a")?.value)).toBe("1");
      });

      test("says what is there for each failed comparison, and only for those", async () => {
        const a = await put("/a", "1");
        const b = await put("/b", "1");
        const compare = [
          { key: "/a", modRevision: a },
          { key: "/b", modRevision: a },
          { key: "/c", modRevision: b },
        ];
        const result = await store.write(compare, [putOf("/d", "1")]);
        if (result.ok) throw new Error("the comparison should have failed");
        expect([...result.current].map(([key, item]) => [key, item?.modRevision])).toEqual([
          ["/b", b],
          ["/c", undefined],
        ]);
        expect((await store.get("/d")).item).toBeUndefined();
      });

      test("all keys of a write change or none", async () => {
        const a = await put("/a", "1");
        await put("/b", "1");
        const operations = [putOf("/a", "2"), putOf("/b", "2"), putOf("/c", "2")];
        expect((await store.write([{ key: "/b", modRevision: a }], operations)).ok).toBe(false);
        expect(await keysOf("/")).toEqual(["/a=1", "/b=1"]);
        expect((await store.write([{ key: "/a", modRevision: a }], operations)).ok).toBe(true);
        expect(await keysOf("/")).toEqual(["/a=2", "/b=2", "/c=2"]);
      });

      test("of concurrent writes on one revision exactly one wins, and no increment is lost", async () => {
        await put("/counter", "0");
        const add = async () => {
          for (;;) {
            const { item } = await store.get("/counter");
            const next = String(Number(text(item?.value)) + 1);
            const compare = [{ key: "/counter", modRevision: item?.modRevision ?? 0 }];
            if ((await store.write(compare, [putOf("/counter", next)])).ok) return;
          }
        };
        await Promise.all(Array.from({ length: 20 }, add));
        expect(text((await store.get("/counter")).item?.value)).toBe("20");
        expect(await store.revision()).toBe(22);
      });

      test("writes issued together are decided in the order in which they were issued", async () => {
        const results = await Promise.all([
          store.write([{ key: "/a", modRevision: 0 }], [putOf("/a", "1")]),
          store.write([{ key: "/a", modRevision: 2 }], [putOf("/a", "2")]),
          store.write([{ key: "/a", modRevision: 2 }], [putOf("/a", "3")]),
          store.write([{ key: "/a", modRevision: 3 }], [{ type: "delete", key: "/a" }]),
        ]);
        expect(results.map((result) => [result.ok, result.revision])).toEqual([
          [true, 2],
          [true, 3],
          [false, 3],
          [true, 4],
        ]);
      });
    });

    describe("reads", () => {
      test("lists in byte order, also beyond the basic plane", async () => {
        const keys = ["/a", "/a/b", "/a-b", "/é", "/\uffee", "/😀", "/A", "/a/", "/aa"];
        for (const key of keys) await put(key, "x");
        const byBytes = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect((await store.list("")).items.map((item) => item.key)).toEqual(byBytes);
        expect([...keys].sort(compareKeys)).toEqual(byBytes);
      });

      test("lists only keys with the prefix", async () => {
        for (const key of ["/pods/a/x", "/pods/a/y", "/pods/ab/x", "/pod", "/podsa", "/\u{10ffff}"])
          await put(key, "1");
        expect(await keysOf("/pods/a/")).toEqual(["/pods/a/x=1", "/pods/a/y=1"]);
        expect(await keysOf("/pods")).toHaveLength(4);
        expect(await keysOf("/\u{10ffff}")).toHaveLength(1);
        expect(await keysOf("/none")).toEqual([]);
      });

      test("cuts by limit, says what remains and goes on after a key", async () => {
        for (const key of ["/k/1", "/k/2", "/k/3", "/k/4", "/k/5", "/l"]) await put(key, "v");
        const first = await store.list("/k/", { limit: 2 });
        expect(first).toMatchObject({ more: true, remaining: 3, revision: 7 });
        expect(first.items.map((item) => item.key)).toEqual(["/k/1", "/k/2"]);
        const rest = await store.list("/k/", { limit: 3, after: "/k/2" });
        expect(rest).toMatchObject({ more: false, remaining: 0 });
        expect(rest.items.map((item) => item.key)).toEqual(["/k/3", "/k/4", "/k/5"]);
        expect(await keysOf("/k/", { after: "/k/25" })).toEqual(["/k/3=v", "/k/4=v", "/k/5=v"]);
        expect(await keysOf("/k/", { after: "/a" })).toHaveLength(5);
        expect(await keysOf("/k/", { after: "/l" })).toEqual([]);
        expect(await store.list("/none/", { limit: 1 })).toEqual({ items: [], revision: 7, more: false, remaining: 0 });
      });

      test("pages at one revision show one state, whatever is written in between", async () => {
        for (let i = 0; i < 10; i++) await put(`/k/${i}`, "old");
        const first = await store.list("/k/", { limit: 3 });
        for (const key of ["/k/0", "/k/4", "/k/45", "/k/99"]) await put(key, "new");
        for (const key of ["/k/1", "/k/5", "/k/9", "/k/45"]) await remove(key);
        await put("/k/5", "again");
        const second = await store.list("/k/", { limit: 3, after: "/k/2", revision: first.revision });
        expect(second).toMatchObject({ revision: first.revision, more: true, remaining: 4 });
        const third = await store.list("/k/", { after: "/k/5", revision: first.revision });
        const all = [...first.items, ...second.items, ...third.items].map((item) => `${item.key}=${text(item.value)}`);
        expect(all).toEqual(Array.from({ length: 10 }, (_, i) => `/k/${i}=old`));
      });

      test("gets what was there at a revision", async () => {
        const one = await put("/a", "1");
        const two = await put("/a", "2");
        const gone = await remove("/a");
        const three = await put("/a", "3");
        const at = async (revision: number) => {
          const { item, revision: read } = await store.get("/a", { revision });
          expect(read).toBe(revision === 0 ? three : revision);
          return item && [text(item.value), item.createRevision, item.modRevision];
        };
        expect(await at(1)).toBeUndefined();
        expect(await at(one)).toEqual(["1", one, one]);
        expect(await at(two)).toEqual(["2", one, two]);
        expect(await at(gone)).toBeUndefined();
        expect(await at(three)).toEqual(["3", three, three]);
        expect(await at(0)).toEqual(["3", three, three]);
      });

      test("a revision to come is an error", async () => {
        await fails("FUTURE_REVISION", store.get("/a", { revision: 2 }));
        await fails("FUTURE_REVISION", store.list("/", { revision: 2 }));
        await fails("FUTURE_REVISION", collect(store.watch("/", { fromRevision: 3 }), 1));
      });
    });

    describe("watch", () => {
      test("delivers what is written after the call, with the previous value", async () => {
        await put("/w/a", "0");
        const watch = store.watch("/w/");
        const created = await put("/w/b", "1");
        const changed = await put("/w/b", "2");
        await put("/other", "x");
        const deleted = await remove("/w/b");
        const events = await collect(watch, 3);
        const before = { key: "/w/b", createRevision: created };
        expect(events).toMatchObject([
          { type: "put", key: "/w/b", revision: created },
          { type: "put", key: "/w/b", revision: changed, previous: { ...before, modRevision: created } },
          { type: "delete", key: "/w/b", revision: deleted, previous: { ...before, modRevision: changed } },
        ]);
        expect(events.map((event) => text(event.value))).toEqual(["1", "2", undefined]);
        expect(events.map((event) => text(event.previous?.value))).toEqual([undefined, "1", "2"]);
        expect(events[0]).not.toHaveProperty("previous");
        expect(events[2]).not.toHaveProperty("value");
      });

      test("replays from a past revision, then goes on live without a gap", async () => {
        await put("/w/a", "1");
        const from = await put("/w/a", "2");
        await put("/w/a", "3");
        const watch = store.watch("/w/", { fromRevision: from });
        await put("/w/a", "4");
        const live = collect(watch, 4);
        await put("/w/a", "5");
        const events = await live;
        expect(events.map((event) => text(event.value))).toEqual(["2", "3", "4", "5"]);
        expect(events.map((event) => text(event.previous?.value))).toEqual(["1", "2", "3", "4"]);
      });

      test("keeps the events of one revision in one batch", async () => {
        const watch = store.watch("/w/")[Symbol.asyncIterator]();
        const operations = Array.from({ length: 100 }, (_, i) => putOf(`/w/${i}`, "1"));
        await Promise.all(Array.from({ length: 12 }, () => store.write([], operations)));
        const seen = new Set<number>();
        while (seen.size < 12) {
          const { value } = (await watch.next()) as IteratorYieldResult<WatchBatch>;
          for (const revision of new Set(value.events.map((event) => event.revision))) {
            expect(seen.has(revision)).toBe(false);
            seen.add(revision);
            expect(value.events.filter((event) => event.revision === revision)).toHaveLength(100);
          }
        }
        await watch.return?.();
      });

      test("tells how far it is although nothing matched", async () => {
        const watch = store.watch("/w/")[Symbol.asyncIterator]();
        const revision = await put("/other", "1");
        const { value } = (await watch.next()) as IteratorYieldResult<WatchBatch>;
        expect(value).toEqual({ events: [], revision });
        await watch.return?.();
      });

      test("is gap-free and in order under concurrent writers, for watchers that begin at any time", async () => {
        const writers = 8;
        const each = 60;
        const total = writers * each;
        const watches: Promise<{ from: number; revisions: number[] }>[] = [];
        const follow = async (from: number | undefined) => {
          const begin = from ?? (await store.revision()) + 1;
          const revisions: number[] = [];
          let progress = 0;
          for await (const batch of store.watch("/w/", { fromRevision: begin })) {
            expect(batch.revision).toBeGreaterThan(progress);
            progress = batch.revision;
            for (const event of batch.events) {
              expect(event.revision).toBeLessThanOrEqual(batch.revision);
              revisions.push(event.revision);
            }
            if (progress >= total + 1) break;
          }
          return { from: begin, revisions };
        };
        watches.push(follow(2));
        await Promise.all(
          Array.from({ length: writers }, async (_, writer) => {
            for (let i = 0; i < each; i++) {
              await put(`/w/${writer}`, String(i));
              if (i % 20 === writer) watches.push(follow(writer % 2 === 0 ? 2 : undefined));
            }
          }),
        );
        for (const { from, revisions } of await Promise.all(watches)) {
          expect(revisions).toEqual(Array.from({ length: total + 2 - from }, (_, i) => from + i));
        }
      });

      test("ends when its signal aborts, also while it waits, and when it was aborted before", async () => {
        const stop = new AbortController();
        const waiting = store.watch("/w/", { signal: stop.signal })[Symbol.asyncIterator]().next();
        stop.abort();
        expect(await waiting).toEqual({ done: true, value: undefined });
        const late = store.watch("/w/", { signal: stop.signal })[Symbol.asyncIterator]();
        expect((await late.next()).done).toBe(true);
      });

      test("one that is never read loses nothing and holds up nobody", async () => {
        const slow = store.watch("/w/");
        for (let i = 0; i < 700; i += 100) {
          await Promise.all(Array.from({ length: 100 }, (_, j) => put("/w/a", String(i + j))));
        }
        try {
          const events = await collect(slow, 700);
          expect(events.map((event) => text(event.value))).toEqual(Array.from({ length: 700 }, (_, i) => String(i)));
        } catch (error) {
          expect(error).toMatchObject({ code: "SLOW_WATCHER" });
        }
      });
    });

    describe("compaction", () => {
      test("keeps the newest values and all that is needed from its revision on", async () => {
        await put("/a", "1");
        await put("/a", "2");
        await put("/gone", "1");
        await remove("/gone");
        const kept = await put("/b", "1");
        const last = await put("/a", "3");
        await store.compact(kept);
        expect(await keysOf("/")).toEqual(["/a=3", "/b=1"]);
        expect(await keysOf("/", { revision: kept })).toEqual(["/a=2", "/b=1"]);
        expect(text((await store.get("/a", { revision: kept })).item?.value)).toBe("2");
        const events = await collect(store.watch("/", { fromRevision: kept }), 2);
        expect(events.map((event) => [event.key, event.revision, text(event.previous?.value)])).toEqual([
          ["/b", kept, undefined],
          ["/a", last, "2"],
        ]);
      });

      test("an event at the compacted revision still has its previous value", async () => {
        await put("/a", "1");
        await put("/d", "1");
        const changed = await put("/a", "2");
        const deleted = await remove("/d");
        await store.compact(changed);
        const events = await collect(store.watch("/", { fromRevision: changed }), 2);
        expect(events.map((event) => text(event.previous?.value))).toEqual(["1", "1"]);
        await store.compact(deleted);
        const [event] = await collect(store.watch("/", { fromRevision: deleted }), 1);
        expect([event?.type, text(event?.previous?.value)]).toEqual(["delete", "1"]);
      });

      test("reads and watches before it fail, never with a gap", async () => {
        await put("/a", "1");
        await put("/a", "2");
        const kept = await put("/a", "3");
        await store.compact(kept);
        await fails("COMPACTED", store.get("/a", { revision: kept - 1 }));
        await fails("COMPACTED", store.list("/", { revision: kept - 1 }));
        await fails("COMPACTED", collect(store.watch("/", { fromRevision: kept - 1 }), 1));
        await fails("FUTURE_REVISION", store.compact(kept + 1));
        await store.compact(kept - 1);
        await fails("COMPACTED", store.get("/a", { revision: kept - 1 }));
      });

      test("does not disturb a watch that keeps up, nor one that begins at the newest revision", async () => {
        const stop = new AbortController();
        const seen: number[] = [];
        const following = (async () => {
          for await (const batch of store.watch("/", { signal: stop.signal })) {
            seen.push(...batch.events.map((event) => event.revision));
            if (seen.length === 30) break;
          }
        })();
        for (let i = 0; i < 30; i++) {
          const revision = await put("/a", String(i));
          await new Promise((resolve) => setImmediate(resolve));
          await store.compact(revision);
        }
        await following;
        expect(seen).toEqual(Array.from({ length: 30 }, (_, i) => i + 2));
        const watch = store.watch("/");
        await put("/a", "last");
        expect(text((await collect(watch, 1))[0]?.value)).toBe("last");
        stop.abort();
      });
    });

    describe("close", () => {
      test("ends watches, refuses calls and may be called twice", async () => {
        const waiting = store.watch("/")[Symbol.asyncIterator]().next();
        await put("/other", "1");
        await waiting;
        const next = store.watch("/")[Symbol.asyncIterator]().next();
        await store.close();
        expect((await next).done).toBe(true);
        await fails("CLOSED", store.get("/a"));
        await fails("CLOSED", store.list("/"));
        await fails("CLOSED", store.write([], [putOf("/a", "1")]));
        await fails("CLOSED", store.compact(1));
        await fails("CLOSED", store.revision());
        await fails("CLOSED", (async () => collect(store.watch("/"), 1))());
        await store.close();
      });

      test("a write under way is acknowledged or refused, never left open", async () => {
        const writes = Array.from({ length: 20 }, (_, i) => put(`/w/${i}`, "1"));
        const closed = store.close();
        const results = await Promise.allSettled(writes);
        await closed;
        for (const result of results) {
          if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "CLOSED" });
          else expect(result.value).toBeGreaterThan(1);
        }
      });
    });

    test.each([1, 2, 3])("behaves as a plain map would: random run %i", (seed) => simulate(store, seed, 400));
  });
}

function putOf(key: string, value: string): Operation {
  return { type: "put", key, value: Buffer.from(value) };
}

function text(value: Uint8Array | undefined): string | undefined {
  return value && Buffer.from(value).toString();
}

/** The first `count` events of a watch. */
async function collect(watch: AsyncIterable<WatchBatch>, count: number) {
  const events: WatchBatch["events"][number][] = [];
  for await (const batch of watch) {
    events.push(...batch.events);
    if (events.length >= count) break;
  }
  return events;
}

async function fails(code: StoreErrorCode, promise: Promise<unknown>): Promise<void> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StoreError);
  expect(error).toMatchObject({ code });
}
