import type { Client } from "../../client/index.ts";
import { type Pod, resources, type ServiceAccountTokenProjection, type TokenRequest } from "../../kube/index.ts";
import type { Clock } from "../../system/index.ts";
import { ConfigError } from "../pods/config-error.ts";

/** Tokens of the pods' accounts, as their volumes hold them: each is bound to its pod and is renewed before it ends. */
export interface AccountTokens {
  /** The token for one projection. Throws `ConfigError` when there is none and none is given. */
  token(pod: Pod, source: ServiceAccountTokenProjection): Promise<string>;
  /** Milliseconds until a token of the pod should be renewed; undefined when it has none. */
  dueIn(podUid: string): number | undefined;
  release(podUid: string): void;
}

interface Held {
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly ends: number;
  readonly renewAt: number;
}

/** Part of a token's life after which it is renewed, as the kubelet's. */
const renewAfter = 0.8;
/** Milliseconds that a token is used at most, however long it would live. */
const oldest = 24 * 3_600_000;
/** Seconds that a token lives when the projection does not say. */
const usualLifetime = 3600;
/** Milliseconds until a failed renewal is tried again. */
const tryAgain = 10_000;

export function createAccountTokens(client: Client, clock: Clock): AccountTokens {
  const pods = new Map<string, Map<string, Held>>();

  const ask = async (pod: Pod, { audience, expirationSeconds }: ServiceAccountTokenProjection): Promise<Held> => {
    const { name, namespace = "default", uid } = pod.metadata;
    const lifetime = expirationSeconds ?? usualLifetime;
    const begun = clock.now();
    const { status } = await client.createSubresource<TokenRequest>(
      resources.ServiceAccount,
      { namespace, name: pod.spec.serviceAccountName ?? "default" },
      "token",
      {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        metadata: {},
        spec: {
          audiences: audience ? [audience] : [],
          expirationSeconds: lifetime,
          boundObjectRef: { apiVersion: "v1", kind: "Pod", name, ...(uid ? { uid } : {}) },
        },
      },
    );
    if (!status?.token) throw new Error("the API answered without a token");
    const ends = status.expirationTimestamp ? Date.parse(status.expirationTimestamp) : begun + lifetime * 1000;
    return { token: status.token, ends, renewAt: begun + Math.min((ends - begun) * renewAfter, oldest) };
  };

  return {
    async token(pod, source) {
      const uid = pod.metadata.uid ?? "";
      const key = JSON.stringify([source.audience ?? "", source.expirationSeconds ?? usualLifetime]);
      const held = pods.get(uid)?.get(key);
      if (held && clock.now() < held.renewAt) return held.token;
      try {
        const fresh = await ask(pod, source);
        const own = pods.get(uid) ?? new Map<string, Held>();
        pods.set(uid, own.set(key, fresh));
        return fresh.token;
      } catch (error) {
        if (held && clock.now() < held.ends) {
          pods.get(uid)?.set(key, { ...held, renewAt: clock.now() + tryAgain });
          return held.token;
        }
        throw new ConfigError(`failed to fetch token: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
    dueIn(podUid) {
      const times = [...(pods.get(podUid)?.values() ?? [])].map(({ renewAt }) => renewAt);
      return times.length > 0 ? Math.max(Math.min(...times) - clock.now(), 1) : undefined;
    },
    release: (podUid) => void pods.delete(podUid),
  };
}
