import {
  applyJsonPatch,
  applyMergePatch,
  applyStrategicPatch,
  decodePatched,
  definitionOf,
  isObject,
  parseJson,
  parseYaml,
  statusError,
  type GroupVersionKind,
  type Resource,
} from "../../kube/index.ts";
import type { ApiRequest } from "../handler.ts";
import { checkMediaType, mediaType } from "../request/body.ts";
import type { FieldValidation } from "../request/params.ts";
import { applyType } from "./apply.ts";

const types = [
  "application/json-patch+json",
  "application/merge-patch+json",
  "application/strategic-merge-patch+json",
  applyType,
];
/** Custom resources say nothing of how their lists are patched. */
const customTypes = types.filter((type) => type !== "application/strategic-merge-patch+json");

/** True for a server-side apply. Throws StatusError UnsupportedMediaType for a kind of patch that `kind` cannot have. */
export function isApply(request: ApiRequest, kind: GroupVersionKind): boolean {
  const type = mediaType(request);
  if (!definitionOf(kind)) checkMediaType(type, customTypes);
  // What upstream's router says.
  else if (!types.includes(type)) throw statusError("UnsupportedMediaType", "415: Unsupported Media Type", {});
  return type === applyType;
}

/** A patch that was read: makes of an object the object that the patch means. Throws StatusError for one that does not apply. */
export type PatchFunction = <T extends object>(kind: Pick<Resource, "group" | "version" | "kind">, object: T) => T;

/** Reads the patch in a request, of a type that `isApply` has let through. Throws StatusError BadRequest for a text that is none. */
export async function readPatch(
  request: ApiRequest,
  fieldValidation: FieldValidation,
  warn: (text: string) => void,
): Promise<PatchFunction> {
  const type = mediaType(request);
  const patch = await parse(request);
  checkForm(type, patch);
  return (kind, object) => {
    const patched = apply(type, kind, object, patch);
    const decoded = decodePatched<typeof object>(
      kind,
      patched,
      type.startsWith("application/strategic") ? patch : patched,
      {
        fieldValidation,
      },
    );
    for (const warning of decoded.warnings) warn(warning);
    return decoded.object;
  };
}

function apply(
  type: string,
  kind: Pick<Resource, "group" | "version" | "kind">,
  object: object,
  patch: unknown,
): unknown {
  switch (type) {
    case "application/json-patch+json":
      return applyJsonPatch(object, patch);
    case "application/merge-patch+json":
      return applyMergePatch(object, patch);
    default:
      return applyStrategicPatch(kind, object, patch);
  }
}

const goNames: Readonly<Record<string, string>> = { boolean: "bool" };

/** A patch of a form that its type can not have, in the words of Go's decoder. A merge of nothing but null is none. */
function checkForm(type: string, patch: unknown): void {
  const refuse = (value: unknown, wanted: string, before = "error decoding patch: "): never => {
    const given = Array.isArray(value) ? "array" : (goNames[typeof value] ?? typeof value);
    throw statusError("BadRequest", `${before}json: cannot unmarshal ${given} into Go value of type ${wanted}`);
  };
  if (type === "application/json-patch+json") {
    if (!Array.isArray(patch)) refuse(patch, "[]handlers.jsonPatchOp");
    for (const item of Array.isArray(patch) ? (patch as unknown[]) : [])
      if (!isObject(item)) refuse(item, "handlers.jsonPatchOp");
  } else if (!isObject(patch) && patch !== null)
    refuse(patch, "map[string]interface {}", type.startsWith("application/strategic") ? "" : undefined);
}

async function parse(request: ApiRequest): Promise<unknown> {
  const { body } = request;
  if (!(body instanceof Uint8Array)) return body;
  if (mediaType(request).endsWith("+yaml")) return (await parseYaml(body)).value;
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(body)).value;
  } catch (error) {
    const before = mediaType(request).startsWith("application/strategic") ? "" : "error decoding patch: ";
    throw statusError("BadRequest", `${before}${(error as Error).message}`);
  }
}
