import { describe, expect, test } from "vitest";
import { maxValueBytes } from "../keys.ts";
import { fails, putOf, text, type Subject, type Traits } from "./support.ts";

/** What a store does with writes. */
export function writeContract(subject: () => Subject, { largest: most, ordered }: Traits): void {
  describe("writes", () => {
    test("an empty store is at revision 1 and each write raises it by one", async () => {
      expect(await subject().store.revision()).toBe(1);
      expect(await subject().put("/a", "1")).toBe(2);
      expect(await subject().put("/a", "1")).toBe(3);
      const many = await subject().store.write([], [putOf("/b", "1"), putOf("/c", "1"), { type: "delete", key: "/a" }]);
      expect(many).toEqual({ ok: true, revision: 4 });
      expect(await subject().store.revision()).toBe(4);
    });

    test("a write that changes nothing takes no revision", async () => {
      const before = await subject().put("/a", "1");
      expect(await subject().remove("/missing")).toBe(before);
      expect(await subject().store.write([{ key: "/a", modRevision: before }], [])).toEqual({
        ok: true,
        revision: before,
      });
    });

    test("keeps the creation revision until the key is deleted", async () => {
      const created = await subject().put("/a", "1");
      const changed = await subject().put("/a", "2");
      const { item } = await subject().store.get("/a");
      expect(item).toMatchObject({ key: "/a", createRevision: created, modRevision: changed });
      expect(text(item?.value)).toBe("2");
      await subject().remove("/a");
      expect((await subject().store.get("/a")).item).toBeUndefined();
      const again = await subject().put("/a", "3");
      expect((await subject().store.get("/a")).item).toMatchObject({ createRevision: again, modRevision: again });
    });

    test("keeps bytes as they are, also none", async () => {
      const value = Uint8Array.from({ length: 256 }, (_, i) => i);
      await subject().store.write([], [{ type: "put", key: "/bytes", value }, putOf("/empty", "")]);
      expect(new Uint8Array((await subject().store.get("/bytes")).item?.value ?? [])).toEqual(value);
      expect((await subject().store.get("/empty")).item?.value.byteLength).toBe(0);
    });

    test("takes its largest value and refuses a larger one, a huge key and too many operations, changing nothing", async () => {
      const largest = new Uint8Array(most).fill(7);
      await subject().store.write([], [{ type: "put", key: "/large", value: largest }]);
      expect((await subject().store.get("/large")).item?.value.byteLength).toBe(most);
      const revision = await subject().store.revision();
      const larger = new Uint8Array(maxValueBytes + 1);
      await fails(
        "TOO_LARGE",
        subject().store.write([], [putOf("/small", "1"), { type: "put", key: "/larger", value: larger }]),
      );
      await fails("TOO_LARGE", subject().store.write([], [putOf("/".repeat(2000), "1")]));
      await fails(
        "TOO_LARGE",
        subject().store.write(
          [],
          Array.from({ length: 129 }, (_, i) => putOf(`/${i}`, "1")),
        ),
      );
      expect(await subject().store.revision()).toBe(revision);
      expect((await subject().store.get("/small")).item).toBeUndefined();
    });

    test("takes the longest key that it promises", async () => {
      const key = `/${"é".repeat(511)}x`;
      await subject().put(key, "1");
      await subject().put(key, "2");
      expect(await subject().keysOf(key)).toEqual([`${key}=2`]);
    });

    test.each(["", "a\0b", "\ud800"])("refuses the key %j", async (key) => {
      await expect(subject().store.write([], [putOf(key, "1")])).rejects.toThrow(TypeError);
      await expect(subject().store.write([], [putOf("/a", "1"), { type: "delete", key: "/a" }])).rejects.toThrow(
        TypeError,
      );
      expect(await subject().store.revision()).toBe(1);
    });
  });

  describe("compare-and-set", () => {
    test("0 means: must not exist", async () => {
      expect(await subject().store.write([{ key: "/a", modRevision: 0 }], [putOf("/a", "1")])).toEqual({
        ok: true,
        revision: 2,
      });
      const second = await subject().store.write([{ key: "/a", modRevision: 0 }], [putOf("/a", "2")]);
      expect(second).toMatchObject({ ok: false, revision: 2 });
      if (second.ok) throw new Error("unreachable");
      expect([...second.current.keys()]).toEqual(["/a"]);
      expect(text(second.current.get("/a")?.value)).toBe("1");
    });

    test("says what is there for each failed comparison, and only for those", async () => {
      const a = await subject().put("/a", "1");
      const b = await subject().put("/b", "1");
      const compare = [
        { key: "/a", modRevision: a },
        { key: "/b", modRevision: a },
        { key: "/c", modRevision: b },
      ];
      const result = await subject().store.write(compare, [putOf("/d", "1")]);
      if (result.ok) throw new Error("the comparison should have failed");
      expect([...result.current].map(([key, item]) => [key, item?.modRevision])).toEqual([
        ["/b", b],
        ["/c", undefined],
      ]);
      expect((await subject().store.get("/d")).item).toBeUndefined();
    });

    test("all keys of a write change or none", async () => {
      const a = await subject().put("/a", "1");
      await subject().put("/b", "1");
      const operations = [putOf("/a", "2"), putOf("/b", "2"), putOf("/c", "2")];
      expect((await subject().store.write([{ key: "/b", modRevision: a }], operations)).ok).toBe(false);
      expect(await subject().keysOf("/")).toEqual(["/a=1", "/b=1"]);
      expect((await subject().store.write([{ key: "/a", modRevision: a }], operations)).ok).toBe(true);
      expect(await subject().keysOf("/")).toEqual(["/a=2", "/b=2", "/c=2"]);
    });

    test("of concurrent writes on one revision exactly one wins, and no increment is lost", async () => {
      await subject().put("/counter", "0");
      const add = async () => {
        for (;;) {
          const { item } = await subject().store.get("/counter");
          const next = String(Number(text(item?.value)) + 1);
          const compare = [{ key: "/counter", modRevision: item?.modRevision ?? 0 }];
          if ((await subject().store.write(compare, [putOf("/counter", next)])).ok) return;
        }
      };
      await Promise.all(Array.from({ length: 20 }, add));
      expect(text((await subject().store.get("/counter")).item?.value)).toBe("20");
      expect(await subject().store.revision()).toBe(22);
    });

    test.runIf(ordered)("writes issued together are decided in the order in which they were issued", async () => {
      const results = await Promise.all([
        subject().store.write([{ key: "/a", modRevision: 0 }], [putOf("/a", "1")]),
        subject().store.write([{ key: "/a", modRevision: 2 }], [putOf("/a", "2")]),
        subject().store.write([{ key: "/a", modRevision: 2 }], [putOf("/a", "3")]),
        subject().store.write([{ key: "/a", modRevision: 3 }], [{ type: "delete", key: "/a" }]),
      ]);
      expect(results.map((result) => [result.ok, result.revision])).toEqual([
        [true, 2],
        [true, 3],
        [false, 3],
        [true, 4],
      ]);
    });
  });
}
