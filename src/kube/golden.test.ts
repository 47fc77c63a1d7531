import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decode } from "./decode/decode.ts";
import { describeFault } from "./field-error.ts";
import type { Service } from "./generated/types.ts";
import type { KubeObject } from "./object.ts";
import { apiVersionOf, resources, type Resource } from "./resource.ts";
import { strategyFor } from "./strategies.ts";
import { cloneJson, isObject } from "./values/equal.ts";

/** One question to Kubernetes 1.35.2 and its answer, as recorded. */
interface Case {
  readonly object: KubeObject;
  /** Merged into the object after it was created. */
  readonly change?: object;
  readonly subresource?: string;
  readonly answer: {
    readonly object?: object;
    readonly causes?: readonly string[];
    readonly warnings?: readonly string[];
  };
}

const context = { now: "2030-01-01T00:00:00Z" };
const byKind = new Map(
  Object.values<Resource>(resources).map((resource) => [`${apiVersionOf(resource)} ${resource.kind}`, resource]),
);

function answer({ object, change, subresource }: Case): Case["answer"] {
  const resource = byKind.get(`${object.apiVersion} ${object.kind}`);
  if (!resource) throw new Error(`no kind ${object.apiVersion} ${object.kind}`);
  const strategy = strategyFor(resource);
  const created = decode<KubeObject>(resource, object).object;
  created.metadata.name ??= "x";
  created.metadata.uid = "u";
  if (resource.namespaced) created.metadata.namespace ??= "default";
  strategy.prepareForCreate(created, context);
  strategy.defaults(created);
  const warnings = (of: KubeObject) => {
    const texts = strategy.warnings(of);
    return texts.length > 0 ? { warnings: texts } : {};
  };
  const faults = [...new Set(strategy.validateCreate(created, context).map(describeFault))];
  if (faults.length > 0) return { causes: faults };
  if (!change) return { object: created, ...warnings(created) };
  const old = cloneJson(created);
  const updated = decode<KubeObject>(resource, merge(cloneJson(created), change)).object;
  const updating = { ...context, ...(subresource ? { subresource } : {}) };
  strategy.defaults(updated);
  strategy.prepareForUpdate(updated, old, updating);
  const refused = [...new Set(strategy.validateUpdate(updated, old, updating).map(describeFault))];
  if (refused.length > 0) return { causes: refused };
  return { object: updated, ...(subresource ? {} : warnings(updated)) };
}

function merge(base: object, change: object): object {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(change)) {
    if (value === null) delete merged[key];
    else merged[key] = isObject(value) && isObject(merged[key]) ? merge(merged[key], value) : value;
  }
  return merged;
}

/** Lists that Go writes as null are empty here. */
function alike(theirs: unknown, ours: unknown): unknown {
  if (theirs === null && Array.isArray(ours) && ours.length === 0) return ours;
  if (Array.isArray(theirs)) return theirs.map((item, i) => alike(item, Array.isArray(ours) ? ours[i] : undefined));
  if (!isObject(theirs)) return theirs;
  return Object.fromEntries(
    Object.entries(theirs).flatMap(([key, value]) => {
      const own = isObject(ours) ? ours[key] : undefined;
      if (key === "lastPhaseTransitionTime") return [[key, context.now]];
      // A pointer that Go does not leave out.
      if (key === "apiGroup" && value === null) return [];
      return [[key, alike(value, own)]];
    }),
  );
}

/** Without what shows Go's own structs: a value with names that JSON does not have, and what comes after the first line. */
const comparable = (cause: string): string =>
  (cause.split("\n")[0] ?? "").replace(
    /^(spec\.template|spec\.successPolicy|status\.uncountedTerminatedPods): Invalid value: \{.*\}: /,
    "$1: ",
  );

const folder = new URL("golden/", import.meta.url);
describe.each(readdirSync(folder))("%s", (file) => {
  const cases = JSON.parse(readFileSync(new URL(file, folder), "utf8")) as Case[];
  it.each(cases.map((one, i) => [i, one.object.kind, one] as const))("%i %s", (_i, _kind, one) => {
    const ours = answer(one);
    // What causes a refusal is the same in any order; warnings are compared where the object is accepted.
    const { warnings: theirWarnings = [], ...theirs } = one.answer;
    const { warnings = [], ...rest } = ours;
    if (theirs.causes) {
      const sorted = (causes: readonly string[] = []) => [...new Set(causes.map((cause) => comparable(cause)))].sort();
      expect({ ...rest, causes: sorted(rest.causes) }).toEqual({ causes: sorted(theirs.causes) });
    } else {
      // Families of addresses are the allocator's there.
      if (one.object.kind === "Service" && rest.object) {
        const { ipFamilies: _families, ipFamilyPolicy: _policy, ...spec } = (rest.object as Service).spec;
        Object.assign(rest.object, { spec });
      }
      expect(rest).toEqual(alike(theirs, rest));
      // Of a whole version that is deprecated Kubernetes warns elsewhere.
      const own = warnings.filter((text) => !text.includes("is deprecated in v1."));
      if (!one.subresource) expect(own).toEqual(theirWarnings);
    }
  });
});
