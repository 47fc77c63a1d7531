import { describe, expect, it } from "vitest";
import { decodeProtobuf } from "./decode.ts";

/** Just enough of an encoder to write by hand what clients send. */
const varint = (value: number | bigint): number[] => {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest)];
};
const int = (field: number, value: number | bigint): number[] => [...varint(field << 3), ...varint(value)];
const bytes = (field: number, value: readonly number[]): number[] => [
  ...varint((field << 3) | 2),
  ...varint(value.length),
  ...value,
];
const text = (field: number, value: string): number[] => bytes(field, [...Buffer.from(value)]);
const pair = (field: number, key: string, value: string): number[] =>
  bytes(field, [...text(1, key), ...text(2, value)]);

function body(apiVersion: string, kind: string, raw: readonly number[]): Uint8Array {
  const typeMeta = [...text(1, apiVersion), ...text(2, kind)];
  return Buffer.from([
    ...Buffer.from("k8s\0"),
    ...bytes(1, typeMeta),
    ...bytes(2, raw),
    ...text(3, ""),
    ...text(4, ""),
  ]);
}

describe("protobuf", () => {
  it("is read as the JSON it means", () => {
    const metadata = bytes(1, [
      ...text(1, "cfg"),
      ...text(2, ""), // Not set, as Go's encoder writes it.
      ...int(7, 0),
      ...bytes(8, [...int(1, 1893456000), ...int(2, 0)]),
      ...pair(11, "app", "wéb"),
      ...text(14, "a.example/hold"),
    ]);
    const raw = [
      ...metadata,
      ...pair(2, "a", "1"),
      ...pair(2, "b", ""),
      ...bytes(3, [...text(1, "bin"), ...bytes(2, [0, 255])]),
      ...int(4, 0),
    ];
    expect(decodeProtobuf(body("v1", "ConfigMap", raw))).toEqual({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: {
        name: "cfg",
        creationTimestamp: "2030-01-01T00:00:00Z",
        labels: { app: "wéb" },
        finalizers: ["a.example/hold"],
      },
      data: { a: "1", b: "" },
      binaryData: { bin: "AP8=" },
      immutable: false,
    });
  });

  it("keeps a zero that is meant, and drops one that is not", () => {
    // DeploymentSpec: replicas is a pointer, minReadySeconds is not.
    const raw = bytes(2, [...int(1, 0), ...int(5, 0)]);
    expect(decodeProtobuf(body("apps/v1", "Deployment", raw))["spec"]).toEqual({ replicas: 0 });
  });

  it("reads numbers or names, and negative numbers", () => {
    const port = (target: number[]): number[] => bytes(1, [...int(3, 80), ...bytes(4, target), ...int(5, 0)]);
    const raw = bytes(2, [
      ...port([...int(1, 0), ...int(2, 8080), ...text(3, "")]),
      ...port([...int(1, 1), ...int(2, 0), ...text(3, "http")]),
    ]);
    expect(decodeProtobuf(body("v1", "Service", raw))["spec"]).toEqual({
      ports: [
        { port: 80, targetPort: 8080 },
        { port: 80, targetPort: "http" },
      ],
    });
    expect(decodeProtobuf(body("apps/v1", "Deployment", bytes(2, int(1, -1))))["spec"]).toEqual({ replicas: -1 });
  });

  it("reads times to the microsecond, and options under any group", () => {
    const time = [...int(1, 1893456000), ...int(2, 5_000_000)];
    const lease = decodeProtobuf(
      body("coordination.k8s.io/v1", "Lease", bytes(2, [...text(1, "me"), ...bytes(4, time)])),
    );
    expect(lease["spec"]).toEqual({ holderIdentity: "me", renewTime: "2030-01-01T00:00:00.005000Z" });
    expect(decodeProtobuf(body("apps/v1", "DeleteOptions", int(1, 0)))).toMatchObject({ gracePeriodSeconds: 0 });
  });

  it("puts embedded fields where JSON has them", () => {
    const volume = [...text(1, "v"), ...bytes(2, bytes(19, bytes(1, text(1, "cfg"))))];
    const raw = bytes(2, bytes(1, volume));
    expect(decodeProtobuf(body("v1", "Pod", raw))["spec"]).toEqual({
      volumes: [{ name: "v", configMap: { name: "cfg" } }],
    });
  });

  it("reads schemas with their names in JSON, and what is a schema or something else", () => {
    const schema = [
      ...text(3, "#/a"),
      ...bytes(8, text(1, "[1]")),
      ...bytes(24, bytes(1, text(5, "string"))),
      ...bytes(30, int(1, 1)),
      ...int(38, 1),
    ];
    const version = [...text(1, "v1"), ...bytes(4, bytes(1, schema))];
    const { spec } = decodeProtobuf(
      body("apiextensions.k8s.io/v1", "CustomResourceDefinition", bytes(2, bytes(7, version))),
    );
    expect(spec).toEqual({
      versions: [
        {
          name: "v1",
          schema: {
            openAPIV3Schema: {
              $ref: "#/a",
              default: [1],
              items: { type: "string" },
              additionalProperties: true,
              "x-kubernetes-preserve-unknown-fields": true,
            },
          },
        },
      ],
    });
  });

  it("passes over fields that it does not know", () => {
    const raw = [
      ...bytes(1, text(1, "cfg")),
      ...int(900, 5),
      ...text(901, "x"),
      ...varint((902 << 3) | 1),
      1,
      2,
      3,
      4,
      5,
      6,
      7,
      8,
      ...varint((903 << 3) | 5),
      1,
      2,
      3,
      4,
    ];
    expect(decodeProtobuf(body("v1", "ConfigMap", raw))).toMatchObject({ metadata: { name: "cfg" } });
  });

  it("does not let a key reach beyond its map", () => {
    const decoded = decodeProtobuf(body("v1", "ConfigMap", pair(2, "__proto__", "x")));
    expect(Object.keys(decoded["data"] as object)).toEqual(["__proto__"]);
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["JSON", Buffer.from("{}"), /does not appear to be a protobuf message, expected prefix \[107 56 115 0\] \(7b7d\)/],
    ["a kind that is not known", body("v1", "Nothing", []), /no kind "Nothing" of version "v1"/],
    ["what ends too early", body("v1", "ConfigMap", [10, 200]), /unexpected end/],
    ["a text that is not UTF-8", body("v1", "ConfigMap", bytes(1, bytes(1, [0xff, 0xfe]))), /not UTF-8/],
    ["a field of the wrong type", body("v1", "ConfigMap", bytes(1, int(1, 5))), /wrong type/],
    ["an integer that is too large", body("apps/v1", "Deployment", bytes(2, int(1, 2n ** 62n))), /too large/],
    ["an integer without end", body("v1", "ConfigMap", Array(30).fill(0xff)), /too long/],
  ])("refuses %s", (_name, given, message) => {
    expect(() => decodeProtobuf(given)).toThrow(message);
  });
});
