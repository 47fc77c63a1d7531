import { describe, expect, test } from "vitest";
import { compareKeys } from "../keys.ts";
import { collect, fails, text, type Subject } from "./support.ts";

/** What a store gives to read, now and as it was. */
export function readContract(subject: () => Subject): void {
  describe("reads", () => {
    test("lists in byte order, also beyond the basic plane", async () => {
      const keys = ["/a", "/a/b", "/a-b", "/é", "/\uffee", "/😀", "/A", "/a/", "/aa"];
      for (const key of keys) await subject().put(key, "x");
      const byBytes = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect((await subject().store.list("")).items.map((item) => item.key)).toEqual(byBytes);
      expect([...keys].sort(compareKeys)).toEqual(byBytes);
    });

    test("lists only keys with the prefix", async () => {
      for (const key of ["/pods/a/x", "/pods/a/y", "/pods/ab/x", "/pod", "/podsa", "/\u{10ffff}"])
        await subject().put(key, "1");
      expect(await subject().keysOf("/pods/a/")).toEqual(["/pods/a/x=1", "/pods/a/y=1"]);
      expect(await subject().keysOf("/pods")).toHaveLength(4);
      expect(await subject().keysOf("/\u{10ffff}")).toHaveLength(1);
      expect(await subject().keysOf("/none")).toEqual([]);
    });

    test("cuts by limit, says what remains and goes on after a key", async () => {
      for (const key of ["/k/1", "/k/2", "/k/3", "/k/4", "/k/5", "/l"]) await subject().put(key, "v");
      const first = await subject().store.list("/k/", { limit: 2 });
      expect(first).toMatchObject({ more: true, remaining: 3, revision: 7 });
      expect(first.items.map((item) => item.key)).toEqual(["/k/1", "/k/2"]);
      const rest = await subject().store.list("/k/", { limit: 3, after: "/k/2" });
      expect(rest).toMatchObject({ more: false, remaining: 0 });
      expect(rest.items.map((item) => item.key)).toEqual(["/k/3", "/k/4", "/k/5"]);
      expect(await subject().keysOf("/k/", { after: "/k/25" })).toEqual(["/k/3=v", "/k/4=v", "/k/5=v"]);
      expect(await subject().keysOf("/k/", { after: "/a" })).toHaveLength(5);
      expect(await subject().keysOf("/k/", { after: "/l" })).toEqual([]);
      expect(await subject().store.list("/none/", { limit: 1 })).toEqual({
        items: [],
        revision: 7,
        more: false,
        remaining: 0,
      });
    });

    test("pages at one revision show one state, whatever is written in between", async () => {
      for (let i = 0; i < 10; i++) await subject().put(`/k/${i}`, "old");
      const first = await subject().store.list("/k/", { limit: 3 });
      for (const key of ["/k/0", "/k/4", "/k/45", "/k/99"]) await subject().put(key, "new");
      for (const key of ["/k/1", "/k/5", "/k/9", "/k/45"]) await subject().remove(key);
      await subject().put("/k/5", "again");
      const second = await subject().store.list("/k/", { limit: 3, after: "/k/2", revision: first.revision });
      expect(second).toMatchObject({ revision: first.revision, more: true, remaining: 4 });
      const third = await subject().store.list("/k/", { after: "/k/5", revision: first.revision });
      const all = [...first.items, ...second.items, ...third.items].map((item) => `${item.key}=${text(item.value)}`);
      expect(all).toEqual(Array.from({ length: 10 }, (_, i) => `/k/${i}=old`));
    });

    test("gets what was there at a revision", async () => {
      const one = await subject().put("/a", "1");
      const two = await subject().put("/a", "2");
      const gone = await subject().remove("/a");
      const three = await subject().put("/a", "3");
      const at = async (revision: number) => {
        const { item, revision: read } = await subject().store.get("/a", { revision });
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
      await fails("FUTURE_REVISION", subject().store.get("/a", { revision: 2 }));
      await fails("FUTURE_REVISION", subject().store.list("/", { revision: 2 }));
      await fails("FUTURE_REVISION", collect(subject().store.watch("/", { fromRevision: 3 }), 1));
    });
  });

  describe("compaction", () => {
    test("keeps the newest values and all that is needed from its revision on", async () => {
      await subject().put("/a", "1");
      await subject().put("/a", "2");
      await subject().put("/gone", "1");
      await subject().remove("/gone");
      const kept = await subject().put("/b", "1");
      const last = await subject().put("/a", "3");
      await subject().store.compact(kept);
      expect(await subject().store.compacted()).toBe(kept);
      expect(await subject().keysOf("/")).toEqual(["/a=3", "/b=1"]);
      expect(await subject().keysOf("/", { revision: kept })).toEqual(["/a=2", "/b=1"]);
      expect(text((await subject().store.get("/a", { revision: kept })).item?.value)).toBe("2");
      const events = await collect(subject().store.watch("/", { fromRevision: kept }), 2);
      expect(events.map((event) => [event.key, event.revision, text(event.previous?.value)])).toEqual([
        ["/b", kept, undefined],
        ["/a", last, "2"],
      ]);
    });

    test("an event at the compacted revision still has its previous value", async () => {
      await subject().put("/a", "1");
      await subject().put("/d", "1");
      const changed = await subject().put("/a", "2");
      const deleted = await subject().remove("/d");
      await subject().store.compact(changed);
      const events = await collect(subject().store.watch("/", { fromRevision: changed }), 2);
      expect(events.map((event) => text(event.previous?.value))).toEqual(["1", "1"]);
      await subject().store.compact(deleted);
      const [event] = await collect(subject().store.watch("/", { fromRevision: deleted }), 1);
      expect([event?.type, text(event?.previous?.value)]).toEqual(["delete", "1"]);
    });

    test("reads and watches before it fail, never with a gap", async () => {
      await subject().put("/a", "1");
      await subject().put("/a", "2");
      const kept = await subject().put("/a", "3");
      await subject().store.compact(kept);
      await fails("COMPACTED", subject().store.get("/a", { revision: kept - 1 }));
      await fails("COMPACTED", subject().store.list("/", { revision: kept - 1 }));
      await fails("COMPACTED", collect(subject().store.watch("/", { fromRevision: kept - 1 }), 1));
      await fails("FUTURE_REVISION", subject().store.compact(kept + 1));
      await subject().store.compact(kept - 1);
      await fails("COMPACTED", subject().store.get("/a", { revision: kept - 1 }));
    });

    test("does not disturb a watch that keeps up, nor one that begins at the newest revision", async () => {
      const stop = new AbortController();
      const seen: number[] = [];
      const following = (async () => {
        for await (const batch of subject().store.watch("/", { signal: stop.signal })) {
          seen.push(...batch.events.map((event) => event.revision));
          if (seen.length === 30) break;
        }
      })();
      for (let i = 0; i < 30; i++) {
        const revision = await subject().put("/a", String(i));
        await new Promise((resolve) => setImmediate(resolve));
        await subject().store.compact(revision);
      }
      await following;
      expect(seen).toEqual(Array.from({ length: 30 }, (_, i) => i + 2));
      const watch = subject().store.watch("/");
      await subject().put("/a", "last");
      expect(text((await collect(watch, 1))[0]?.value)).toBe("last");
      stop.abort();
    });
  });
}
