import type { Definition } from "./definition.ts";
import { resolve } from "./schema.ts";

/** For tests: numbers in [0, 1) that are the same in each run. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** Some of which mean something somewhere. */
export const texts =
  "|a|A_b|None|10.0.0.1|::1|10.0.0.0/8|TCP|ClientIP|LoadBalancer|ExternalName|Local|RollingUpdate|Recreate|IPv4|IPv6|Always|In|Exists|25%|/a|*.b.c|kubernetes.io/tls|Prefix|ServiceAccount|User|a/b|x-".split(
    "|",
  );
const numbers = [-1, 0, 1, 80, 30_000, 70_000];
const quantities = ["0", "1", "-1", "500m", "1Gi", "1.5"];

/** For tests: any value of a definition: fields come and go, and little of it makes sense. */
export function generate(definition: Definition, random: () => number, depth = 0): unknown {
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)];
  const { name = "", definition: target } = resolve(definition);
  if (name.endsWith(".Quantity")) return pick(quantities);
  if (name.endsWith(".JSON")) return pick([1, "a", [1], { a: null }]);
  if (/\.JSONSchemaPropsOr(Array|Bool|StringArray)$/.test(name)) return { type: pick(texts) };
  if (name.endsWith("Time")) return "2030-01-01T00:00:00Z";
  if (name.endsWith(".IntOrString")) return random() < 0.5 ? pick(numbers) : pick(texts);
  const some = () => Array.from({ length: Math.floor(random() * 3) });
  if (target.properties) {
    const chance = depth < 2 ? 0.9 : 0.4;
    const fields = Object.entries(target.properties).filter(() => depth < 9 && random() < chance);
    return Object.fromEntries(fields.map(([key, field]) => [key, generate(field, random, depth + 1)]));
  }
  if (target.type === "array") return some().map(() => generate(target.items ?? {}, random, depth + 1));
  if (target.type === "object") {
    const { additionalProperties: values } = target;
    return values ? Object.fromEntries(some().map(() => [pick(texts), generate(values, random, depth + 1)])) : {};
  }
  if (target.type === "integer" || target.type === "number") return pick(numbers);
  if (target.type === "boolean") return random() < 0.5;
  return target.format === "byte" ? "YQ==" : pick(texts);
}
