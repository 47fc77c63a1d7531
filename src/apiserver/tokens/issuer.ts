import { conflict, notFound, timestamp } from "../registry/index.ts";
import {
  invalid,
  own,
  resources,
  statusError,
  type FieldError,
  type Pod,
  type Resource,
  type ServiceAccount,
  type TokenRequest,
} from "../../kube/index.ts";
import { keyFor, type Storage } from "../storage/index.ts";
import { signAccountToken, type BoundClaims, type Reference } from "./account-token.ts";
import type { AccountKeys } from "./keys.ts";

export interface TokenIssuer {
  /** First of the issuers: the `iss` of new tokens. */
  readonly issuer: string;
  readonly keys: () => Promise<AccountKeys>;
  /** Answers a request for a token of an account (`serviceaccounts/token`). Throws StatusError. */
  issue(request: TokenRequest, account: { namespace: string; name: string }): Promise<TokenRequest>;
}

export interface TokenIssuerOptions {
  readonly storage: Pick<Storage, "of" | "caughtUp">;
  readonly keys: () => Promise<AccountKeys>;
  readonly issuer: string;
  /** Of tokens that name none. */
  readonly audiences: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Seconds that a token lives when the request does not say. */
const usualLifetime = 3600;
const shortestLifetime = 600;
const longestLifetime = 2 ** 32;

const kind = { group: "authentication.k8s.io", kind: "TokenRequest" };

export function createTokenIssuer({ storage, keys, issuer, audiences, now }: TokenIssuerOptions): TokenIssuer {
  const find = (resource: Resource, namespace: string, name: string) => {
    const entry = storage.of(resource).get(keyFor(resource, { namespace, name }));
    if (!entry) throw notFound(resource, name);
    return entry.object;
  };

  /** What a token is bound to beside its account: it ends with that object. */
  const bindings = (
    request: TokenRequest,
    account: ServiceAccount,
  ): Omit<BoundClaims, "namespace" | "serviceaccount"> => {
    const reference = request.spec.boundObjectRef;
    if (!reference) return {};
    const { apiVersion = "", kind: what = "", name = "", uid } = reference;
    const { namespace = "", name: accountName } = account.metadata;
    const resource = apiVersion === "v1" ? own(boundKinds, what) : undefined;
    if (!resource)
      throw statusError(
        "BadRequest",
        `cannot bind token to object of type ${apiVersion.includes("/") ? apiVersion : `/${apiVersion}`}, Kind=${what}`,
      );
    const object = find(resource, resource.namespaced ? namespace : "", name);
    if (uid && uid !== object.metadata.uid)
      throw conflict(
        resource,
        name,
        `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
      );
    const bound: Reference = { name, ...(object.metadata.uid ? { uid: object.metadata.uid } : {}) };
    if (resource === resources.Node) return { node: bound };
    if (resource === resources.Secret) return { secret: bound };
    const { spec } = object as Pod;
    if (spec.serviceAccountName !== accountName)
      throw statusError(
        "BadRequest",
        `cannot bind token for serviceaccount ${JSON.stringify(accountName)} to pod running with different serviceaccount name.`,
      );
    const node = spec.nodeName && storage.of(resources.Node).get(keyFor(resources.Node, { name: spec.nodeName }));
    const nodeUid = node ? node.object.metadata.uid : undefined;
    return {
      pod: bound,
      ...(spec.nodeName ? { node: { name: spec.nodeName, ...(nodeUid ? { uid: nodeUid } : {}) } } : {}),
    };
  };

  return {
    issuer,
    keys,
    async issue(request, { namespace, name }) {
      const { metadata, spec } = request;
      if (metadata.namespace && metadata.namespace !== namespace)
        throw statusError(
          "BadRequest",
          "the namespace of the provided object does not match the namespace sent on the request",
        );
      if (metadata.name && metadata.name !== name)
        throw statusError("BadRequest", "the name of the provided object does not match the name sent on the request");
      const wanted = spec.audiences?.length ? spec.audiences : audiences;
      const lifetime = spec.expirationSeconds ?? usualLifetime;
      const faults = lifetimeFaults(lifetime);
      if (faults.length > 0) throw invalid(kind, "", faults);
      await storage.caughtUp();
      const account = find(resources.ServiceAccount, namespace, name) as ServiceAccount;
      const { uid } = account.metadata;
      const bound: BoundClaims = {
        namespace,
        ...bindings(request, account),
        serviceaccount: { name, ...(uid ? { uid } : {}) },
      };
      const begun = Math.floor(now() / 1000);
      const draft = { issuer, audiences: wanted, bound, now: begun, lifetime };
      const token = await signAccountToken((await keys()).signing, draft);
      return {
        ...request,
        metadata: { ...metadata, name, namespace, ...(uid ? { uid } : {}), creationTimestamp: timestamp(begun * 1000) },
        spec: { ...spec, audiences: [...wanted], expirationSeconds: lifetime },
        status: { token, expirationTimestamp: timestamp((begun + lifetime) * 1000) },
      };
    },
  };
}

const boundKinds: Readonly<Record<string, Resource | undefined>> = {
  Pod: resources.Pod,
  Secret: resources.Secret,
  Node: resources.Node,
};

function lifetimeFaults(seconds: number): FieldError[] {
  const field = "spec.expirationSeconds";
  if (seconds < shortestLifetime)
    return [{ type: "Invalid", field, value: seconds, detail: "may not specify a duration less than 10 minutes" }];
  if (seconds > longestLifetime)
    return [{ type: "Invalid", field, value: seconds, detail: "may not specify a duration larger than 2^32 seconds" }];
  return [];
}
