import type { KubeObject, StatusError } from "../../kube/index.ts";
import type { Store } from "../../store/index.ts";
import type { Clock } from "../../system/index.ts";
import type { Authorizer } from "../auth/index.ts";
import type { Authenticator } from "../authentication/index.ts";
import type { ApiRequest, ApiResponse } from "../handler.ts";
import type { Connector } from "../connect/index.ts";
import { methodNotAllowed, notFound, notSupported, timestamp, type Registry } from "../registry/index.ts";
import { readObject } from "../request/body.ts";
import { writeQuery } from "../request/params.ts";
import { negotiate } from "../request/negotiate.ts";
import type { ResourceInfo } from "../request/request-info.ts";
import { objectResponse, pageNotFound } from "../request/respond.ts";
import { warningHeader } from "../request/warnings.ts";
import type { Storage } from "../storage/index.ts";
import type { TokenIssuer } from "../tokens/index.ts";
import { anonymous, notFoundPath } from "./context.ts";
import { answerComponentStatuses, componentStatus } from "./component-statuses.ts";
import { createFieldTracking } from "./field-tracking.ts";
import { evictPod } from "./eviction.ts";
import { bindPod } from "./pod-actions.ts";
import { handlePodLog, type KubeletClient } from "./pod-log.ts";
import { createResourceHandler } from "./resource-handler.ts";
import { findReview, reviews, type Review, type ReviewContext } from "./reviews.ts";
import { handleScale } from "./scale.ts";
import type { Catalog } from "./catalog.ts";
import type { ProtobufForms } from "./protobuf-form.ts";
import type { Served } from "./served.ts";
import { requestToken } from "./token-request.ts";

export interface ResourcesOptions {
  readonly catalog: Catalog;
  /** Settles when the catalog holds all kinds that were defined at the start; undefined once it has. */
  readonly settled: () => Promise<void> | undefined;
  readonly store: Store;
  readonly storage: Storage;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly authorizer: Authorizer;
  readonly authenticator: Authenticator;
  readonly issuer: TokenIssuer;
  readonly kubelet: KubeletClient;
  readonly connect: Connector;
  readonly protobuf: ProtobufForms;
  /** What is wrong with the store; undefined: nothing. */
  readonly storeProblem: () => string | undefined;
}

/** Answers every request that names a resource. Throws StatusError. */
export function createResources(
  options: ResourcesOptions,
): (request: ApiRequest, info: ResourceInfo) => Promise<ApiResponse> {
  const {
    catalog,
    settled,
    storage,
    registry,
    clock,
    authorizer,
    authenticator,
    issuer,
    kubelet,
    connect,
    storeProblem,
  } = options;
  const tracking = createFieldTracking(catalog, () => clock.now());
  const handle = createResourceHandler({ ...options, tracking });
  const actions = { registry, storage, now: () => clock.now() };

  const allow = (info: ResourceInfo, served: Served, ...verbs: string[]): void => {
    if (!info.name) throw notFoundPath();
    if (!verbs.includes(info.verb))
      throw served.conversion ? notSupported(served.resource, info.verb) : methodNotAllowed();
  };
  const answerPart = async (request: ApiRequest, info: ResourceInfo, served: Served): Promise<ApiResponse> => {
    if (actionParts.has(info.subresource)) checkAccept(request);
    switch (info.subresource) {
      case "status":
      case "approval":
        allow(info, served, "get", "update", "patch");
        return handle(request, info, served);
      case "finalize":
        allow(info, served, "update");
        return handle(request, info, served);
      case "scale":
        allow(info, served, "get", "update", "patch");
        return handleScale({ ...actions, tracking }, request, info, served);
      case "binding":
        allow(info, served, "create");
        return bindPod(actions, request, info, served);
      case "eviction":
        allow(info, served, "create");
        return evictPod(actions, request, info, served);
      case "token":
        allow(info, served, "create");
        return requestToken({ registry, issuer }, request, info, served);
      case "exec":
      case "attach":
      case "portforward":
      case "proxy":
        return connect(request, info, served);
      case "ephemeralcontainers":
      case "resize":
        allow(info, served, "get", "update", "patch");
        return handle(request, info, served);
      case "log":
        allow(info, served, "get");
        return handlePodLog({ registry, storage, kubelet }, request, info);
      default:
        throw notFoundPath();
    }
  };

  /** Groups of custom resources have no routes but those of their resources. */
  const isOwnGroup = ({ group }: ResourceInfo): boolean =>
    reviews.some(({ resource }) => resource.group === group) ||
    catalog.all().some(({ resource, conversion }) => !conversion && resource.group === group);

  return async (request, info) => {
    let served = catalog.find(info.group, info.version, info.resource);
    if (!served) {
      const waiting = settled();
      if (waiting) await waiting;
      served = catalog.find(info.group, info.version, info.resource);
    }
    if (!served && info.group === "" && info.version === "v1") {
      if (info.resource === componentStatus.plural && !info.namespace)
        return answerComponentStatuses(request, info, { storeProblem, now: actions.now });
      const pods = info.resource === "bindings" ? catalog.find("", "v1", "pods") : undefined;
      if (pods) {
        if (info.name || !info.namespace) throw notFoundPath();
        if (info.verb !== "create") throw methodNotAllowed();
        checkAccept(request);
        return bindPod(actions, request, { ...info, resource: "pods", subresource: "binding" }, pods);
      }
    }
    if (!served) {
      const review = findReview(info);
      if (!review && !isOwnGroup(info)) return pageNotFound();
      if (!review || info.name || review.resource.namespaced !== (info.namespace !== "")) throw notFoundPath();
      const asker = request.user ?? anonymous;
      return answerReview(request, info, review, {
        asker,
        authorizer,
        authenticator,
        namespace: info.namespace,
        now: timestamp(clock.now()),
      });
    }
    // Who may do something in a namespace may not do it to the cluster's kinds by way of it.
    if (!served.resource.namespaced && info.namespace && info.resource !== "namespaces") {
      if (served.conversion) return pageNotFound();
      throw notFoundPath();
    }
    if (served.conversion && !isInScope(info, served)) return pageNotFound();
    // The path may not go deeper than what is served.
    if (tooDeep(info) && info.subresource !== "proxy") throw notFoundPath();
    if (!info.subresource) return handle(request, info, served);
    if (!served.resource.subresources.includes(info.subresource)) throw notServed(info, served);
    return answerPart(request, info, served);
  };
}

/** Parts to which something is sent that is not stored. */
const actionParts: ReadonlySet<string> = new Set(["binding", "eviction", "token"]);

/** What is answered and not stored has no table: who takes nothing else is told before anything is done. Throws StatusError. */
function checkAccept({ headers }: ApiRequest): void {
  negotiate(headers["accept"], true, false);
}

/** 404 for a part that a kind does not have. */
function notServed({ name }: ResourceInfo, { resource, conversion }: Served): StatusError {
  return conversion ? notFound(resource, name) : notFoundPath();
}

/** Custom resources of namespaces are there in their namespace alone. Lists and watches may be about all. */
function isInScope({ namespace, verb }: ResourceInfo, { resource }: Served): boolean {
  return !resource.namespaced || namespace !== "" || verb === "list" || verb === "watch";
}

function tooDeep({ path, namespace, resource, group }: ResourceInfo): boolean {
  const parts = path.split("/").filter((part) => part !== "").length;
  const scope = namespace && resource !== "namespaces" ? 2 : 0;
  return parts > (group ? 3 : 2) + scope + 3;
}

async function answerReview(
  request: ApiRequest,
  info: ResourceInfo,
  review: Review,
  context: ReviewContext,
): Promise<ApiResponse> {
  if (info.verb !== "create") throw methodNotAllowed();
  checkAccept(request);
  const warnings: string[] = [];
  const { fieldValidation } = writeQuery(request.query, "CreateOptions");
  const object = await readObject<KubeObject>(request, review.resource, fieldValidation, (text) => warnings.push(text));
  const answered = await review.answer(object, context);
  return objectResponse(201, answered, warningHeader(warnings));
}
