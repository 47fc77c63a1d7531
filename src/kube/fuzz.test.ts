import { describe, expect, it } from "vitest";
import { decode } from "./decode/decode.ts";
import type { Definition } from "./definition.ts";
import type { KubeObject } from "./object.ts";
import { applyJsonPatch } from "./patch/json-patch.ts";
import { applyMergePatch, threeWayMergePatch } from "./patch/merge-patch.ts";
import { applyStrategicPatch } from "./patch/strategic-patch.ts";
import { resources, type Resource } from "./resource.ts";
import { definitionOf, resolve } from "./schema.ts";
import { StatusError } from "./status.ts";
import { strategyFor } from "./strategies.ts";
import { cloneJson, jsonEqual, semanticEqual } from "./values/equal.ts";

/** Numbers in [0, 1) that are the same in each run. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

const texts =
  "|a|A_b|None|10.0.0.1|::1|10.0.0.0/8|TCP|ClientIP|LoadBalancer|ExternalName|Local|RollingUpdate|Recreate|IPv4|IPv6|Always|In|Exists|25%|/a|*.b.c|kubernetes.io/tls|Prefix|ServiceAccount|User|a/b|x-".split(
    "|",
  );
const numbers = [-1, 0, 1, 80, 30_000, 70_000];
const quantities = ["0", "1", "-1", "500m", "1Gi", "1.5"];

/** Any value of a definition: fields come and go, and little of it makes sense. */
function generate(definition: Definition, random: () => number, depth = 0): unknown {
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

const context = { now: "2030-01-01T00:00:00Z" };

function draft(resource: Resource, random: () => number): KubeObject {
  const named = definitionOf(resource);
  if (!named) throw new Error(`no definition of ${resource.kind}`);
  const value = generate(named.definition, random) as object;
  const { apiVersion: _, kind: __, ...rest } = value as Partial<KubeObject>;
  return decode(resource, rest).object;
}

describe.each(Object.entries(resources) as [string, Resource][])("any %s", (kind, resource) => {
  const strategy = strategyFor(resource);

  it("is written or refused, and nothing breaks", () => {
    const random = randomFrom(kind.length * 7919 + kind.charCodeAt(0));
    for (let i = 0; i < 25; i++) {
      const object = draft(resource, random);
      strategy.prepareForCreate(object, context);
      const once = cloneJson(object);
      strategy.defaults(object);
      expect(object, "defaults change nothing the second time").toEqual(once);
      strategy.validateCreate(object, context);
      strategy.warnings(object);
      strategy.selectableFields(object);
      expect(strategy.gracePeriodSeconds(object)).toBeGreaterThanOrEqual(0);
      for (const subresource of [undefined, "status"]) {
        const changed = draft(resource, random);
        strategy.defaults(changed);
        const before = cloneJson(object);
        const update = { ...context, ...(subresource ? { subresource } : {}) };
        strategy.prepareForUpdate(changed, object, update);
        strategy.validateUpdate(changed, object, update);
        expect(object, "an update leaves the old object alone").toEqual(before);
      }
    }
  });

  it("decodes to what decodes to itself", () => {
    const random = randomFrom(kind.length * 104_729 + 1);
    for (let i = 0; i < 15; i++) {
      const object = draft(resource, random);
      expect(decode(resource, object, { fieldValidation: "Strict" }).object).toEqual(object);
    }
  });

  it("comes by a patch to where it should be", () => {
    const random = randomFrom(kind.length * 15_485_863 + 3);
    for (let i = 0; i < 15; i++) {
      const [current, modified] = [draft(resource, random), draft(resource, random)];
      const patch = threeWayMergePatch(current, modified, current) ?? {};
      expect(semanticEqual(applyMergePatch(current, patch), modified)).toBe(true);
      expect(jsonEqual(applyStrategicPatch(resource, current, {}), current)).toBe(true);
    }
  });
});

describe("any JSON", () => {
  const anything = (random: () => number, depth = 0): unknown => {
    const kind = Math.floor(random() * (depth > 3 ? 4 : 6));
    if (kind === 0) return null;
    if (kind === 1) return random() < 0.5;
    if (kind === 2) return random() < 0.5 ? 1.5 : 80;
    if (kind === 3) return texts[Math.floor(random() * texts.length)];
    const children = Array.from({ length: 3 }, () => anything(random, depth + 1));
    if (kind === 4) return children;
    const keys = ["metadata", "spec", "name", "ports", "$patch", "containers", "op", "path", "/a"];
    return Object.fromEntries(children.map((child) => [keys[Math.floor(random() * keys.length)], child]));
  };

  it("is decoded or refused with a status, and so is any patch", () => {
    const random = randomFrom(42);
    const attempt = (action: () => unknown): void => {
      try {
        action();
      } catch (error) {
        expect(error).toBeInstanceOf(StatusError);
      }
    };
    for (let i = 0; i < 1000; i++) {
      const value = anything(random);
      const target = anything(random);
      const resource = random() < 0.5 ? resources.Service : resources.Pod;
      attempt(() => decode(resource, value as object));
      attempt(() => applyJsonPatch(target, value));
      attempt(() => applyMergePatch(target, value));
      attempt(() => applyStrategicPatch(resource, target === null ? {} : Object(target), value));
    }
  });
});
