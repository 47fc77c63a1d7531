import { decode, parseYaml, statusError, type GroupVersionKind, type StatusError } from "../../kube/index.ts";
import type { ApiRequest } from "../handler.ts";
import { protobufType } from "./negotiate.ts";
import type { FieldValidation } from "./params.ts";

/** Bytes of a body at most, as upstream's `MaxRequestBodyBytes`. */
export const bodyLimit = 3 << 20;

export const bodyTooLarge = (): StatusError =>
  statusError("RequestEntityTooLarge", `Request entity too large: limit is ${bodyLimit}`);

/** The media type of a body: without parameters, lower case. Absent: JSON. */
export function mediaType(request: ApiRequest): string {
  return (request.headers["content-type"] || "application/json").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

const accepted = ["application/json", "application/yaml", protobufType];

/** Throws StatusError UnsupportedMediaType unless `type` is one of `types`. */
export function checkMediaType(type: string, types: readonly string[]): void {
  if (!types.includes(type))
    throw statusError(
      "UnsupportedMediaType",
      `the body of the request was in an unknown format - accepted media types include: ${types.join(", ")}`,
    );
}

/** What is in a body: JSON as it came, YAML and protobuf as the value they mean; and the fields that were given twice. */
export async function parseBody(
  request: ApiRequest,
  expected?: string,
): Promise<{ body: Uint8Array | object; duplicates?: readonly string[] }> {
  const { body } = request;
  if (!(body instanceof Uint8Array)) return { body: body ?? new Uint8Array() };
  const type = mediaType(request);
  checkMediaType(type, accepted);
  if (type === "application/json") return { body };
  if (type === protobufType) {
    // The tables of messages are loaded when the first such body comes.
    if (body.length === 0) return { body };
    const { decodeProtobuf } = await import("../protobuf/decode.ts");
    return { body: decodeProtobuf(body, expected) };
  }
  const parsed = await parseYaml(body);
  return { body: parsed.value as object, duplicates: parsed.duplicates };
}

/** Reads an object of a kind from a request. Throws StatusError BadRequest. */
export async function readObject<T>(
  request: ApiRequest,
  kind: GroupVersionKind,
  fieldValidation: FieldValidation,
  warn: (text: string) => void,
): Promise<T> {
  const { body, duplicates = [] } = await parseBody(request, kind.kind);
  const { object, warnings } = decode<T>(kind, body, { fieldValidation, duplicates });
  for (const warning of warnings) warn(warning);
  return object;
}
