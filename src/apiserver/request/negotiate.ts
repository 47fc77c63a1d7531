import { statusError } from "../../kube/index.ts";

/** One entry of an Accept header: a media type and its parameters, lower-case names. */
export interface MediaType {
  readonly type: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly quality: number;
}

/** The entries of an Accept header, best first (RFC 9110 section 12.5.1). */
export function parseAccept(header: string | undefined): MediaType[] {
  if (!header?.trim()) return [{ type: "*/*", parameters: {}, quality: 1 }];
  const types = header.split(",").map((entry) => {
    const [type = "", ...rest] = entry.split(";").map((part) => part.trim());
    const parameters: Record<string, string> = {};
    for (const parameter of rest) {
      const equals = parameter.indexOf("=");
      if (equals > 0) parameters[parameter.slice(0, equals).trim().toLowerCase()] = parameter.slice(equals + 1).trim();
    }
    const quality = Number(parameters["q"] ?? 1);
    return { type: type.toLowerCase(), parameters, quality: Number.isFinite(quality) ? quality : 1 };
  });
  return types.filter(({ quality }) => quality > 0).sort((a, b) => b.quality - a.quality);
}

/** What a client wants objects as. YAML is JSON to everything but the last step. */
export interface Wanted {
  readonly as: "object" | "Table" | "PartialObjectMetadata" | "PartialObjectMetadataList";
  readonly encoding: "json" | "yaml" | "protobuf";
}

export const protobufType = "application/vnd.kubernetes.protobuf";
const offered = `application/json, application/yaml, ${protobufType}`;

/**
 * Picks the best form that can be given; throws StatusError NotAcceptable when there is none. `messages`: there are protobuf messages of
 * the objects themselves, as custom resources have none. Tables have none either; metadata always has. `tables`: there are tables, as
 * there are of everything but what is answered and not stored.
 */
export function negotiate(header: string | undefined, messages = true, tables = true): Wanted {
  for (const { type, parameters } of parseAccept(header)) {
    const encoding = encodings.get(type);
    if (!encoding) continue;
    const { as, v, g } = parameters;
    if (as === undefined) {
      if (encoding !== "protobuf" || messages) return { as: "object", encoding };
      continue;
    }
    if (g !== "meta.k8s.io" || v !== "v1") continue;
    if (as === "Table" && (encoding === "protobuf" || !tables)) continue;
    if (as === "Table" || as === "PartialObjectMetadata" || as === "PartialObjectMetadataList") return { as, encoding };
  }
  throw messages
    ? statusError("NotAcceptable", `406: Not Acceptable\n\nAvailable representations: ${offered}`, {})
    : // Custom resources do not come to upstream's router.
      statusError("NotAcceptable", `only the following media types are accepted: ${offered}`);
}

const encodings: ReadonlyMap<string, Wanted["encoding"]> = new Map([
  ["*/*", "json"],
  ["application/*", "json"],
  ["application/json", "json"],
  ["application/yaml", "yaml"],
  [protobufType, "protobuf"],
]);

/** Whether an answer that is no form of an object, such as a Status, is best given in protobuf. */
export function prefersProtobuf(header: string | undefined): boolean {
  if (!header?.includes(protobufType)) return false;
  const best = parseAccept(header).find(
    ({ type, parameters }) => encodings.has(type) && parameters["as"] === undefined,
  );
  return best !== undefined && encodings.get(best.type) === "protobuf";
}
