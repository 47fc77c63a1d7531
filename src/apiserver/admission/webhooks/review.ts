import { apiVersionOf, isObject, StatusError, statusError, type KubeObject, type Status } from "../../../kube/index.ts";
import type { AdmissionRequest } from "../../registry/index.ts";

/** The resource and kind in whose form a webhook sees a request. */
export interface SeenAs {
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string };
  readonly resource: { readonly group: string; readonly version: string; readonly resource: string };
  readonly object?: KubeObject;
  readonly old?: KubeObject;
}

/** What a webhook answered, checked. */
export interface Verdict {
  readonly allowed: boolean;
  /** Operations of RFC 6902, not yet applied. */
  readonly patch: readonly unknown[];
  readonly status?: Partial<Status>;
  readonly warnings: readonly string[];
  readonly auditAnnotations: Readonly<Record<string, string>>;
}

/** An answer that is none. The message is upstream's, without what goes before it. */
export class ReviewError extends Error {
  readonly code: "UNKNOWN_VERSION" | "INVALID_ANSWER" | "UNDECODABLE_PATCH";

  constructor(code: ReviewError["code"], message: string) {
    super(message);
    this.name = "ReviewError";
    this.code = code;
  }
}

const known = ["v1", "v1beta1"];

/** The first version that both sides speak. Throws ReviewError. */
export function reviewVersion(versions: readonly string[]): string {
  const version = versions.find((one) => known.includes(one));
  if (version === undefined)
    throw new ReviewError(
      "UNKNOWN_VERSION",
      "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)",
    );
  return version;
}

/** The AdmissionReview that is sent (admission.k8s.io). */
export function admissionReview(version: string, uid: string, request: AdmissionRequest, seen: SeenAs): object {
  const { context, operation, kind, name, old } = request;
  const { resource, shown, user } = context;
  const named = shown?.resource ?? resource;
  const part = context.subresource ? { subResource: context.subresource } : {};
  const requestPart = context.subresource ? { requestSubResource: context.subresource } : {};
  return {
    kind: "AdmissionReview",
    apiVersion: `admission.k8s.io/${version}`,
    request: {
      uid,
      kind: gvk(seen.kind),
      resource: seen.resource,
      ...part,
      requestKind: gvk(kind),
      requestResource: { group: named.group, version: named.version, resource: named.plural },
      ...requestPart,
      ...(name ? { name } : {}),
      ...(namespaceOf(request) ? { namespace: namespaceOf(request) } : {}),
      operation,
      userInfo: {
        ...(user.name ? { username: user.name } : {}),
        ...(user.uid ? { uid: user.uid } : {}),
        ...(user.groups.length > 0 ? { groups: user.groups } : {}),
        ...(user.extra && Object.keys(user.extra).length > 0 ? { extra: user.extra } : {}),
      },
      object: seen.object ? sent(seen.object, seen.kind, operation === "UPDATE" ? old : undefined) : null,
      oldObject: seen.old ? sent(seen.old, seen.kind) : null,
      dryRun: context.dryRun,
      options: context.options?.() ?? null,
    },
  };
}

/** A Namespace is looked at as if it were in itself. */
export function namespaceOf({ context, name }: Pick<AdmissionRequest, "context" | "name">): string {
  return context.resource.group === "" && context.resource.plural === "namespaces" ? name : context.namespace;
}

const gvk = ({ group, version, kind }: SeenAs["kind"]): object => ({ group, version, kind });

/** An object says what it is; one that is about to replace another says which version it replaces. */
function sent(object: KubeObject, kind: SeenAs["kind"], replaced?: KubeObject): object {
  const version = object.metadata?.resourceVersion ?? replaced?.metadata?.resourceVersion;
  return {
    ...object,
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    ...(object.metadata ? { metadata: { ...object.metadata, ...(version ? { resourceVersion: version } : {}) } } : {}),
  };
}

/** Reads an answer. Throws ReviewError for one that is not what the API says it must be. */
export function verdictOf(version: string, uid: string, mutating: boolean, review: unknown): Verdict {
  const wrong = (message: string): never => {
    throw new ReviewError("INVALID_ANSWER", `received invalid webhook response: ${message}`);
  };
  const response = isObject(review) ? review["response"] : undefined;
  if (!isObject(review) || !isObject(response)) return wrong("webhook response was absent");
  const { patch, patchType } = response;
  if (version === "v1") {
    if (response["uid"] !== uid)
      wrong(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response["uid"] ?? "")}`);
    const is = goKind(review["apiVersion"], review["kind"]);
    const must = goKind("admission.k8s.io/v1", "AdmissionReview");
    if (is !== must) wrong(`expected webhook response of ${must}, got ${is}`);
    if (!mutating && hasText(patch)) wrong("validating webhook may not return response.patch");
    if (!mutating && patchType !== undefined && patchType !== null)
      wrong("validating webhook may not return response.patchType");
    if (hasText(patch) && typeof patchType !== "string")
      wrong("webhook returned response.patch but not response.patchType");
    if (!hasText(patch) && typeof patchType === "string")
      wrong("webhook returned response.patchType but not response.patch");
    if (patchType === "") wrong('webhook returned invalid response.patchType of ""');
    if (typeof patchType === "string" && patchType !== "JSONPatch")
      throw new ReviewError("INVALID_ANSWER", `unsupported patch type ${JSON.stringify(patchType)}`);
  }
  return {
    allowed: response["allowed"] === true,
    patch: mutating && hasText(patch) ? readPatch(patch) : [],
    ...(isObject(response["status"]) ? { status: response["status"] } : {}),
    warnings: strings(response["warnings"]),
    auditAnnotations: Object.fromEntries(
      Object.entries(isObject(response["auditAnnotations"]) ? response["auditAnnotations"] : {}).filter(
        (entry): entry is [string, string] => typeof entry[1] === "string",
      ),
    ),
  };
}

const hasText = (value: unknown): value is string => typeof value === "string" && value !== "";
const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];

/** How Go prints a kind with its group and version. */
function goKind(apiVersion: unknown, kind: unknown): string {
  return `${typeof apiVersion === "string" ? apiVersion : ""}, Kind=${typeof kind === "string" ? kind : ""}`;
}

function readPatch(text: string): readonly unknown[] {
  const fail = (why: string): never => {
    throw new ReviewError("UNDECODABLE_PATCH", `received undecodable patch in webhook response: ${why}`);
  };
  try {
    const patch: unknown = JSON.parse(Buffer.from(text, "base64").toString());
    return Array.isArray(patch) ? patch : fail("it is no list of operations");
  } catch (error) {
    return fail((error as Error).message);
  }
}

/** The refusal that a webhook's answer means, in upstream's words. */
export function refusal(webhook: string, given: Partial<Status> = {}): StatusError {
  const denied = `admission webhook ${JSON.stringify(webhook)} denied the request`;
  const { message, reason } = given;
  const { status } = statusError("BadRequest", "");
  const { reason: _reason, ...rest } = status;
  return new StatusError({
    ...rest,
    ...(isObject(given.details) ? { details: given.details } : {}),
    ...(reason ? { reason } : {}),
    message: message ? `${denied}: ${message}` : reason ? `${denied}: ${reason}` : `${denied} without explanation`,
    code: typeof given.code === "number" && given.code >= 400 && given.code < 600 ? given.code : 400,
  });
}
