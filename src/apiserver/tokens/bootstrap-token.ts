import { timingSafeEqual } from "node:crypto";
import { resources, type Secret } from "../../kube/index.ts";
import type { TokenAuthenticator } from "../authentication/index.ts";
import { keyFor, type Storage } from "../storage/index.ts";

export interface BootstrapTokenOptions {
  readonly storage: Pick<Storage, "of" | "caughtUp">;
  /** Audiences of tokens that are meant for this API. */
  readonly audiences: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const form = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const type = "bootstrap.kubernetes.io/token";
const group = "system:bootstrappers";
const extraGroup = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;

/** Takes bootstrap tokens: `ID.SECRET`, kept in Secrets `bootstrap-token-ID` of kube-system, by which nodes join. */
export function createBootstrapTokens({ storage, audiences, now }: BootstrapTokenOptions): TokenAuthenticator {
  return async (token, wanted) => {
    const [, id = "", given = ""] = form.exec(token) ?? [];
    if (!id) return undefined;
    const fitting = wanted.filter((one) => audiences.includes(one));
    if (wanted.length > 0 && fitting.length === 0) return undefined;
    await storage.caughtUp();
    const name = `bootstrap-token-${id}`;
    const key = keyFor(resources.Secret, { namespace: "kube-system", name });
    const entry = storage.of(resources.Secret).get(key);
    if (!entry) return undefined;
    const secret = entry.object as Secret;
    if (secret.metadata.deletionTimestamp || secret.type !== type) return undefined;
    const value = (field: string): string => Buffer.from(secret.data?.[field] ?? "", "base64").toString();
    if (!same(value("token-secret"), given) || value("token-id") !== id) return undefined;
    const expiration = value("expiration");
    // A date that can not be read is none: the token is not good for ever.
    if (expiration && !(Date.parse(expiration) > now())) throw new Error("the bootstrap token has expired");
    if (value("usage-bootstrap-authentication") !== "true")
      throw new Error("the bootstrap token is not for authentication");
    const extra = value("auth-extra-groups")
      .split(",")
      .filter((one) => one !== "");
    if (!extra.every((one) => extraGroup.test(one)))
      throw new Error("the groups of the bootstrap token must begin with system:bootstrappers:");
    return {
      user: { name: `system:bootstrap:${id}`, groups: [group, ...new Set(extra)] },
      audiences: fitting,
    };
  };
}

function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
