import { describe, expect, test } from "vitest";
import type { Row } from "../../tables/index.ts";
import { attribute, attributesIn, decode, kinds, nameIn } from "../netlink.ts";
import { batchOf, groupsOf, isPlain, numberOf } from "./elements.ts";
import { steps } from "./fresh-build.ts";
import { element } from "./serialise.ts";

const owner = { object: "Service default/web", field: "spec" };
const row = (table: string, key: Row["key"], value: Row["value"] = []): Row => ({ table, key, value, owner });

/** What a batch says: kind of message, set, and the bytes of each element's key and data. */
function read(batch: Buffer | undefined) {
  return decode(batch ?? Buffer.alloc(0)).messages.flatMap(({ kind, family, attributes }) => {
    const set = nameIn(attribute(attributes, 2));
    return [...attributesIn(attribute(attributes, 3) ?? Buffer.alloc(0))].map(([, one]) => {
      const bytes = (number: number) =>
        attribute(attribute(one, number) ?? Buffer.alloc(0), 1)?.toString("hex") ?? undefined;
      return { kind, family, set, key: bytes(1), data: bytes(2) };
    });
  });
}

describe("rows as the kernel takes them", () => {
  test("fields are whole words, in the order and the byte order of the kernel", () => {
    const { batch, refused } = batchOf(
      [],
      [row("frontends", ["10.96.0.1", "tcp", 80], [0x1000_0800]), row("slots6", [0x800, 3], ["fd00::1:2", 8080])],
    );
    expect(refused).toEqual([]);
    expect(read(batch)).toEqual([
      { kind: kinds.newElement, family: 2, set: "frontends", key: "0a6000010600000000500000", data: "00080010" },
      {
        kind: kinds.newElement,
        family: 10,
        set: "slots",
        key: "0008000003000000",
        data: "fd0000000000000000000000000100021f900000",
      },
    ]);
  });

  test("what goes is named by its key alone, and before what comes", () => {
    const before = row("endpoints", [0x801], ["10.42.0.1", 80]);
    const found = read(batchOf([before], [row("endpoints", [0x801], ["10.42.0.2", 80])]).batch);
    expect(found.map(({ kind, data }) => [kind, data])).toEqual([
      [kinds.delElement, undefined],
      [kinds.newElement, "0a2a000200500000"],
    ]);
  });

  test("many elements are spread over messages, none of which is too long for its lengths of 16 bits", () => {
    const rows = Array.from({ length: 5_000 }, (_, i) => row("vips", [`10.0.${i >> 8}.${i & 255}`]));
    const { batch } = batchOf([], rows);
    expect(read(batch).length).toBe(rows.length);
    expect(decode(batch ?? Buffer.alloc(0)).messages.length).toBeGreaterThan(2);
  });

  const unfit: Row[] = [
    row("frontends", ["10.96.0.256", "tcp", 80], [1]),
    row("frontends", ["010.96.0.1", "tcp", 80], [1]),
    row("frontends", ["fd00::1", "tcp", 80], [1]),
    row("frontends6", ["fe80::1%eth0", "tcp", 80], [1]),
    row("frontends", ["10.96.0.1", "icmp", 80], [1]),
    row("frontends", ["10.96.0.1", "tcp", 0], [1]),
    row("frontends", ["10.96.0.1", "tcp", 65_536], [1]),
    row("frontends", ["10.96.0.1", "tcp", 1.5], [1]),
    row("frontends", ["10.96.0.1", "tcp"], [1]),
    row("frontends", ["10.96.0.1", "tcp", 80], []),
    row("frontends", ["10.96.0.1", "tcp", 80], [2 ** 32]),
    row("frontends", ["10.96.0.1", "tcp", "80"], [1]),
    row("pools", [1], ["accept"]),
    row("pools", [1], ["pick", 65]),
    row("vips", ["10.0.0.1"], [1]),
  ];
  test.each(unfit)("what nft's serialiser refuses is refused here: $table $key $value", (one) => {
    expect(element(one)).toBeUndefined();
    expect(batchOf([], [one])).toEqual({ batch: undefined, refused: [one] });
    expect(batchOf([one], []).batch).toBeUndefined();
    const sound = row("vips", ["10.0.0.2"]);
    expect(read(batchOf([], [sound, one, sound]).batch).map(({ set }) => set)).toEqual(["vips", "vips"]);
  });

  test("addresses", () => {
    expect(numberOf("255.255.255.255")).toBe(0xffff_ffff);
    expect(numberOf("0.0.0.0")).toBe(0);
    for (const text of ["", "1.2.3", "1.2.3.4.5", "1..2.3", "1.2.3.", "1.2.3.4 ", "00.0.0.0", "a.b.c.d"])
      expect(numberOf(text)).toBeUndefined();
    expect(groupsOf("::")).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(groupsOf("1:2:3:4:5:6:7:8")).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(groupsOf("::ffff:1.2.3.4")).toEqual([0, 0, 0, 0, 0, 0xffff, 0x102, 0x304]);
    expect(groupsOf("1::g")).toBeUndefined();
  });

  test("ranges and names of interfaces are left to nft", () => {
    expect(["frontends", "pools6", "hairpin"].map(isPlain)).toEqual([true, true, true]);
    expect(["ranges", "pods6", "cidrs", "podlinks", "affinity"].map(isPlain)).toEqual([
      false,
      false,
      false,
      false,
      false,
    ]);
  });
});

test("what refuses comes last in a fresh build, and a Service's rows are in one batch", () => {
  const of = (name: string, table: string, port: number): Row => ({
    ...row(table, [port]),
    owner: { object: name, field: "" },
  });
  const rows = [
    of("Node a", "pods", 1),
    of("Node a", "cidrs", 2),
    ...["a", "b", "c"].flatMap((name, i) => [0, 1, 2].map((n) => of(name, "slots", 10 * i + n))),
    of("c", "vips6", 3),
  ];
  const { first, batches, last } = steps(rows, 2);
  expect(first.map(({ table }) => table)).toEqual(["pods"]);
  expect(last.map(({ table }) => table)).toEqual(["cidrs", "vips6"]);
  expect(batches.map((batch) => [...new Set(batch.map((one) => one.owner.object))])).toEqual([["a"], ["b"], ["c"]]);
});
