import { describe, expect, it } from "vitest";
import { apiVersionOf } from "../../kube/index.ts";
import { builtInKinds } from "../resources/served.ts";
import { decodeProtobuf } from "./decode.ts";
import { createProtobufEncoder } from "./encode.ts";
import { messageNames as names, type Field } from "./fields.ts";
import { kinds, messages } from "./generated/messages.ts";

const encoder = createProtobufEncoder();

function roundTrip(object: { apiVersion: string; kind: string }): unknown {
  return decodeProtobuf(encoder.body(object.apiVersion, object.kind, object));
}

/** Numbers that come in the same order each time (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const texts = ["a", "värde", "x".repeat(40), "\u2028😀", "y".repeat(300), "0"];
const times = ["2030-01-01T00:00:00Z", "1969-07-20T20:17:40Z"];
const numbers = [1, 127, 128, 300, -1, 2 ** 31 - 1, -(2 ** 31), 65535];
const raws = [{ a: [1, null, "x"] }, "text", [true], { nested: { deep: { "f:x": {} } } }];

/** An object of a message with any of its fields set, always those that are no pointers. */
function arbitrary(message: string, random: () => number, depth: number): unknown {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  switch (message) {
    case "string":
      return pick(texts);
    case "bytes":
      return Buffer.from(pick(texts)).toString("base64");
    case "bool":
      return true;
    case "int32":
      return pick(numbers);
    case "int64":
      return pick([...numbers, 2 ** 53 - 1, -(2 ** 53 - 1), 2 ** 35]);
    case "double":
      return pick([0.5, -1e300, 3]);
    case names.time:
      return pick(times);
    case names.microTime:
      return pick(["2030-01-01T00:00:00.000001Z", "2030-01-01T00:00:00.999999Z", "2030-01-01T00:00:00.000000Z"]);
    case names.fieldsV1:
    case names.rawExtension:
    case names.json:
      return pick(raws);
    case names.quantity:
      return pick(["1", "500m", "2Gi"]);
    case names.intOrString:
      return pick<unknown>([8080, "http", "25%"]);
    case names.verbs:
    case names.extraValues[0]:
    case names.extraValues[1]:
    case names.extraValues[2]:
      return ["get", "list"];
    case names.schemaOrArray:
      return pick<unknown>([[], { type: "string", required: ["a"] }].slice(0, 1));
    case names.schemaOrBool:
      return pick<unknown>([true, false]);
    case names.schemaOrStrings:
      return ["a", "b"];
  }
  const object: Record<string, unknown> = {};
  for (const [, name, type, rule] of messages[message] as readonly Field[]) {
    const nested = type.includes(".");
    const needed = rule === "inline" || rule === "kept" || (rule === undefined && nested);
    // Schemas hold schemas: somewhere it ends.
    if (!needed && (random() < 0.4 || (depth > 6 && nested))) continue;
    const one = (): unknown => arbitrary(type, random, depth + 1);
    if (rule === "inline") Object.assign(object, one());
    else if (rule === "list") object[name] = Array.from({ length: 1 + Math.floor(random() * 3) }, one);
    else if (rule === "map") object[name] = Object.fromEntries(texts.slice(0, 3).map((key) => [key, one()]));
    else object[name] = one();
  }
  return object;
}

const all = Object.keys(kinds).map((name) => name.split(" ") as [string, string]);

describe("protobuf of objects", () => {
  it("has a message for every kind that the program itself knows", () => {
    const missing = builtInKinds().filter(({ resource }) => !encoder.knows(apiVersionOf(resource), resource.kind));
    expect(missing.map(({ resource }) => `${apiVersionOf(resource)} ${resource.kind}`)).toEqual([]);
  });

  it.each(all)("%s %s comes back as it was", (apiVersion, kind) => {
    const random = randomOf(kind.length + 1);
    for (let i = 0; i < 8; i++) {
      const object = {
        ...(arbitrary(kinds[`${apiVersion} ${kind}`] as string, random, 0) as object),
        apiVersion,
        kind,
      };
      expect(roundTrip(object)).toEqual(object);
    }
  });

  it.each(all)("an empty %s %s is what it is after one more turn", (apiVersion, kind) => {
    const once = roundTrip({ apiVersion, kind }) as { apiVersion: string; kind: string };
    expect(roundTrip(once)).toEqual(once);
  });

  it("writes zero values as Go does, and pointers only where they are set", () => {
    // What client-go 0.36 makes of &corev1.ServicePort{Port: 80} in an otherwise empty Service, up to the end of its ports.
    const service = encoder.message("v1", "Service", { metadata: {}, spec: { ports: [{ port: 80 }] } });
    const port = "0a00 1200 1850 2206 0800 1000 1a00 2800".replaceAll(" ", "");
    expect(Buffer.from(service).toString("hex")).toContain(
      `0a${(port.length / 2).toString(16).padStart(2, "0")}${port}`,
    );
    const config = encoder.message("v1", "ConfigMap", { metadata: { name: "a" }, data: { b: "2", a: "1" } });
    const metadata = "0a0161 1200 1a00 2200 2a00 3200 3800 4200".replaceAll(" ", "");
    expect(Buffer.from(config).toString("hex")).toBe(
      `0a${(metadata.length / 2).toString(16).padStart(2, "0")}${metadata}12060a016112013112060a0162120132`,
    );
  });

  it("writes schemas in all places where JSON has something else at times", () => {
    const schema = {
      $ref: "#/a",
      default: [1, null],
      enum: ["a", null, 3],
      items: { type: "string" },
      additionalProperties: { type: "integer", format: "int32" },
      additionalItems: true,
      dependencies: { a: ["b"], c: { type: "object" } },
      "x-kubernetes-preserve-unknown-fields": true,
      maximum: 0.1,
      properties: { a: { items: [{ type: "string" }], additionalProperties: false } },
    };
    const definition = {
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      spec: { versions: [{ name: "v1", served: true, storage: false, schema: { openAPIV3Schema: schema } }] },
    };
    const { spec } = roundTrip(definition) as typeof definition;
    expect(spec.versions[0]?.schema).toEqual({ openAPIV3Schema: schema });
  });

  it("keeps a zero behind a pointer, of a number or of a number or name", () => {
    const spec = { replicas: 0, strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } } };
    expect(roundTrip({ apiVersion: "apps/v1", kind: "Deployment", spec } as never)).toMatchObject({ spec });
  });

  it("cuts times to what Go keeps", () => {
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { creationTimestamp: "2030-01-01T00:00:00.987Z" } };
    expect(roundTrip(pod)).toMatchObject({ metadata: { creationTimestamp: "2030-01-01T00:00:00Z" } });
    const event = { apiVersion: "v1", kind: "Event", eventTime: "2030-01-01T01:00:00.1234567+01:00" };
    expect(roundTrip(event)).toMatchObject({ eventTime: "2030-01-01T00:00:00.123456Z" });
  });

  it("lists what was encoded one by one, in pieces", () => {
    const big = "x".repeat(40_000);
    const items = ["a", "b", "c"].map((name) => ({ metadata: { name }, data: { big } }));
    const encoded = items.map((item) => encoder.message("v1", "ConfigMap", item));
    const parts = [...encoder.list("v1", "ConfigMapList", { resourceVersion: "7", remainingItemCount: 0 }, encoded)];
    expect(parts.length).toBeGreaterThan(1);
    const list = Buffer.concat(parts);
    // The envelope names the length of the message in it.
    const length = list.length - list.indexOf(Buffer.from("ConfigMapList")) - 13 - 4 - 4;
    const { head } = encoder.envelope("v1", "ConfigMapList", length);
    expect(list.subarray(0, head.length)).toEqual(Buffer.from(head));
    expect(list.subarray(0, 4).toString()).toBe("k8s\0");
    expect(list.subarray(-4).toString("hex")).toBe("1a002200");
    for (const one of encoded) expect(list.includes(Buffer.from(one))).toBe(true);
  });

  it("frames the events of a watch", () => {
    const body = Buffer.from("k8s\0body");
    const event = Buffer.from(encoder.event("ADDED", [body.subarray(0, 4), body.subarray(4)]));
    expect(event.readUInt32BE(0)).toBe(event.length - 4);
    expect(event.subarray(4).toString("hex")).toBe(
      `0a05${Buffer.from("ADDED").toString("hex")}120a0a08${body.toString("hex")}`,
    );
  });

  it("says what does not fit, and goes on with the next", () => {
    expect(() => encoder.message("v1", "ConfigMap", { metadata: { name: 5 } })).toThrow("5 is not a string");
    expect(() => encoder.message("v1", "Nothing", {})).toThrow("there is no message for v1 Nothing");
    expect(roundTrip({ apiVersion: "v1", kind: "Namespace" })).toMatchObject({ kind: "Namespace" });
  });
});
