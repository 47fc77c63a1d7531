import {
  applyConfiguration,
  decodePatched,
  isObject,
  isStatus,
  nameOf,
  parseJson,
  parseYaml,
  statusError,
  unknownError,
  type KubeObject,
  type ManagedKind,
  type Resource,
} from "../../kube/index.ts";
import type { ApiRequest } from "../handler.ts";
import { conflict } from "../registry/index.ts";
import type { FieldValidation } from "../request/params.ts";

export const applyType = "application/apply-patch+yaml";

/** A configuration as it was sent, and what is to be said of fields that it gives twice. */
interface Sent {
  readonly config: Readonly<Record<string, unknown>>;
  readonly duplicates: readonly string[];
}

/** Makes of the live object, in the version of the request, the object that the configuration means, with its managed fields. */
export type ApplyFunction = <T extends KubeObject>(live: T | undefined) => Promise<T>;

/** Reads the configuration in an apply request. Throws StatusError BadRequest for a text that is none. */
export async function readApply(
  request: ApiRequest,
  kind: ManagedKind,
  resource: Pick<Resource, "group" | "version" | "kind">,
  options: {
    readonly manager: string;
    readonly force: boolean;
    /** Now, as RFC 3339. */
    readonly now: () => string;
    readonly fieldValidation: FieldValidation;
    readonly warn: (text: string) => void;
  },
): Promise<ApplyFunction> {
  const { config, duplicates } = await readConfiguration(request);
  const { manager, force, now, fieldValidation, warn } = options;
  return async <T extends KubeObject>(live: T | undefined): Promise<T> => {
    const applied = await applyConfiguration(kind, live, { config, manager, force, now: now() });
    for (const duplicate of duplicates) {
      const text = `error converting YAML to JSON: ${duplicate}`;
      if (fieldValidation === "Strict") throw statusError("BadRequest", `error strict decoding patch: ${text}`);
      if (fieldValidation === "Warn") warn(text);
    }
    return canonical(resource, applied, config) as T;
  };
}

/** The merged object in canonical form. */
function canonical(
  resource: Pick<Resource, "group" | "version" | "kind">,
  applied: KubeObject,
  config: Sent["config"],
): KubeObject {
  try {
    return decodePatched(resource, applied, config, { fieldValidation: "Ignore" }).object;
  } catch (error) {
    if (!isStatus(error, "Invalid")) throw error;
    const why = error.status.details?.causes?.[0]?.message ?? error.message;
    throw unknownError(`failed to convert new object (${nameOf(config)}) to proper version: ${why}`);
  }
}

async function readConfiguration({ body }: ApiRequest): Promise<Sent> {
  const { value, duplicates } = body instanceof Uint8Array ? await parse(body) : { value: body, duplicates: [] };
  if (value === undefined || value === null) return { config: {}, duplicates };
  if (isObject(value)) return { config: value, duplicates };
  const type = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  throw undecodable(
    "error unmarshaling JSON: while decoding JSON: json: " +
      `cannot unmarshal ${type} into Go value of type map[string]interface {}`,
  );
}

const openBrace = 0x7b;

async function parse(body: Uint8Array): Promise<{ value: unknown; duplicates: readonly string[] }> {
  if (body[0] === openBrace) {
    try {
      const read = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(body));
      // What is wrong is said in YAML's words.
      if (read.duplicates.length === 0) return read;
    } catch {
      // What begins like JSON may still be YAML.
    }
  }
  try {
    return await parseYaml(body);
  } catch (error) {
    throw undecodable((error as Error).message);
  }
}

function undecodable(text: string): Error {
  return statusError("BadRequest", `error decoding patch: ${text}`);
}

/** A new object made by an apply has the name and the namespace of the URL, and no uid of its own. Throws StatusError. */
export function checkApplied(resource: Resource, object: KubeObject, name: string, namespace: string): void {
  const { metadata } = object;
  if (metadata.uid)
    throw conflict(
      resource,
      name,
      `uid mismatch: the provided object specified uid ${metadata.uid}, and no existing object was found`,
    );
  const given = metadata.namespace ?? "";
  if (resource.namespaced && given !== "" && given !== namespace)
    throw statusError(
      "BadRequest",
      "the namespace of the provided object does not match the namespace sent on the request",
    );
  if (!metadata.name)
    throw statusError(
      "BadRequest",
      `the name of the object (${name} based on URL) was undeterminable: name must be provided`,
    );
  if (metadata.name !== name)
    throw statusError(
      "BadRequest",
      `the name of the object (${metadata.name}) does not match the name on the URL (${name})`,
    );
  delete metadata.resourceVersion;
}
