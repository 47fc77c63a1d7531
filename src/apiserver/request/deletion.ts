import { invalid, isObject, parseJson, statusError } from "../../kube/index.ts";
import type { ApiRequest } from "../handler.ts";
import type { DeletionOptions } from "../registry/index.ts";
import { parseBody } from "./body.ts";
import { writeQuery } from "./params.ts";
import { isTrue } from "./request-info.ts";

interface Given {
  gracePeriodSeconds?: number | undefined;
  propagationPolicy?: string | undefined;
  orphanDependents?: boolean | undefined;
  preconditions?: { uid?: string; resourceVersion?: string } | undefined;
  dryRun?: readonly string[] | undefined;
}

/** Reads DeleteOptions from the body or, without one, from the query. Throws StatusError BadRequest or Invalid. */
export async function readDeletion(request: ApiRequest): Promise<DeletionOptions & { readonly dryRun: boolean }> {
  const { body } = await parseBody(request);
  const empty = body instanceof Uint8Array && body.length === 0;
  const given = empty ? fromQuery(request.query) : fromBody(body instanceof Uint8Array ? parse(body) : body);
  const { dryRun } = writeQuery(
    new URLSearchParams((given.dryRun ?? []).map((value): [string, string] => ["dryRun", value])),
    "DeleteOptions",
  );
  const { gracePeriodSeconds, preconditions } = given;
  return { dryRun, gracePeriodSeconds, preconditions, propagationPolicy: policyOf(given) };
}

const policies = ["Foreground", "Background", "Orphan"] as const;

function policyOf({ propagationPolicy, orphanDependents }: Given): DeletionOptions["propagationPolicy"] {
  const refuse = (type: "Invalid" | "NotSupported", detail: string): never => {
    throw invalid({ group: "meta.k8s.io", kind: "DeleteOptions" }, "", [
      { type, field: "propagationPolicy", value: propagationPolicy, detail },
    ]);
  };
  if (propagationPolicy === undefined || propagationPolicy === "")
    return orphanDependents === undefined ? undefined : orphanDependents ? "Orphan" : "Background";
  if (orphanDependents !== undefined) refuse("Invalid", "orphanDependents and deletionPropagation cannot be both set");
  const policy = policies.find((one) => one === propagationPolicy);
  return (
    policy ??
    refuse("NotSupported", `supported values: ${[...policies, "nil"].map((one) => JSON.stringify(one)).join(", ")}`)
  );
}

function parse(body: Uint8Array): unknown {
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(body)).value;
  } catch (error) {
    throw statusError("BadRequest", `couldn't get version/kind; json parse error: ${(error as Error).message}`);
  }
}

/** Clients send these options under the group of what they delete, so only the fields count. */
function fromBody(value: unknown): Given {
  const wrong = (field: string, wanted: string): never => {
    throw statusError("BadRequest", `DeleteOptions cannot be read: ${field} must be ${wanted}`);
  };
  if (!isObject(value)) return wrong("the body", "an object");
  const read = <T>(
    from: Record<string, unknown>,
    field: string,
    wanted: string,
    is: (given: unknown) => given is T,
  ): T | undefined => {
    const given = from[field];
    if (given === undefined || given === null) return undefined;
    return is(given) ? given : wrong(field, wanted);
  };
  if (value["kind"] !== undefined && value["kind"] !== "DeleteOptions") wrong("kind", "DeleteOptions");
  const conditions = read(value, "preconditions", "an object", isObject);
  const uid = conditions && read(conditions, "uid", "a string", isString);
  const resourceVersion = conditions && read(conditions, "resourceVersion", "a string", isString);
  return {
    gracePeriodSeconds: read(value, "gracePeriodSeconds", "a whole number", isInteger),
    propagationPolicy: read(value, "propagationPolicy", "a string", isString),
    orphanDependents: read(value, "orphanDependents", "true or false", isBoolean),
    dryRun: read(value, "dryRun", "a list of strings", isStrings),
    preconditions: {
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
  };
}

const isString = (value: unknown): value is string => typeof value === "string";
const isBoolean = (value: unknown): value is boolean => typeof value === "boolean";
const isInteger = (value: unknown): value is number => Number.isSafeInteger(value);
const isStrings = (value: unknown): value is string[] => Array.isArray(value) && value.every(isString);

function fromQuery(query: URLSearchParams): Given {
  const seconds = query.get("gracePeriodSeconds");
  if (seconds !== null && !/^-?\d{1,15}$/.test(seconds))
    throw statusError("BadRequest", `strconv.ParseInt: parsing ${JSON.stringify(seconds)}: invalid syntax`);
  const orphan = query.get("orphanDependents");
  return {
    gracePeriodSeconds: seconds === null ? undefined : Number(seconds),
    propagationPolicy: query.get("propagationPolicy") ?? undefined,
    orphanDependents: orphan === null ? undefined : isTrue(orphan),
    dryRun: query.getAll("dryRun"),
  };
}
