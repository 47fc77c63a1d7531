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
  readonly encoding: "json" | "yaml";
}

const offered = "application/json, application/yaml";

/** Picks the best form that can be given; throws StatusError NotAcceptable when there is none. */
export function negotiate(header: string | undefined): Wanted {
  for (const { type, parameters } of parseAccept(header)) {
    const encoding = encodings[type];
    if (!encoding) continue;
    const { as, v, g } = parameters;
    if (as === undefined) return { as: "object", encoding };
    if (g !== "meta.k8s.io" || v !== "v1") continue;
    if (as === "Table" || as === "PartialObjectMetadata" || as === "PartialObjectMetadataList") return { as, encoding };
  }
  throw statusError("NotAcceptable", `only the following media types are accepted: ${offered}`);
}

const encodings: Readonly<Record<string, Wanted["encoding"]>> = {
  "*/*": "json",
  "application/*": "json",
  "application/json": "json",
  "application/yaml": "yaml",
};
