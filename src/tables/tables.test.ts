import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeClock, silentLogger } from "../system/index.ts";
import { createFakeProgram, createTables, rowId, type FakeProgram, type Row, type Tables } from "./index.ts";

const row = (key: string, value = "", table = "t"): Row => ({
  table,
  key: [key],
  value: value ? [value] : [],
  owner: { object: "Service default/web", field: "spec" },
});

describe("the row engine", () => {
  let program: FakeProgram;
  let clock: FakeClock;
  let stop: AbortController;
  let tables: Tables;
  let refused: Row[];

  beforeEach(() => {
    program = createFakeProgram();
    clock = new FakeClock();
    stop = new AbortController();
    refused = [];
    const onRefused = (one: Row) => refused.push(one);
    tables = createTables({ program, shared: ["shared"], signal: stop.signal, clock, log: silentLogger, onRefused });
  });
  afterEach(async () => {
    stop.abort();
    await tables.stopped;
  });

  const inForce = () => [...program.rows.values()].map((one) => [rowId(one), ...one.value].join(" ")).sort();
  const last = () => program.transactions.at(-1);

  test("what is set before the start goes in one transaction that replaces what was there", async () => {
    tables.set("a", [row("1", "x")]);
    tables.set("b", [row("2", "y")]);
    expect(program.transactions).toHaveLength(0);
    tables.start();
    await tables.settled();
    expect(program.transactions).toHaveLength(1);
    expect(last()).toMatchObject({ reset: true, remove: [] });
    expect(inForce()).toEqual(["t 1 x", "t 2 y"]);
  });

  test("started with the rows that are in force, it changes what differs alone, and nothing when nothing does", async () => {
    program.tamper((rows) => {
      for (const one of [row("1", "x"), row("2", "old"), row("3", "gone")]) rows.set(rowId(one), one);
    });
    tables.set("a", [row("1", "x"), row("2", "y"), row("4", "z")]);
    tables.start([...program.rows.values()]);
    await tables.settled();
    expect(program.transactions).toHaveLength(1);
    expect(last()).toMatchObject({
      reset: false,
      remove: [{ key: ["2"] }, { key: ["3"] }],
      add: [{ key: ["2"] }, { key: ["4"] }],
    });
    expect(inForce()).toEqual(["t 1 x", "t 2 y", "t 4 z"]);
  });

  test("rows that somebody else changed are read back and put right, and other tables are not looked at", async () => {
    tables.set("a", [row("1", "x"), row("2", "y"), row("unfit", "z"), row("5", "x", "u")]);
    tables.start();
    await tables.settled();
    expect(await tables.verify(["t"])).toBe(0);
    program.tamper((rows) => {
      rows.delete("t 1");
      rows.set("t 2", row("2", "changed"));
      rows.set("t 9", row("9", "foreign"));
      rows.delete("u 5");
    });
    expect(await tables.verify(["t"])).toBe(3);
    await tables.settled();
    expect(inForce()).toEqual(["t 1 x", "t 2 y"]);
    expect(await tables.verify(["t", "u"])).toBe(1);
    await tables.settled();
    expect(inForce()).toEqual(["t 1 x", "t 2 y", "u 5 x"]);
    expect(program.transactions).toHaveLength(3);
  });

  test("a change costs the rows that change, whatever there is besides", async () => {
    tables.set(
      "a",
      Array.from({ length: 100 }, (_, i) => row(String(i), "x")),
    );
    tables.start();
    await tables.settled();
    tables.set(
      "a",
      Array.from({ length: 99 }, (_, i) => row(String(i), i === 7 ? "y" : "x")),
    );
    await tables.settled();
    expect(last()?.remove.map(rowId).sort()).toEqual(["t 7", "t 99"]);
    expect(last()?.add.map(rowId)).toEqual(["t 7"]);
    expect(inForce()).toHaveLength(99);
  });

  test("a change that is taken back before it is applied is none", async () => {
    tables.set("a", [row("1", "x")]);
    tables.start();
    await tables.settled();
    tables.set("a", [row("1", "y"), row("2")]);
    tables.set("a", [row("1", "x")]);
    await tables.settled();
    expect(program.transactions).toHaveLength(1);
  });

  test("a row may pass from one owner to another in one transaction", async () => {
    tables.set("a", [row("1", "x")]);
    tables.start();
    await tables.settled();
    tables.set("a", []);
    tables.set("b", [row("1", "y")]);
    await tables.settled();
    expect(inForce()).toEqual(["t 1 y"]);
    expect(tables.size).toBe(1);
  });

  test("a storm is applied together", async () => {
    tables.start();
    await tables.settled();
    for (let i = 0; i < 50; i++) tables.set(`owner${i}`, [row(String(i))]);
    await tables.settled();
    expect(program.transactions).toHaveLength(2);
    expect(inForce()).toHaveLength(50);
  });

  test("who waits need not wait for what comes later, however long the storm goes on", async () => {
    tables.start();
    await tables.settled();
    let storming = true;
    let count = 0;
    const storm = (async () => {
      while (storming) {
        tables.set("storm", [row(String(count++))]);
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    tables.set("a", [row("mine")]);
    await tables.settled();
    expect(inForce()).toContain("t mine");
    storming = false;
    await storm;
  });

  test("a shared row stays until its last owner leaves", async () => {
    tables.set("a", [row("1", "", "shared")]);
    tables.set("b", [row("1", "", "shared")]);
    tables.start();
    await tables.settled();
    expect(inForce()).toEqual(["shared 1"]);
    tables.set("a", []);
    await tables.settled();
    expect(inForce()).toEqual(["shared 1"]);
    tables.set("b", []);
    await tables.settled();
    expect(inForce()).toEqual([]);
  });

  test("a row that does not fit is left out and named, its neighbours are applied, and it can go again", async () => {
    tables.set("a", [row("1"), row("unfit")]);
    tables.start();
    await tables.settled();
    expect(refused).toMatchObject([{ key: ["unfit"], owner: { object: "Service default/web" } }]);
    expect(inForce()).toEqual(["t 1"]);
    tables.set("a", []);
    await tables.settled();
    expect(inForce()).toEqual([]);
  });

  test("after a failure everything is applied anew, with back-off, including what came meanwhile", async () => {
    tables.set("a", [row("1", "x")]);
    tables.start();
    await tables.settled();
    program.fail(2);
    tables.set("a", [row("1", "y")]);
    const settled = tables.settled();
    await clock.advance(0);
    expect(tables.failure?.message).toBe("the program refuses");
    tables.set("b", [row("2", "z")]);
    await clock.advance(100);
    expect(inForce()).toEqual(["t 1 x"]);
    await clock.advance(200);
    await settled;
    expect(last()).toMatchObject({ reset: true });
    expect(inForce()).toEqual(["t 1 y", "t 2 z"]);
    expect(tables.failure).toBeUndefined();
  });

  test("a program that has lost its rows gets all of them again", async () => {
    tables.set("a", [row("1", "x")]);
    tables.start();
    await tables.settled();
    tables.rebuild();
    await tables.settled();
    expect(program.transactions).toHaveLength(2);
    expect(last()).toMatchObject({ reset: true, add: [{ key: ["1"] }] });
  });

  test("who waits is told when the engine stops", async () => {
    program.fail(1_000);
    tables.set("a", [row("1")]);
    tables.start();
    const settled = tables.settled();
    stop.abort(new Error("stopped"));
    await expect(settled).rejects.toThrow("stopped");
    await expect(tables.settled()).rejects.toThrow("stopped");
  });
});
