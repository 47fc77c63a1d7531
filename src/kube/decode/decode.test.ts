import { describe, expect, it } from "vitest";
import { resources } from "../resource.ts";
import { StatusError } from "../status.ts";
import { decode, decodePatched, type DecodeOptions } from "./decode.ts";
import { parseYaml } from "./yaml.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const messageOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof StatusError) return `${error.code} ${error.status.message}`;
    throw error;
  }
  return "no error";
};
const failure = (body: string | object, options: DecodeOptions = {}, kind = resources.Service) =>
  messageOf(() => decode(kind, typeof body === "string" ? bytes(body) : body, options));

const unrecognized =
  "400 the object provided is unrecognized (must be of type Service): couldn't get version/kind; json parse error: ";
const handled = 'Service in version "v1" cannot be handled as a Service: ';

describe("bodies that are no objects", () => {
  it.each([
    ["", `${unrecognized}unexpected end of JSON input (<empty>)`],
    ['{"kind":"Service"', `${unrecognized}unexpected end of JSON input ({"kind":"Service")`],
    ['{"kind":}', `${unrecognized}invalid character '}' looking for beginning of value ({"kind":})`],
    ["nope", `${unrecognized}invalid character 'o' in literal null (expecting 'u') (6e6f7065)`],
    ['{"a":1} x', `${unrecognized}invalid character 'x' after top-level value ({"a":1} x)`],
    ['{"a":"\u0001"}', `${unrecognized}invalid character '\\x01' in string literal ({"a":"\u0001"})`],
    [
      "[]",
      `${unrecognized}json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" } (5b5d)`,
    ],
    [
      '{"kind":7}',
      `${unrecognized}json: cannot unmarshal number into Go struct field .kind of type string ({"kind":7})`,
    ],
  ])("%s", (body, expected) => {
    expect(failure(body)).toBe(expected);
  });

  it("invalid UTF-8", () => {
    const body = new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]);
    expect(messageOf(() => decode(resources.Service, body))).toContain(`${unrecognized}invalid UTF-8`);
  });

  it("shows only the beginning of a long body", () => {
    expect(failure(`{"a":"${"x".repeat(100)}`)).toContain(`({"a":"${"x".repeat(24)} ...)`);
  });
});

describe("objects of another kind", () => {
  it.each([
    [
      { apiVersion: "v1", kind: "Pod" },
      '400 Pod in version "v1" cannot be handled as a Service: converting (v1.Pod) to (core.Service): unknown conversion',
    ],
    [
      { apiVersion: "v1", kind: "Foo" },
      '400 Foo in version "v1" cannot be handled as a Service: no kind "Foo" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30"',
    ],
    [
      { apiVersion: "apps/v2", kind: "Service" },
      '400 Service in version "v2" cannot be handled as a Service: no kind "Service" is registered for version "apps/v2" in scheme "pkg/api/legacyscheme/scheme.go:30"',
    ],
  ])("%j", (body, expected) => {
    expect(failure(body)).toBe(expected);
  });

  it("of another version of the same kind", () => {
    const event = { apiVersion: "events.k8s.io/v1", kind: "Event" };
    expect(failure(event, {}, resources.Event as never)).toBe(
      "400 the API version in the data (events.k8s.io/v1) does not match the expected API version (v1)",
    );
  });
});

describe("values of a wrong type", () => {
  const port = "json: cannot unmarshal";
  it.each([
    [
      { spec: { ports: [{ port: "80" }] } },
      `${port} string into Go struct field ServicePort.spec.ports.port of type int32`,
    ],
    [
      { spec: { ports: [{ port: 1.5 }] } },
      `${port} number 1.5 into Go struct field ServicePort.spec.ports.port of type int32`,
    ],
    [
      { spec: { ports: [{ port: 3e9 }] } },
      `${port} number 3000000000 into Go struct field ServicePort.spec.ports.port of type int32`,
    ],
    [{ spec: { ports: {} } }, `${port} object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort`],
    [{ spec: { ports: ["x"] } }, `${port} string into Go struct field ServiceSpec.spec.ports of type v1.ServicePort`],
    [{ spec: "x" }, `${port} string into Go struct field Service.spec of type v1.ServiceSpec`],
    [
      { spec: { publishNotReadyAddresses: "yes" } },
      `${port} string into Go struct field ServiceSpec.spec.publishNotReadyAddresses of type bool`,
    ],
    [
      { metadata: { labels: { a: 1 } } },
      `${port} number into Go struct field ObjectMeta.metadata.labels of type string`,
    ],
    [
      { metadata: { labels: [] } },
      `${port} array into Go struct field ObjectMeta.metadata.labels of type map[string]string`,
    ],
    [{ spec: { ports: [{ targetPort: true }] } }, `${port} bool into Go value of type int32`],
    [
      { metadata: { creationTimestamp: "soon" } },
      'parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006"',
    ],
  ])("%j", (body, expected) => {
    expect(failure(body)).toBe(`400 ${handled}${expected}`);
  });

  it("a quantity that is none", () => {
    const body = { spec: { containers: [{ name: "a", resources: { limits: { cpu: "lots" } } }] } };
    expect(failure(body, {}, resources.Pod as never)).toBe(
      "400 Pod in version \"v1\" cannot be handled as a Pod: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    );
  });

  it.each([
    ["a", 0],
    ["YWJj!", 4],
    ["YWJjZ", 4],
  ])("base64 that is none: %s", (text, at) => {
    expect(failure({ data: { a: text } }, {}, resources.Secret as never)).toBe(
      `400 Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte ${at}`,
    );
  });

  it("nesting without end in a free-form field", () => {
    const deep = `${'{"a":'.repeat(600)}1${"}".repeat(600)}`;
    expect(failure(`{"metadata":{"managedFields":[{"fieldsV1":${deep}}]}}`)).toBe(`400 ${handled}exceeded max depth`);
  });
});

describe("unknown and repeated fields", () => {
  const body =
    '{"spec":{"foo":1,"ports":[{"port":80,"bar":2}],"type":"NodePort","type":"ClusterIP"},"metadata":{"labels":{"a":"b","a":"c"}}}';
  const found = [
    'unknown field "spec.foo"',
    'unknown field "spec.ports[0].bar"',
    'duplicate field "spec.type"',
    'duplicate field "metadata.labels.a"',
  ];

  it("Strict refuses them", () => {
    expect(failure(body, { fieldValidation: "Strict" })).toBe(
      `400 ${handled}strict decoding error: ${found.join(", ")}`,
    );
  });

  it("Warn names them", () => {
    expect(decode(resources.Service, bytes(body), { fieldValidation: "Warn" }).warnings).toEqual(found);
  });

  it("Ignore drops them; of a repeated field the last one counts", () => {
    expect(decode(resources.Service, bytes(body))).toEqual({
      warnings: [],
      object: {
        apiVersion: "v1",
        kind: "Service",
        metadata: { labels: { a: "c" } },
        spec: { ports: [{ port: 80, targetPort: 0 }], type: "ClusterIP" },
        status: { loadBalancer: {} },
      },
    });
  });
});

describe("what is stored", () => {
  const stored = (kind: { group: string; version: string; kind: string }, value: object) =>
    decode<Record<string, unknown>>(kind, value).object;

  it("has canonical times and quantities, and no nulls and empty lists", () => {
    const value = {
      metadata: { name: "a", labels: null, annotations: {}, creationTimestamp: "2030-01-01T02:00:00.9+02:00" },
      spec: {
        containers: [{ name: "a", args: [], resources: { limits: { cpu: 0.5, memory: "1024Mi" } } }],
        volumes: null,
      },
    };
    expect(stored(resources.Pod, value)).toEqual({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "a", creationTimestamp: "2030-01-01T00:00:00Z" },
      spec: { containers: [{ name: "a", resources: { limits: { cpu: "500m", memory: "1Gi" } } }] },
      status: {},
    });
  });

  it("keeps microseconds where the field has them", () => {
    const { spec } = stored(resources.Lease, { spec: { renewTime: "2030-01-01T00:00:00.123456789Z" } });
    expect(spec).toEqual({ renewTime: "2030-01-01T00:00:00.123456Z" });
  });

  it("has the zero of a field that Go always writes", () => {
    expect(stored(resources.Service, { spec: { ports: [{ name: "a" }] } })["spec"]).toEqual({
      ports: [{ name: "a", port: 0, targetPort: 0 }],
    });
    expect(stored(resources.Event, { eventTime: null })).toMatchObject({ eventTime: null, source: {} });
    expect(stored(resources.Deployment, { spec: { replicas: 0 } })["spec"]).toEqual({
      replicas: 0,
      strategy: {},
      template: { metadata: {}, spec: { containers: [] } },
    });
  });

  it("has no zero where Go leaves it out", () => {
    const value = {
      hostNetwork: false,
      nodeName: "",
      automountServiceAccountToken: false,
      priority: 0,
      containers: [],
    };
    expect(stored(resources.Pod, { spec: value })["spec"]).toEqual({
      automountServiceAccountToken: false,
      priority: 0,
      containers: [],
    });
  });

  it("refuses integers that would not be kept exactly", () => {
    expect(() => stored(resources.Pod, { spec: { activeDeadlineSeconds: 2 ** 60 } })).toThrow(
      "of type int64: integers are held up to 9007199254740991 here",
    );
  });

  it("makes an empty text of a null in a map or list, and nothing at all of a quantity", () => {
    expect(stored(resources.ConfigMap, { data: { a: null } })["data"]).toEqual({ a: "" });
    const containers = [{ name: "c", image: "i", resources: { limits: { cpu: null } } }];
    expect(stored(resources.Pod, { spec: { containers } })).toMatchObject({
      spec: { containers: [{ resources: { limits: { cpu: "0" } } }] },
    });
  });

  it("does not share with the input, nor change it", () => {
    const value = { metadata: { labels: { a: "b" } }, spec: { ports: [{ port: 80 }] } };
    const before = structuredClone(value);
    const object = stored(resources.Service, value);
    (object["metadata"] as { labels: Record<string, string> }).labels["a"] = "changed";
    expect(value).toEqual(before);
  });

  it("takes __proto__ as a key like any other", () => {
    const object = decode<{ data: object }>(resources.ConfigMap, bytes('{"data":{"__proto__":"x"}}')).object;
    expect(Object.keys(object.data)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(object.data)).toBe(Object.prototype);
  });
});

describe("YAML", () => {
  it("is read like JSON, with the keys that were given twice", async () => {
    const text = "spec:\n  type: NodePort\n  type: ClusterIP\n  ports:\n  - port: 80\n";
    const { value, duplicates } = await parseYaml(bytes(text));
    const { object, warnings } = decode(resources.Service, value as object, { duplicates, fieldValidation: "Warn" });
    expect(object).toMatchObject({ spec: { type: "ClusterIP", ports: [{ port: 80 }] } });
    expect(warnings).toEqual(['yaml: unmarshal errors:\n  line 3: key "type" already set in map']);
  });

  it.each([
    ["2030-01-01", "2030-01-01"],
    ["2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"],
    ["12:30", "12:30"],
    ["0644", 0o644],
    ["yes", true],
    ["1.5", 1.5],
    ["~", null],
    ['"80"', "80"],
  ])("%s is %j", async (text, expected) => {
    expect((await parseYaml(bytes(`a: ${text}`))).value).toEqual({ a: expected });
  });

  it.each(["a: [", "a: *b", "- a\n---\n- b"])("refuses %j", async (text) => {
    await expect(parseYaml(bytes(text))).rejects.toMatchObject({ code: 400 });
  });

  it("does not let aliases multiply a small text into a huge object", async () => {
    const lines = Array.from(
      { length: 12 },
      (_, i) =>
        `a${i}: &a${i} [${
          i === 0
            ? "x"
            : Array(9)
                .fill(`*a${i - 1}`)
                .join(",")
        }]`,
    );
    await expect(parseYaml(bytes(lines.join("\n")))).rejects.toMatchObject({ code: 400 });
  });
});

describe("what a patch made", () => {
  const patch = { spec: { foo: 1 } };
  const failureOf = (patched: unknown) =>
    messageOf(() => decodePatched(resources.Service, patched, patch, { fieldValidation: "Strict" }));

  it.each([
    [{ spec: { foo: 1 } }, 'strict decoding error: unknown field "spec.foo"'],
    [
      { spec: { ports: "x" } },
      "json: cannot unmarshal string into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort",
    ],
    ["text", "json: cannot unmarshal string into Go value of type v1.Service"],
  ])("%j is the fault of the patch", (patched, expected) => {
    expect(failureOf(patched)).toBe(
      `422  "" is invalid: patch: Invalid value: "{\\"spec\\":{\\"foo\\":1}}": ${expected}`,
    );
  });

  it("is an object like any other", () => {
    const { object } = decodePatched(resources.Service, { spec: { type: "NodePort" } }, patch);
    expect(object).toMatchObject({ apiVersion: "v1", kind: "Service", spec: { type: "NodePort" } });
  });
});
