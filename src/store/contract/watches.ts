import { describe, expect, test } from "vitest";
import type { WatchBatch } from "../store.ts";
import { collect, fails, putOf, text, type Subject, type Traits } from "./support.ts";

/** What a store tells who watches, and how it ends. */
export function watchContract(subject: () => Subject, { ordered }: Traits): void {
  describe("watch", () => {
    test("delivers what is written after the call, with the previous value", async () => {
      await subject().put("/w/a", "0");
      const watch = subject().store.watch("/w/");
      const created = await subject().put("/w/b", "1");
      const changed = await subject().put("/w/b", "2");
      await subject().put("/other", "x");
      const deleted = await subject().remove("/w/b");
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
      await subject().put("/w/a", "1");
      const from = await subject().put("/w/a", "2");
      await subject().put("/w/a", "3");
      const watch = subject().store.watch("/w/", { fromRevision: from });
      await subject().put("/w/a", "4");
      const live = collect(watch, 4);
      await subject().put("/w/a", "5");
      const events = await live;
      expect(events.map((event) => text(event.value))).toEqual(["2", "3", "4", "5"]);
      expect(events.map((event) => text(event.previous?.value))).toEqual(["1", "2", "3", "4"]);
    });

    test("keeps the events of one revision in one batch", async () => {
      const watch = subject().store.watch("/w/")[Symbol.asyncIterator]();
      const operations = Array.from({ length: 100 }, (_, i) => putOf(`/w/${i}`, "1"));
      await Promise.all(Array.from({ length: 12 }, () => subject().store.write([], operations)));
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
      const watch = subject().store.watch("/w/")[Symbol.asyncIterator]();
      const revision = await subject().put("/other", "1");
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
        const begin = from ?? (await subject().store.revision()) + 1;
        const revisions: number[] = [];
        let progress = 0;
        for await (const batch of subject().store.watch("/w/", { fromRevision: begin })) {
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
            await subject().put(`/w/${writer}`, String(i));
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
      const waiting = subject().store.watch("/w/", { signal: stop.signal })[Symbol.asyncIterator]().next();
      stop.abort();
      expect(await waiting).toEqual({ done: true, value: undefined });
      const late = subject().store.watch("/w/", { signal: stop.signal })[Symbol.asyncIterator]();
      expect((await late.next()).done).toBe(true);
    });

    test("one that is never read loses nothing and holds up nobody", async () => {
      const slow = subject().store.watch("/w/");
      for (let i = 0; i < 700; i += 100) {
        await Promise.all(Array.from({ length: 100 }, (_, j) => subject().put("/w/a", String(i + j))));
      }
      try {
        const events = await collect(slow, 700);
        expect(events.map((event) => event.revision)).toEqual(Array.from({ length: 700 }, (_, i) => i + 2));
        const values = events.map((event) => Number(text(event.value)));
        const inOrder = ordered ? values : values.sort((a, b) => a - b);
        expect(inOrder).toEqual(Array.from({ length: 700 }, (_, i) => i));
      } catch (error) {
        expect(error).toMatchObject({ code: "SLOW_WATCHER" });
      }
    });
  });

  describe("close", () => {
    test("ends watches, refuses calls and may be called twice", async () => {
      const waiting = subject().store.watch("/")[Symbol.asyncIterator]().next();
      await subject().put("/other", "1");
      await waiting;
      const next = subject().store.watch("/")[Symbol.asyncIterator]().next();
      await subject().store.close();
      expect((await next).done).toBe(true);
      await fails("CLOSED", subject().store.get("/a"));
      await fails("CLOSED", subject().store.list("/"));
      await fails("CLOSED", subject().store.write([], [putOf("/a", "1")]));
      await fails("CLOSED", subject().store.compact(1));
      await fails("CLOSED", subject().store.revision());
      await fails("CLOSED", (async () => collect(subject().store.watch("/"), 1))());
      await subject().store.close();
    });

    test("a write under way is acknowledged or refused, never left open", async () => {
      const writes = Array.from({ length: 20 }, (_, i) => subject().put(`/w/${i}`, "1"));
      const closed = subject().store.close();
      const results = await Promise.allSettled(writes);
      await closed;
      for (const result of results) {
        if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "CLOSED" });
        else expect(result.value).toBeGreaterThan(1);
      }
    });
  });
}
