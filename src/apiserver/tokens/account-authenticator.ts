import { resources, type KubeObject, type Pod, type Resource, type Secret } from "../../kube/index.ts";
import type { TokenAuthenticator } from "../authentication/index.ts";
import type { UserInfo } from "../handler.ts";
import { keyFor, type Storage } from "../storage/index.ts";
import { accountUser, legacyIssuer, type Reference } from "./account-token.ts";
import type { AccountKeys } from "./keys.ts";
import { audiencesIn, checkDates, createSignatureCheck, unverifiedClaims, type Claims } from "./verify.ts";

export interface AccountAuthenticatorOptions {
  readonly storage: Pick<Storage, "of" | "caughtUp" | "reached">;
  /** Loaded when the first token comes. */
  readonly keys: () => Promise<AccountKeys>;
  /** The first signs new tokens; tokens of all are taken. */
  readonly issuers: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Milliseconds that a token outlives the object that it is bound to: what is being deleted may still say goodbye. */
const farewell = 60_000;
/** Milliseconds that a request waits for the store to be read. */
const patience = 10_000;
const extraPrefix = "authentication.kubernetes.io/";

/**
 * Takes tokens of service accounts: their signature, dates and audiences, and with each request that the account and what the token is
 * bound to are there still, by name and uid.
 */
export function createAccountAuthenticator(options: AccountAuthenticatorOptions): TokenAuthenticator {
  const { storage, issuers, now } = options;
  const check = createSignatureCheck();

  const stands = (resource: Resource, namespace: string, reference: Reference, what: string): KubeObject => {
    const object = storage.of(resource).get(keyFor(resource, { namespace, name: reference.name }))?.object;
    if (!object) throw new Error(`${what} has been deleted`);
    if (reference.uid !== undefined && object.metadata.uid !== reference.uid)
      throw new Error(`${what} has been deleted: the uid is another one's`);
    const gone = object.metadata.deletionTimestamp;
    if (gone !== undefined && Date.parse(gone) + farewell < now()) throw new Error(`${what} has been deleted`);
    return object;
  };

  const bound = (claims: Claims): UserInfo => {
    const given = claims["kubernetes.io"] as Record<string, unknown> | undefined;
    const namespace = textOf(given?.["namespace"]);
    const account = referenceOf(given?.["serviceaccount"]);
    if (!namespace || !account?.uid || claims["sub"] !== accountUser(namespace, account.name))
      throw new Error("the token does not name a service account");
    stands(resources.ServiceAccount, namespace, account, "service account");
    const pod = referenceOf(given?.["pod"]);
    const secret = referenceOf(given?.["secret"]);
    const node = referenceOf(given?.["node"]);
    if (secret) stands(resources.Secret, namespace, secret, "secret");
    if (pod) {
      const found = stands(resources.Pod, namespace, pod, "pod") as Pod;
      if (node && found.spec.nodeName !== node.name) throw new Error("the pod runs on another node");
    } else if (node) stands(resources.Node, "", node, "node");
    const jti = textOf(claims["jti"]);
    return userFor(namespace, account, {
      "pod-name": pod?.name,
      "pod-uid": pod?.uid,
      "credential-id": jti && `JTI=${jti}`,
      "node-name": node?.name,
      "node-uid": node?.uid,
    });
  };

  const legacy = (claims: Claims, token: string): UserInfo => {
    const claim = (name: string): string => textOf(claims[`kubernetes.io/serviceaccount/${name}`]) ?? "";
    const namespace = claim("namespace");
    const account = { name: claim("service-account.name"), uid: claim("service-account.uid") };
    if (!account.uid || claims["sub"] !== accountUser(namespace, account.name))
      throw new Error("the token does not name a service account");
    stands(resources.ServiceAccount, namespace, account, "service account");
    const secret = stands(resources.Secret, namespace, { name: claim("secret.name") }, "secret") as Secret;
    if (Buffer.from(secret.data?.["token"] ?? "", "base64").toString() !== token)
      throw new Error("the secret holds another token");
    return userFor(namespace, account, {});
  };

  return async (token, wanted) => {
    const issuer = unverifiedClaims(token)?.["iss"];
    const isLegacy = issuer === legacyIssuer;
    if (!isLegacy && !issuers.some((own) => own === issuer)) return undefined;
    const { verifying } = await options.keys();
    const claims = await check(token, verifying);
    const given = isLegacy && claims["aud"] === undefined ? issuers : audiencesIn(claims);
    checkDates(claims, Math.floor(now() / 1000), !isLegacy);
    const audiences = wanted.filter((one) => given.includes(one));
    if (wanted.length > 0 && audiences.length === 0)
      throw new Error(
        `token audiences ${JSON.stringify(given)} is invalid for the target audiences ${JSON.stringify(wanted)}`,
      );
    // What was made a moment ago counts, and so does what was deleted.
    await Promise.all([storage.reached(1, patience), storage.caughtUp()]);
    return { user: isLegacy ? legacy(claims, token) : bound(claims), audiences };
  };
}

function userFor(namespace: string, account: Reference, extra: Record<string, string | undefined>): UserInfo {
  const given = Object.entries(extra).flatMap(([name, value]) =>
    value ? [[extraPrefix + name, [value]] as const] : [],
  );
  return {
    name: accountUser(namespace, account.name),
    ...(account.uid ? { uid: account.uid } : {}),
    groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`],
    ...(given.length > 0 ? { extra: Object.fromEntries(given) } : {}),
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function referenceOf(value: unknown): Reference | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { name, uid } = value as Record<string, unknown>;
  const text = textOf(name);
  const id = textOf(uid);
  return text === undefined ? undefined : { name: text, ...(id ? { uid: id } : {}) };
}
