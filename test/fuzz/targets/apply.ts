import { applied, managedKind, noon, objectOf, written } from "../../../src/kube/apply/testing.ts";
import { applyConfiguration } from "../../../src/kube/apply/apply.ts";
import { pathsOf, readFieldSet } from "../../../src/kube/apply/field-set.ts";
import { describePath, FieldSetError } from "../../../src/kube/apply/path-element.ts";
import { StatusError, type KubeObject, type Resource } from "../../../src/kube/index.ts";
import { broken, outcome, outcomeOf, type Target } from "../target.ts";
import { kindOf } from "./objects.ts";
import { anyKey, canonical } from "./renaming.ts";

export const fieldsV1: Target = {
  name: "fields-v1",
  form: "json",
  words: [
    "f:",
    "k:",
    "v:",
    "i:",
    ".",
    "f:metadata",
    'k:{"port":80}',
    'v:"x"',
    "i:0",
    "f:__proto__",
    'k:{"a":1,"a":2}',
    'v:{"b":[1]}',
    "v:1.0",
  ],
  seeds: () => [
    '{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:ports":{"k:{\\"port\\":80,\\"protocol\\":\\"TCP\\"}":{".":{},"f:name":{}}}}}',
    '{"f:finalizers":{"v:\\"x\\"":{},"v:1":{},"i:3":{}},"f:data":null}',
    '{"f:__proto__":{"f:a":{}},".":{}}',
  ],
  run: (input) =>
    outcome([FieldSetError], () => {
      const set = readFieldSet(JSON.parse(validJson(input)));
      for (const path of pathsOf(set)) describePath(path);
      const again = readFieldSet(JSON.parse(JSON.stringify(set)));
      if (canonical(again) !== canonical(set)) broken("a set of fields is read differently the second time");
      return set;
    }),
};

const validJson = (input: Buffer): string => {
  const text = input.toString();
  try {
    JSON.parse(text);
    return text;
  } catch {
    return "null";
  }
};

/** What a first manager writes; undefined where entries of another version would have to be converted. */
function begin(resource: Resource, live: object): KubeObject | undefined {
  try {
    return written(resource, "first", live);
  } catch (error) {
    if (error instanceof Error && error.message.includes("needs no conversion")) return undefined;
    throw error;
  }
}

/** `[live, configuration, second configuration]`: an update, two applies by two managers and one that gives all up. */
export const apply: Target = {
  name: "apply",
  form: "json",
  words: [
    anyKey,
    "ports",
    "port",
    "protocol",
    "TCP",
    "containers",
    "name",
    "env",
    "finalizers",
    "managedFields",
    "fieldsV1",
    "f:metadata",
    'k:{"port":80}',
    "Apply",
    "Update",
  ],
  seeds: () => [
    `[{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","labels":{"${anyKey}":"1"}},"spec":{"ports":[{"port":80}]}},{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","labels":{"${anyKey}":"2"}},"spec":{"ports":[{"port":80,"name":"x","protocol":"TCP"},{"port":81}]}},{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","finalizers":["x"]}}]`,
    `[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","managedFields":[{"manager":"x","operation":"Apply","apiVersion":"v1","time":"2030-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:containers":{"k:{\\"name\\":\\"a\\"}":{".":{},"f:image":{}}}}}}]},"spec":{"containers":[{"name":"a","image":"i"}]}},{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"a","env":[{"name":"E","value":"1"}],"ports":[{"containerPort":1}]}]}},{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}]`,
    `[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\\"data\\":{\\"a\\":\\"b\\"}}"}},"data":{"${anyKey}":"1"}},{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"${anyKey}":"2"}},{"apiVersion":"v1","kind":"ConfigMap"}]`,
    `[{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{"replicas":1,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}},{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{"template":{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"1"}}}]}}}},null]`,
  ],
  run: (input) =>
    outcomeOf([StatusError], async () => {
      const document: unknown = JSON.parse(validJson(input));
      const [live, first, second] = (Array.isArray(document) ? document : [document]) as unknown[];
      const object = (value: unknown): object => (typeof value === "object" && value !== null ? value : {});
      const resource = kindOf(live);
      const begun = begin(resource, object(live));
      if (!begun) return "another version";
      const next = await applied(resource, "second", object(first), { live: begun, force: true });
      const config = JSON.parse(
        JSON.stringify({ ...object(second), apiVersion: next.apiVersion, kind: next.kind }),
      ) as Record<string, unknown>;
      const last = await applyConfiguration(managedKind(resource), next, {
        config,
        manager: "second",
        force: true,
        now: noon,
      });
      const size = JSON.stringify(last).length;
      if (size > 20 * input.length + 65_536) broken(`${input.length} bytes became ${size}`);
      return objectOf(resource, last) satisfies KubeObject;
    }),
};
