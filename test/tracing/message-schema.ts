/**
 * What a message of spans may be: `ExportTraceServiceRequest` of opentelemetry-proto 1.x in OTLP's mapping to JSON. That differs from the
 * usual mapping of protocol buffers: ids are in hexadecimal, and enumerations are numbers.
 */
type Kind =
  | { readonly list: string }
  | { readonly message: string }
  | { readonly test: (value: unknown) => boolean; readonly is: string };

const text: Kind = { test: (value) => typeof value === "string", is: "a text" };
const hex = (digits: number): Kind => ({
  test: (value) => typeof value === "string" && value.length === digits && /^[0-9a-f]*[1-9a-f][0-9a-f]*$/.test(value),
  is: `${digits} hexadecimal digits`,
});
const whole = (most: bigint): Kind => ({
  test: (value) => Number.isInteger(value) && Number(value) >= 0 && BigInt(Number(value)) <= most,
  is: "a whole number",
});
/** 64 bits are a text: a number of JSON is none of so many digits. */
const long: Kind = {
  test: (value) => typeof value === "string" && /^(0|-?[1-9]\d{0,18})$/.test(value),
  is: "a text of digits",
};
const word = whole(0xffff_ffffn);

const messages: Readonly<Record<string, Readonly<Record<string, Kind>>>> = {
  ExportTraceServiceRequest: { resourceSpans: { list: "ResourceSpans" } },
  ResourceSpans: { resource: { message: "Resource" }, scopeSpans: { list: "ScopeSpans" }, schemaUrl: text },
  Resource: { attributes: { list: "KeyValue" }, droppedAttributesCount: word },
  ScopeSpans: { scope: { message: "InstrumentationScope" }, spans: { list: "Span" }, schemaUrl: text },
  InstrumentationScope: { name: text, version: text, attributes: { list: "KeyValue" }, droppedAttributesCount: word },
  KeyValue: { key: text, value: { message: "AnyValue" } },
  AnyValue: { stringValue: text, intValue: long },
  Span: {
    traceId: hex(32),
    spanId: hex(16),
    traceState: text,
    parentSpanId: hex(16),
    flags: whole(0x3ffn),
    name: text,
    kind: whole(5n),
    startTimeUnixNano: long,
    endTimeUnixNano: long,
    attributes: { list: "KeyValue" },
    status: { message: "Status" },
  },
  Status: { message: text, code: whole(2n) },
};

/** Everything that is wrong with a message, each with its place. */
export function faultsOf(value: unknown, message = "ExportTraceServiceRequest", place = "$"): string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [`${place} is no ${message}`];
  const fields = messages[message] ?? {};
  return [
    ...Object.entries(value).flatMap(([name, each]: [string, unknown]) => {
      const kind = fields[name];
      const at = `${place}.${name}`;
      if (!kind) return [`${at} is no field of ${message}`];
      if ("message" in kind) return faultsOf(each, kind.message, at);
      if ("test" in kind) return kind.test(each) ? [] : [`${at} is not ${kind.is}: ${JSON.stringify(each)}`];
      if (!Array.isArray(each)) return [`${at} is no list`];
      return each.flatMap((one, index) => faultsOf(one, kind.list, `${at}[${index}]`));
    }),
    ...(message === "AnyValue" && Object.keys(value).length !== 1 ? [`${place} has not one value`] : []),
    ...(message === "Span" ? faultsOfSpan(value as Readonly<Record<string, unknown>>, place) : []),
  ];
}

/** What no type says. */
function faultsOfSpan(span: Readonly<Record<string, unknown>>, place: string): string[] {
  const missing = ["traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano"].filter(
    (name) => span[name] === undefined,
  );
  const keys = (span["attributes"] as readonly { readonly key?: string }[]).map(({ key }) => key);
  return [
    ...missing.map((name) => `${place} has no ${name}`),
    ...(BigInt(String(span["endTimeUnixNano"])) < BigInt(String(span["startTimeUnixNano"]))
      ? [`${place} ends before it begins`]
      : []),
    ...(new Set(keys).size < keys.length ? [`${place} says something twice`] : []),
  ];
}
