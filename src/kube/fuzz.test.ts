import { describe, expect, it } from "vitest";
import { decode } from "./decode/decode.ts";
import type { KubeObject } from "./object.ts";
import { applyJsonPatch } from "./patch/json-patch.ts";
import { applyMergePatch, threeWayMergePatch } from "./patch/merge-patch.ts";
import { applyStrategicPatch } from "./patch/strategic-patch.ts";
import { generate, randomFrom, texts } from "./random-value.ts";
import { resources, type Resource } from "./resource.ts";
import { definitionOf } from "./schema.ts";
import { StatusError } from "./status.ts";
import { strategyFor } from "./strategies.ts";
import { cloneJson, jsonEqual, semanticEqual } from "./values/equal.ts";

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
