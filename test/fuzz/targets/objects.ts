import { randomFrom as numbersFrom, generate } from "../../../src/kube/random-value.ts";
import {
  decode,
  definitionOf,
  JsonSyntaxError,
  parseJson,
  parseYaml,
  resources,
  StatusError,
  strategyFor,
  type KubeObject,
  type Resource,
} from "../../../src/kube/index.ts";
import { decodeProtobuf } from "../../../src/apiserver/protobuf/decode.ts";
import { messageField, textField, varint } from "../../../src/apiserver/protobuf/writer.ts";
import { broken, outcome, outcomeOf, type Target } from "../target.ts";
import { anyKey, canonical, sameUnderRenaming } from "./renaming.ts";

const all = Object.values(resources) as readonly Resource[];

/** One object of each kind, with values that mostly make no sense. */
export function samples(): string[] {
  return all.map((resource, i) => {
    const named = definitionOf(resource);
    const value = named ? (generate(named.definition, numbersFrom(i * 31 + 7)) as object) : {};
    return JSON.stringify({
      ...value,
      apiVersion: `${resource.group ? `${resource.group}/` : ""}${resource.version}`,
      kind: resource.kind,
    });
  });
}

/** The built-in kind that a document says it is; a ConfigMap when it does not. */
export function kindOf(value: unknown): Resource {
  const { apiVersion, kind } = (typeof value === "object" && value !== null ? value : {}) as Partial<KubeObject>;
  return (
    all.find((one) => one.kind === kind && `${one.group ? `${one.group}/` : ""}${one.version}` === apiVersion) ??
    resources.ConfigMap
  );
}

const decoded = (kind: Resource, body: Uint8Array | object): KubeObject | undefined => {
  try {
    return decode(kind, body).object;
  } catch (error) {
    if (error instanceof StatusError) return undefined;
    throw error;
  }
};

export const json: Target = {
  name: "json",
  form: "text",
  words: ['"', "{", "}", "[", "]", ":", ",", "\\u", "\\", "-", "1e9", "null", '{"a":', '"a":1,"a":2'],
  seeds: () => ['{"a":1,"a":[true,false,null,-1.5e+3,"\\u00e9\\n"]}', '[[],{},"",0]', '{"__proto__":{"a":1}}', " 1 "],
  run(input) {
    const text = input.toString();
    let engine: { value: unknown } | undefined;
    try {
      engine = { value: JSON.parse(text) };
    } catch {
      // No JSON.
    }
    return outcome([JsonSyntaxError], () => {
      const { value, duplicates } = parseJson(text);
      if (!engine) broken("read what is no JSON");
      const isWhole = !/\\u[dD][89a-fA-F]/.test(text);
      if (isWhole && canonical(value) !== canonical(engine.value)) broken("not read as the engine reads it");
      return duplicates;
    });
  },
};

export const yaml: Target = {
  name: "yaml",
  form: "text",
  words: [
    "&a ",
    "*a",
    "<<: ",
    "- ",
    ": ",
    "? ",
    "| \n",
    "> ",
    "!!str ",
    "!!binary ",
    "!!set ",
    "---\n",
    "...",
    "{",
    "}",
    "[",
    "]",
    "\n",
    "  ",
    "#",
    "%YAML 1.1\n",
    "0o7",
    "yes",
    "0x1f",
    "1_000",
    "12:30:45",
    ".inf",
    "'",
    '"',
  ],
  seeds: () => [
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  a: |\n    text\n  b: >-\n    folded\n",
    "a: &x [1, 2]\nb: *x\nc:\n  <<: {d: 1}\n  e: ~\n",
    "? [complex]\n: value\n!!str 1: 2\n",
    '{"json": ["is", "yaml"], __proto__: 1}',
    "- 1\n- 0644\n- yes\n- 2001-01-01\n- .nan\n- 'a''b'\n",
    "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n",
  ],
  run: (input) =>
    outcomeOf([StatusError], async () => {
      const { value } = await parseYaml(input);
      const size = (JSON.stringify(value) ?? "").length;
      if (size > 200 * input.length + 65_536) broken(`${input.length} bytes became ${size}`);
      return value;
    }),
};

/** Every kind: structure, defaults, validation, warnings, and an update of the object by itself. */
export const objects: Target = {
  name: "objects",
  form: "json",
  words: [
    "10.0.0.1",
    "::1",
    "10.0.0.0/8",
    "1Gi",
    "-1",
    "25%",
    "*.b.c",
    "/a",
    "a/b",
    "TCP",
    "ClusterIP",
    "2030-01-01T00:00:00Z",
    "*/5 * * * *",
    "YQ==",
    "Always",
    "None",
    anyKey,
  ],
  seeds: () => [
    ...samples(),
    `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":{"${anyKey}":"x"}},"data":{"${anyKey}":"y"}}`,
    `{"apiVersion":"v1","kind":"Service","metadata":{"name":"a","annotations":{"${anyKey}":"x"}},"spec":{"selector":{"${anyKey}":"z"},"ports":[{"port":80}]}}`,
  ],
  run(input) {
    return outcome([StatusError, JsonSyntaxError], () => {
      const text = input.toString();
      const { value } = parseJson(text);
      const kind = kindOf(value);
      sameUnderRenaming(text, (document) => decoded(kind, document as object) && decoded(kind, document as object));
      const { object } = decode(kind, input, { fieldValidation: "Warn" });
      const again = decode(kind, object, { fieldValidation: "Strict" }).object;
      if (canonical(again) !== canonical(object)) broken("what was decoded decodes to something else");
      const strategy = strategyFor(kind);
      const context = { now: "2030-01-01T00:00:00Z" };
      strategy.defaults(object);
      strategy.prepareForCreate(object, context);
      const faults = strategy.validateCreate(object, context);
      strategy.warnings(object);
      strategy.selectableFields(object);
      const changed = structuredClone(object);
      strategy.defaults(changed);
      strategy.prepareForUpdate(changed, object, context);
      strategy.validateUpdate(changed, object, context);
      return faults;
    });
  },
};

const typeMeta = (apiVersion: string, kind: string) => messageField(1, textField(1, apiVersion), textField(2, kind));
const envelope = (apiVersion: string, kind: string, ...raw: readonly Buffer[]) =>
  Buffer.concat([
    Buffer.from("k8s\0"),
    typeMeta(apiVersion, kind),
    messageField(2, ...raw),
    textField(3, ""),
    textField(4, ""),
  ]);
const number = (field: number, value: number) => Buffer.concat([varint(field * 8), varint(value)]);
const metadata = messageField(
  1,
  textField(1, "name"),
  textField(3, "default"),
  messageField(8, number(1, 1_893_456_000)),
  messageField(11, textField(1, "app"), textField(2, "web")),
  messageField(17, textField(1, "m"), textField(2, "Apply"), messageField(7, textField(1, '{"f:a":{}}'))),
);

export const protobuf: Target = {
  name: "protobuf",
  form: "bytes",
  words: ["\x0a\x00", "\x12\x02\x0a\x00", "\xff\xff\xff\xff\x0f", "{}", "[[[[", "__proto__"],
  seeds: () => [
    envelope(
      "v1",
      "ConfigMap",
      metadata,
      messageField(2, textField(1, "a"), textField(2, "b")),
      messageField(3, textField(1, "c"), textField(2, "\0\x01")),
    ),
    envelope(
      "v1",
      "Service",
      metadata,
      messageField(
        2,
        messageField(
          1,
          textField(1, "http"),
          textField(2, "TCP"),
          number(3, 80),
          messageField(4, number(1, 1), textField(3, "web")),
          number(5, 30_000),
        ),
        messageField(2, textField(1, "a"), textField(2, "b")),
        textField(3, "10.0.0.1"),
      ),
    ),
    envelope(
      "v1",
      "Pod",
      metadata,
      messageField(
        2,
        messageField(
          2,
          textField(1, "c"),
          textField(2, "image"),
          messageField(8, messageField(1, textField(1, "cpu"), messageField(2, textField(1, "1")))),
        ),
        number(4, 30),
      ),
    ),
    envelope(
      "apps/v1",
      "Deployment",
      metadata,
      messageField(2, number(1, 3), messageField(2, messageField(1, textField(1, "a"), textField(2, "b")))),
    ),
    envelope("v1", "DeleteOptions", number(1, 0), textField(4, "Background")),
    envelope(
      "coordination.k8s.io/v1",
      "Lease",
      metadata,
      messageField(2, textField(1, "me"), number(2, 15), messageField(3, number(1, 1_893_456_000), number(2, 5000))),
    ),
  ],
  run: (input) =>
    outcome([StatusError], () => {
      const value = decodeProtobuf(input);
      return decode(kindOf(value), value).object;
    }),
};
