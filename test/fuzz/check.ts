import type { Target } from "./target.ts";

/** What every object has. An input that adds to it has reached into all objects of the process. */
const shapes = [Object.prototype, Array.prototype, Function.prototype, String.prototype].map(
  (prototype) => [prototype, Reflect.ownKeys(prototype).length] as const,
);

/** Runs one input. Throws when it breaks something; else gives its outcome. */
export async function check(target: Target, input: Buffer): Promise<string> {
  const result = await target.run(input);
  for (const [prototype, count] of shapes)
    if (Reflect.ownKeys(prototype).length !== count) throw new Error("broken: a prototype was changed");
  return result;
}
