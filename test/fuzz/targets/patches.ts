import {
  applyJsonPatch,
  applyMergePatch,
  applyStrategicPatch,
  semanticEqual,
  StatusError,
  threeWayMergePatch,
} from "../../../src/kube/index.ts";
import { jsonEqual } from "../../../src/kube/values/equal.ts";
import { broken, outcome, type Target } from "../target.ts";
import { kindOf } from "./objects.ts";
import { anyKey, canonical, sameUnderRenaming } from "./renaming.ts";

/** A document and what is done to it, from one input: `[target, patch]`. */
function pairIn(document: unknown): [target: unknown, patch: unknown] {
  const [target, patch] = Array.isArray(document) ? (document as unknown[]) : [{}, document];
  return [target ?? {}, patch ?? null];
}

const parsed = (input: Buffer): unknown => {
  try {
    return JSON.parse(input.toString());
  } catch {
    return null;
  }
};

const unlessRefused = (action: () => unknown): unknown => {
  try {
    return action();
  } catch (error) {
    if (error instanceof StatusError) return undefined;
    throw error;
  }
};

function pure(name: string, apply: (target: unknown, patch: unknown) => unknown): Target["run"] {
  return (input) =>
    outcome([StatusError], () => {
      const document = parsed(input);
      const [target, patch] = pairIn(document);
      const before = canonical([target, patch]);
      sameUnderRenaming(input.toString(), (one) => unlessRefused(() => apply(...pairIn(one))));
      const result = apply(target, patch);
      if (canonical([target, patch]) !== before) broken(`${name} changed what it was given`);
      return result;
    });
}

const words = [
  anyKey,
  "/a",
  "/a/0",
  "/a/-",
  "/metadata/labels",
  "add",
  "remove",
  "replace",
  "move",
  "copy",
  "test",
  "$patch",
  "$retainKeys",
  "$setElementOrder/ports",
  "$deleteFromPrimitiveList/finalizers",
  "delete",
  "merge",
  "replace",
  "ports",
  "containers",
  "port",
  "name",
];
const service = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","finalizers":["x","y"],"labels":{"${anyKey}":"1"}},"spec":{"ports":[{"port":80,"name":"a","protocol":"TCP"},{"port":81,"name":"b"}],"selector":{"a":"b"}}}`;
const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"i","env":[{"name":"${anyKey}","value":"1"}]}],"tolerations":[{"key":"k"}],"volumes":[{"name":"v","emptyDir":{}}]}}`;

export const jsonPatch: Target = {
  name: "json-patch",
  form: "json",
  words,
  seeds: () => [
    `[{"a":[1,{"b":2}],"${anyKey}":{"x":1}},[{"op":"add","path":"/a/-","value":3},{"op":"remove","path":"/a/0"},{"op":"move","from":"/${anyKey}","path":"/c"}]]`,
    `[{"a":{}},[{"op":"add","path":"/a/${anyKey}","value":{"y":1}},{"op":"test","path":"/a/${anyKey}","value":{"y":1}},{"op":"copy","from":"/a","path":"/b"},{"op":"replace","path":"/b/${anyKey}/y","value":2}]]`,
    `[${service},[{"op":"replace","path":"","value":[]},{"op":"add","path":"/0","value":null}]]`,
    `[{},[{"op":"test","path":"/${anyKey}","value":null},{"op":"replace","path":"/${anyKey}/x","value":null},{"op":"remove","path":"/${anyKey}"}]]`,
  ],
  run: pure("a JSON patch", applyJsonPatch),
};

export const mergePatch: Target = {
  name: "merge-patch",
  form: "json",
  words,
  seeds: () => [
    `[{"a":1,"b":{"c":2},"${anyKey}":{"d":1}},{"a":null,"b":{"d":null,"e":[]},"${anyKey}":{"x":2,"d":null}}]`,
    `[${service},{"metadata":{"labels":{"${anyKey}":null,"b":"c"}}}]`,
    `[{"a":{}},{"a":{"${anyKey}":"1"},"${anyKey}":"2"}]`,
    `[{"${anyKey}":[1]},"text"]`,
  ],
  run(input) {
    const document = parsed(input);
    const [target, patch] = pairIn(document);
    sameUnderRenaming(input.toString(), (one) => ({
      equal: semanticEqual(...pairIn(one)),
      same: jsonEqual(...pairIn(one)),
    }));
    if (isMap(target) && isMap(patch)) {
      const compute = (one: unknown): unknown => {
        const [original, modified] = pairIn(one) as [object, object];
        return isMap(original) && isMap(modified)
          ? (threeWayMergePatch(original, modified, original) ?? {})
          : undefined;
      };
      sameUnderRenaming(input.toString(), compute);
      const difference = threeWayMergePatch(target, patch, target) ?? {};
      if (!semanticEqual(withoutNulls(applyMergePatch(target, difference)), withoutNulls(patch)))
        broken("the difference of two documents does not lead from one to the other");
    }
    return pure("a merge patch", applyMergePatch)(input);
  },
};

const isMap = (value: unknown): value is object => typeof value === "object" && value !== null && !Array.isArray(value);

/** Merge patches can not say that a field is null: where one is, it counts as absent. */
function withoutNulls(value: unknown): unknown {
  if (!isMap(value)) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== null);
  return Object.fromEntries(entries.map(([key, inner]) => [key, withoutNulls(inner)]));
}

export const strategicPatch: Target = {
  name: "strategic-patch",
  form: "json",
  words,
  seeds: () => [
    `[${service},{"spec":{"ports":[{"port":80,"name":"c"},{"port":81,"$patch":"delete"}],"$setElementOrder/ports":[{"port":81},{"port":80}]},"metadata":{"$deleteFromPrimitiveList/finalizers":["x"],"labels":{"${anyKey}":null}}}]`,
    `[${pod},{"spec":{"containers":[{"name":"a","env":[{"name":"${anyKey}","$patch":"delete"},{"name":"n","value":"${anyKey}"}]},{"name":"b"}],"volumes":[{"$patch":"replace"},{"name":"w"}],"tolerations":null}}]`,
    `[${pod},{"spec":{"volumes":[{"name":"v","$retainKeys":["name","hostPath"],"hostPath":{"path":"/"}}]},"${anyKey}":{"$patch":"merge"}}]`,
    `[${service},{"$patch":"replace","metadata":{"name":"b"}}]`,
    `[${service},{"metadata":{"annotations":{"${anyKey}":"1"},"labels":{"$patch":"delete"}},"$setElementOrder/${anyKey}":[1]}]`,
  ],
  run: pure("a strategic merge patch", (target, patch) =>
    applyStrategicPatch(kindOf(target), isMap(target) ? target : {}, patch),
  ),
};
