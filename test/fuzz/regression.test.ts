import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { check } from "./check.ts";
import { inputsOf } from "./corpus.ts";
import { mutate } from "./mutate.ts";
import { randomFrom } from "./random.ts";
import { targets } from "./targets/index.ts";

/** Changed inputs of each target beside those that are kept: always the same. */
const changed = 40;

describe("what others wrote is read or refused, and nothing breaks", () => {
  it.each(targets.map((target) => [target.name, target] as const))("%s", async (_, target) => {
    const inputs = await inputsOf(join(import.meta.dirname, "corpus"), target);
    expect(inputs.length).toBeGreaterThan(0);
    const random = randomFrom(1);
    for (const input of inputs) await check(target, input);
    for (let i = 0; i < changed; i++)
      await check(target, mutate(random.pick(inputs), target.form, random, inputs, target.words ?? []));
  });
});
