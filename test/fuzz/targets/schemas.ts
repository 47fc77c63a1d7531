import { customStrategy } from "../../../src/apiserver/custom/strategy.ts";
import { lazyRules } from "../../../src/apiserver/custom/rules.ts";
import { readerFor } from "../../../src/apiserver/custom/reading.ts";
import {
  decode,
  resources,
  StatusError,
  strategyFor,
  type CustomResourceDefinition,
  type JsonSchema,
  type KubeObject,
} from "../../../src/kube/index.ts";
import { outcome, outcomeOf, type Target } from "../target.ts";
import { anyKey, sameUnderRenaming } from "./renaming.ts";

const definition = (schema: unknown): object => ({
  metadata: { name: "things.example.com" },
  spec: {
    group: "example.com",
    names: { plural: "things", singular: "thing", kind: "Thing", listKind: "ThingList" },
    scope: "Namespaced",
    versions: [
      { name: "v1", served: true, storage: true, schema: { openAPIV3Schema: schema }, subresources: { status: {} } },
    ],
  },
});

const context = { now: "2030-01-01T00:00:00Z" };

/** `[schema, object, older object]`: the schema as of a CustomResourceDefinition, then an object read, defaulted and validated by it. */
export const schema: Target = {
  name: "schema",
  form: "json",
  words: [
    anyKey,
    "type",
    "object",
    "string",
    "integer",
    "number",
    "boolean",
    "array",
    "properties",
    "additionalProperties",
    "items",
    "default",
    "enum",
    "pattern",
    "^(a+)+$",
    "format",
    "date-time",
    "int-or-string",
    "nullable",
    "required",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "minLength",
    "maxItems",
    "multipleOf",
    "uniqueItems",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-int-or-string",
    "x-kubernetes-embedded-resource",
    "map",
    "set",
    "rule",
    "self",
    "self.a == oldSelf.a",
    "messageExpression",
    "fieldPath",
    ".spec",
  ],
  seeds: () => [
    `[{"type":"object","properties":{"spec":{"type":"object","required":["a"],"properties":{"a":{"type":"integer","minimum":1,"default":3},"${anyKey}":{"type":"string","pattern":"^x+$","maxLength":5,"default":"x"}}}}},{"spec":{"a":2,"${anyKey}":"xx","other":1}},{"spec":{"a":1}}]`,
    `[{"type":"object","properties":{"spec":{"type":"object","properties":{"list":{"type":"array","maxItems":5,"x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["name"],"items":{"type":"object","required":["name"],"properties":{"name":{"type":"string","maxLength":9},"v":{"x-kubernetes-int-or-string":true}}}},"set":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}}},"x-kubernetes-validations":[{"rule":"self.list.all(x, x.name != 'bad')","message":"bad","fieldPath":".list"},{"rule":"!has(oldSelf.set) || self.set == oldSelf.set","messageExpression":"'changed'"}]}}},{"spec":{"list":[{"name":"a","v":1},{"name":"bad","v":"x"}],"set":["a","b"]}},{"spec":{"set":["a"]}}]`,
    `[{"type":"object","properties":{"spec":{"type":"object","additionalProperties":{"type":"string","enum":["a","b"]},"maxProperties":4},"status":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}},{"spec":{"${anyKey}":"a","y":"c"},"status":{"${anyKey}":{"z":1}}},null]`,
    `[{"type":"object","properties":{"spec":{"type":"object","properties":{"o":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true},"n":{"type":"number","nullable":true,"multipleOf":0.5},"t":{"type":"string","format":"date-time"},"d":{"type":"string","format":"duration"}},"oneOf":[{"required":["o"]},{"properties":{"n":{"minimum":3}}}],"not":{"required":["t"]}}}},{"spec":{"o":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}},"n":1.5,"t":"2030-01-01T00:00:00Z","d":"1h"}},{}]`,
  ],
  run(input) {
    const document = parsed(input);
    const [given, object, before] = (Array.isArray(document) ? document : [document]) as unknown[];
    let found: CustomResourceDefinition | undefined;
    const crds = strategyFor(resources.CustomResourceDefinition);
    const read = outcome([StatusError], () => {
      const crd = decode<CustomResourceDefinition>(resources.CustomResourceDefinition, definition(given)).object;
      crds.prepareForCreate(crd, context);
      const faults = crds.validateCreate(crd, context);
      if (faults.length === 0) found = crd;
      return faults;
    });
    if (!found) return read;
    const [version] = found.spec.versions;
    const checked = version?.schema?.openAPIV3Schema as JsonSchema | undefined;
    if (!version || !checked) return read;
    return outcomeOf([StatusError], async () => {
      const strategy = customStrategy({ namespaced: true, version, schema: checked, rules: lazyRules(checked) });
      const reads = readerFor(checked);
      const kind = { group: "example.com", version: "v1", kind: "Thing", reads };
      const make = (value: unknown): KubeObject => {
        const fields = typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
        const made = decode(kind, {
          ...fields,
          apiVersion: "example.com/v1",
          kind: "Thing",
          metadata: { name: "a", namespace: "b" },
        });
        return made.object;
      };
      const [next, old] = [make(object), make(before)];
      await strategy.ready?.(next);
      strategy.defaults(next);
      strategy.prepareForCreate(old, context);
      const faults = strategy.validateCreate(old, context).length;
      strategy.prepareForUpdate(next, old, context);
      const updateFaults = strategy.validateUpdate(next, old, context);
      sameUnderRenaming(JSON.stringify(object ?? null), (value) => {
        const free = readerFor({
          type: "object",
          properties: { spec: { type: "object", additionalProperties: { type: "string" } } },
        });
        return typeof value === "object" && value !== null && !Array.isArray(value)
          ? free({ ...value, metadata: {} }).value
          : undefined;
      });
      return [faults > 0, updateFaults.length];
    });
  },
};

function parsed(input: Buffer): unknown {
  try {
    return JSON.parse(input.toString());
  } catch {
    return {};
  }
}
