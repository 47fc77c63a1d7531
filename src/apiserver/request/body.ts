import { decode, invalid, parseJson, parseYaml, statusError, type GroupVersionKind } from "../../kube/index.ts";
import type { ApiRequest } from "../handler.ts";
import type { DeletionOptions } from "../registry/index.ts";
import { writeQuery, type FieldValidation } from "./params.ts";

/** The media type of a body: without parameters, lower case. Absent: JSON. */
export function mediaType(request: ApiRequest): string {
  return (request.headers["content-type"] ?? "application/json").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

const accepted = ["application/json", "application/yaml"];

/** Throws StatusError UnsupportedMediaType unless `type` is one of `types`. */
export function checkMediaType(type: string, types: readonly string[]): void {
  if (!types.includes(type))
    throw statusError(
      "UnsupportedMediaType",
      `the body of the request was in an unknown format - accepted media types include: ${types.join(", ")}`,
    );
}

/** The value in a body, JSON or YAML, and the fields that were given twice. */
async function parseBody(request: ApiRequest): Promise<{ body: Uint8Array | object; duplicates?: readonly string[] }> {
  const { body } = request;
  if (!(body instanceof Uint8Array)) return { body: body ?? new Uint8Array() };
  const type = mediaType(request);
  checkMediaType(type, accepted);
  if (type !== "application/yaml") return { body };
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
  const { body, duplicates = [] } = await parseBody(request);
  const { object, warnings } = decode<T>(kind, body, { fieldValidation, duplicates });
  for (const warning of warnings) warn(warning);
  return object;
}

/** Reads DeleteOptions from the body or, without one, from the query. */
export async function readDeletion(request: ApiRequest): Promise<DeletionOptions & { readonly dryRun: boolean }> {
  const { body } = await parseBody(request);
  const empty = body instanceof Uint8Array && body.length === 0;
  const given = empty ? fromQuery(request.query) : await fromBody(body);
  const { dryRun } = writeQuery(
    new URLSearchParams((given.dryRun ?? []).map((value): [string, string] => ["dryRun", value])),
    "DeleteOptions",
  );
  const refuse = (field: string, value: unknown, detail: string, type: "Invalid" | "NotSupported" = "Invalid"): never => {
    throw invalid({ group: "meta.k8s.io", kind: "DeleteOptions" }, "", [{ type, field, value, detail }]);
  };
  const { propagationPolicy, orphanDependents, gracePeriodSeconds, preconditions } = given;
  if (propagationPolicy !== undefined && orphanDependents !== undefined)
    refuse("propagationPolicy", propagationPolicy, "orphanDependents and deletionPropagation cannot be both set");
  if (propagationPolicy !== undefined && !isPolicy(propagationPolicy))
    return refuse("propagationPolicy", propagationPolicy, 'supported values: "Background", "Foreground", "Orphan"', "NotSupported");
  const fromOrphan = orphanDependents === undefined ? undefined : orphanDependents ? "Orphan" : "Background";
  return { dryRun, gracePeriodSeconds, preconditions, propagationPolicy: propagationPolicy ?? fromOrphan };
}

const isPolicy = (value: string): value is "Orphan" | "Background" | "Foreground" =>
  value === "Orphan" || value === "Background" || value === "Foreground";

interface GivenOptions {
  gracePeriodSeconds?: number | undefined;
  propagationPolicy?: string | undefined;
  orphanDependents?: boolean | undefined;
  preconditions?: { uid?: string; resourceVersion?: string } | undefined;
  dryRun?: string[] | undefined;
}

async function fromBody(body: Uint8Array | object): Promise<GivenOptions> {
  const value = body instanceof Uint8Array ? parse(body) : body;
  // Clients send these options under the group of the object they delete: the group says nothing.
  const { apiVersion: _version, ...rest } = value as Record<string, unknown>;
  return decode<GivenOptions>({ group: "", version: "v1", kind: "DeleteOptions" }, rest).object;
}

function parse(body: Uint8Array): unknown {
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(body)).value;
  } catch (error) {
    throw statusError("BadRequest", `couldn't get version/kind; json parse error: ${(error as Error).message}`);
  }
}

function fromQuery(query: URLSearchParams): GivenOptions {
  const seconds = query.get("gracePeriodSeconds");
  if (seconds !== null && !/^-?\d{1,15}$/.test(seconds))
    throw statusError("BadRequest", `strconv.ParseInt: parsing ${JSON.stringify(seconds)}: invalid syntax`);
  const orphan = query.get("orphanDependents");
  return {
    gracePeriodSeconds: seconds === null ? undefined : Number(seconds),
    propagationPolicy: query.get("propagationPolicy") ?? undefined,
    orphanDependents: orphan === null ? undefined : orphan === "true",
    dryRun: query.getAll("dryRun"),
  };
}
