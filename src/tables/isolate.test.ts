import { describe, expect, test } from "vitest";
import { createFakeProgram, isolating, rowId, type Program, type Row, type Transaction } from "./index.ts";

const row = (object: string, key = object, value = ""): Row => ({
  table: "t",
  key: [key],
  value: [value],
  owner: { object, field: "spec" },
});
const change = (add: Row[], remove: Row[] = [], reset = false): Transaction => ({ reset, remove, add });

/** As strict as the kernel, which moreover does not take a row with the value "bad"; and counts dry runs. */
function strict() {
  const fake = createFakeProgram();
  let checks = 0;
  const judge = ({ add, remove, reset }: Transaction): void => {
    if (add.some(({ value }) => value[0] === "bad")) throw new Error("a bad row");
    const there = new Set(reset ? [] : fake.rows.keys());
    for (const one of remove) if (!there.delete(rowId(one))) throw new Error("not there");
    for (const one of add) {
      if (there.has(rowId(one))) throw new Error("twice");
      there.add(rowId(one));
    }
  };
  const program: Program = {
    async apply(transaction) {
      judge(transaction);
      return await fake.apply(transaction);
    },
    check(transaction) {
      checks += 1;
      try {
        judge(transaction);
        return Promise.resolve(true);
      } catch {
        return Promise.resolve(false);
      }
    },
  };
  return { program: isolating(program), fake, checks: () => checks };
}
const keys = (fake: ReturnType<typeof createFakeProgram>) => [...fake.rows.values()].map(({ key }) => key[0]).sort();

describe("a row that is refused", () => {
  test("keeps out its object only, and is found in few dry runs", async () => {
    const { program, fake, checks } = strict();
    const rows = Array.from({ length: 1_000 }, (_, i) => row(`s${i}`));
    const bad = [row("evil", "e1"), row("evil", "e2", "bad")];
    expect(await program.apply(change([...rows.slice(0, 300), ...bad, ...rows.slice(300)], [], true))).toEqual(bad);
    expect(fake.rows.size).toBe(1_000);
    expect(checks()).toBeLessThan(30);
  });

  test("when it goes, nothing is taken away that is not there; when it is sound, it comes", async () => {
    const { program, fake } = strict();
    await program.apply(change([row("a"), row("evil", "e", "bad")]));
    await program.apply(change([row("evil", "e", "good"), row("b")], [row("evil", "e", "bad")]));
    expect(keys(fake)).toEqual(["a", "b", "e"]);
  });

  test("what it replaces goes all the same", async () => {
    const { program, fake } = strict();
    await program.apply(change([row("s", "k", "old"), row("a")]));
    await program.apply(change([row("s", "k", "bad"), row("b")], [row("s", "k", "old")]));
    expect(keys(fake)).toEqual(["a", "b"]);
  });

  test("of two objects with one key the first has it", async () => {
    const { program, fake } = strict();
    expect(await program.apply(change([row("a", "same", "1"), row("b"), row("c", "same", "2")]))).toHaveLength(1);
    expect(fake.rows.get("t same")?.owner.object).toBe("a");
    expect(keys(fake)).toEqual(["b", "same"]);
  });
});

test("a state that is not as thought is told, and nothing is left out for it", async () => {
  const { program } = strict();
  await expect(program.apply(change([row("a")], [row("gone")]))).rejects.toThrow("not there");
});
