import { createProtobufEncoder } from "../../../src/apiserver/protobuf/index.ts";
import { decodeProtobuf } from "../../../src/apiserver/protobuf/decode.ts";
import { decode, JsonSyntaxError, parseJson, StatusError, strategyFor } from "../../../src/kube/index.ts";
import { broken, outcome, type Target } from "../target.ts";
import { kindOf, samples } from "./objects.ts";
import { anyKey, canonical } from "./renaming.ts";

const encoder = createProtobufEncoder();

/** What of a value a message can hold: fields that are empty are as good as absent, and of what kind it is stands around it. In order. */
function written(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(written);
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value)
    // What is made from them says it again.
    .filter(([key]) => !("spec" in value && "status" in value && (key === "apiVersion" || key === "kind")))
    .map(([key, field]: [string, unknown]) => [key, written(field)] as const)
    .filter(([, field]) => !isEmpty(field))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(fields);
}

const isEmpty = (value: unknown): boolean =>
  value === null ||
  value === "" ||
  value === 0 ||
  value === false ||
  (typeof value === "object" && Object.keys(value).length === 0);

/** Objects of every kind as protobuf: what is written reads back as what it was, and the next object is not disturbed by it. */
export const protobufEncoder: Target = {
  name: "protobuf-encoder",
  form: "json",
  words: [
    "2030-01-01T00:00:00Z",
    "2030-01-01T00:00:00.123456Z",
    "1Gi",
    "100m",
    "25%",
    "YQ==",
    "\u00e9\u{1f600}",
    anyKey,
  ],
  seeds: () => [
    ...samples(),
    `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":{"${anyKey}":"x"}},"binaryData":{"${anyKey}":"YQ=="}}`,
    '{"apiVersion":"v1","kind":"Event","metadata":{"name":"a"},"involvedObject":{},"eventTime":"2030-01-01T00:00:00.000001Z","count":-2147483648}',
    '{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{"name":"a"},"data":{"a":[null,{"b":1.5}]},"revision":9007199254740991}',
  ],
  run: (input) =>
    outcome([StatusError, JsonSyntaxError], () => {
      const kind = kindOf(parseJson(input.toString()).value);
      const { object } = decode(kind, input);
      const { apiVersion } = object;
      if (!encoder.knows(apiVersion, kind.kind)) return undefined;
      strategyFor(kind).defaults(object);
      const whole = decode(kind, object).object;
      const before = canonical(whole);
      const body = encoder.body(apiVersion, kind.kind, whole);
      if (canonical(whole) !== before) broken("the object was changed");
      const back = decode(kind, decodeProtobuf(body)).object;
      const [found, wanted] = [written(back), written(whole)].map((one) => JSON.stringify(one));
      // The status subresource of a definition is a message without fields, and is described as an object that may have any.
      if (found !== wanted && kind.kind !== "CustomResourceDefinition")
        broken(`reads back as ${found}, not as ${wanted}`);
      if (!Buffer.from(encoder.body(apiVersion, kind.kind, whole)).equals(body))
        broken("is not written the same again");
      return back;
    }),
};
