import { randomUUID } from "node:crypto";
import { formatMicroTime } from "../../kube/index.ts";
import type { Metrics } from "../../system/index.ts";
import type { ApiRequest, ApiResponse, UserInfo } from "../handler.ts";
import { parseBody } from "../request/body.ts";
import type { RequestInfo } from "../request/request-info.ts";
import type { AuditDecision, AuditLevel, AuditPolicy, AuditStage } from "./policy.ts";
import { statusWithoutSecrets, withoutSecrets } from "./redact.ts";

/** Takes lines of JSON, each one event. */
export interface AuditSink {
  /** Keeps a line, or loses it when there is no room. Never throws. */
  write(line: string): void;
  /** Lines that were lost. */
  lost(): number;
}

export interface AuditorOptions {
  readonly policy: AuditPolicy;
  readonly sink: AuditSink;
  readonly metrics: Metrics;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** The record of one request, filled as it goes on. */
export interface AuditRecord {
  /** Whom the request acts for, where that is another than who asks. */
  actsFor(user: UserInfo): void;
  /** Keeps a remark; the first under a key counts. */
  readonly annotate: (key: string, value: string) => void;
  /** The request as it is answered, with its body. */
  asked(request: ApiRequest): void;
  /** An answer was made; `broken`: by an error that nobody foresaw. */
  answered(response: ApiResponse, broken: boolean): void;
}

/** Records requests as events of `audit.k8s.io/v1`. */
export interface Auditor {
  /** Begins the record of a request. Undefined: the policy wants none. */
  begin(
    request: Omit<ApiRequest, "signal"> & Partial<Pick<ApiRequest, "signal">>,
    info: RequestInfo,
    user: UserInfo,
  ): AuditRecord | undefined;
}

const rank: Readonly<Record<AuditLevel, number>> = { None: 0, Metadata: 1, Request: 2, RequestResponse: 3 };

/** Characters of an event at most; a larger one goes without its objects, as upstream's truncation. */
const longest = 10 << 20;

interface StatusLike {
  readonly kind?: string;
  readonly status?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly details?: object;
  readonly code?: number;
}

export function createAuditor({ policy, sink, metrics, now }: AuditorOptions): Auditor {
  const events = metrics.counter("apiserver_audit_event_total", "Audit events made.")();
  metrics
    .counter("apiserver_audit_error_total", "Audit events that were lost.", ["plugin"])("log")
    .from(() => sink.lost());
  const perLevel = metrics.counter("apiserver_audit_level_total", "Requests by the level of their audit.", ["level"]);

  const send = (event: object): void => {
    events.inc();
    let line = JSON.stringify(event);
    if (line.length > longest) {
      const { requestObject: _request, responseObject: _response, ...rest } = event as Record<string, unknown>;
      const annotations = { ...(rest["annotations"] as object | undefined), "audit.k8s.io/truncated": "true" };
      line = JSON.stringify({ ...rest, annotations });
    }
    sink.write(`${line}\n`);
  };

  return {
    begin(request, info, user) {
      const decision = policy.decide(user, info);
      perLevel(decision.level).inc();
      if (decision.level === "None") return undefined;
      return record(request, info, user, decision, { send, now });
    },
  };
}

function record(
  begun: Parameters<Auditor["begin"]>[0],
  info: RequestInfo,
  user: UserInfo,
  { level, omitStages, omitManagedFields }: AuditDecision,
  { send, now }: { send: (event: object) => void; now: () => number },
): AuditRecord {
  const { origin, headers, query, path } = begun;
  const received = formatMicroTime(now());
  const annotations: Record<string, string> = {};
  const text = query.toString();
  const common = {
    kind: "Event",
    apiVersion: "audit.k8s.io/v1",
    level,
    auditID: origin?.auditId ?? randomUUID(),
    requestURI: origin?.url ?? (text ? `${path}?${text}` : path),
    verb: info.verb,
    user: userOf(user),
    sourceIPs: origin?.addresses() ?? ["127.0.0.1"],
    ...(headers["user-agent"] ? { userAgent: headers["user-agent"] } : {}),
  };
  let impersonated: object | undefined;
  let request: ApiRequest | undefined;

  const emit = (stage: AuditStage, more: object, name = ""): void => {
    if (omitStages.has(stage)) return;
    send({
      ...common,
      stage,
      ...(impersonated ? { impersonatedUser: impersonated } : {}),
      ...(info.type === "resource" ? { objectRef: referenceOf(info, name) } : {}),
      ...more,
      requestReceivedTimestamp: received,
      stageTimestamp: formatMicroTime(now()),
      ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
    });
  };
  const cleaned = (object: unknown): unknown =>
    withoutSecrets(info, omitManagedFields ? withoutManagedFields(object) : object);

  const complete = async (response: ApiResponse, broken: boolean): Promise<void> => {
    const given = response.type === "object" ? (response.object as StatusLike) : undefined;
    const isStatus = given?.kind === "Status";
    const answer = given && isStatus ? statusWithoutSecrets(info, given) : given;
    const responseStatus = { metadata: {}, ...(isStatus && answer ? statusOf(answer) : {}), code: response.status };
    const asked =
      rank[level] >= rank.Request && request && info.type === "resource" ? await objectOf(request) : undefined;
    const shows = rank[level] >= rank.RequestResponse && answer && info.type === "resource";
    const made = info.type === "resource" && info.verb === "create" && !isStatus ? nameOf(answer) : "";
    emit(
      broken ? "Panic" : "ResponseComplete",
      {
        responseStatus,
        ...(asked === undefined ? {} : { requestObject: cleaned(asked) }),
        ...(shows ? { responseObject: isStatus ? answer : cleaned(answer) } : {}),
      },
      made,
    );
  };

  emit("RequestReceived", {});
  return {
    actsFor(other) {
      impersonated = userOf(other);
    },
    annotate(key, value) {
      annotations[key] ??= value;
    },
    asked(whole) {
      request = whole;
    },
    answered(response, broken) {
      const goesOn = response.type === "watch" || response.type === "upgrade";
      if (goesOn) emit("ResponseStarted", { responseStatus: { metadata: {}, code: response.status } });
      // An object that can not be read is told of without it.
      const end = (): void => void complete(response, broken).catch(() => emit("ResponseComplete", {}));
      if (origin) origin.onEnd(end);
      else if (goesOn) begun.signal?.addEventListener("abort", end, { once: true });
      else end();
    },
  };
}

function userOf({ name, uid, groups, extra }: UserInfo): object {
  return {
    username: name,
    ...(uid ? { uid } : {}),
    ...(groups.length > 0 ? { groups } : {}),
    ...(extra ? { extra } : {}),
  };
}

function referenceOf(info: Extract<RequestInfo, { type: "resource" }>, made: string): object {
  const name = info.name || made;
  return {
    resource: info.resource,
    ...(info.namespace ? { namespace: info.namespace } : {}),
    ...(name ? { name } : {}),
    ...(info.group ? { apiGroup: info.group } : {}),
    apiVersion: info.version,
    ...(info.subresource ? { subresource: info.subresource } : {}),
  };
}

function statusOf({ status, message, reason, details }: StatusLike): object {
  return {
    ...(status ? { status } : {}),
    ...(message ? { message } : {}),
    ...(reason ? { reason } : {}),
    ...(details ? { details } : {}),
  };
}

const nameOf = (object: object | undefined): string => {
  const { metadata } = (object ?? {}) as { metadata?: { name?: unknown } };
  return typeof metadata?.name === "string" ? metadata.name : "";
};

/** What was sent, as a value. A patch is what it says, not what came of it. */
async function objectOf(request: ApiRequest): Promise<unknown> {
  if (!(request.body instanceof Uint8Array)) return request.body;
  if (request.body.length === 0) return undefined;
  const type = request.headers["content-type"] ?? "";
  const asYaml = type.includes("yaml") ? "application/yaml" : type.includes("protobuf") ? type : "application/json";
  const { body } = await parseBody({ ...request, headers: { ...request.headers, "content-type": asYaml } });
  return body instanceof Uint8Array ? JSON.parse(Buffer.from(body).toString()) : body;
}

function withoutManagedFields(object: unknown): unknown {
  if (typeof object !== "object" || object === null) return object;
  const { metadata, items } = object as { metadata?: Record<string, unknown>; items?: unknown };
  const { managedFields: _managedFields, ...kept } = metadata ?? {};
  return {
    ...object,
    ...(metadata ? { metadata: kept } : {}),
    ...(Array.isArray(items) ? { items: items.map(withoutManagedFields) } : {}),
  };
}
