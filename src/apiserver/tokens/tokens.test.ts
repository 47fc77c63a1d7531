import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { SignJWT, UnsecuredJWT, compactVerify, createLocalJWKSet, type JSONWebKeySet } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { UserInfo } from "../handler.ts";
import { startTestApi, type TestApi } from "../test-api.ts";
import { signLegacyToken } from "./account-token.ts";
import { accountKeys, type AccountKeys } from "./keys.ts";

const issuer = "https://kubernetes.default.svc.cluster.local";
const core = "/api/v1/namespaces/default";
const account = `${core}/serviceaccounts/robot`;

function newKey(): { pem: string; secret: KeyObject; public: string } {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const text = { type: "pkcs8", format: "pem" } as const;
  return {
    pem: privateKey.export(text).toString(),
    secret: privateKey,
    public: publicKey.export({ type: "spki", format: "pem" }).toString(),
  };
}

const own = newKey();
const older = newKey();
const foreign = newKey();
let keys: AccountKeys;
let api: TestApi;
beforeAll(async () => {
  keys = accountKeys(own.pem, [older.public]);
  api = await startTestApi({ authentication: { accountKeys: () => Promise.resolve(keys) } });
});
afterAll(() => api.stop());
beforeEach(async () => {
  for (const url of [account, `${core}/secrets/s`]) await api.call("DELETE", url);
  await api.call("DELETE", `${core}/pods/p`, { gracePeriodSeconds: 0 });
  await api.call("POST", `${core}/serviceaccounts`, { metadata: { name: "robot" } });
});

const request = async (spec: object = {}): Promise<string> => {
  const answer = await api.call("POST", `${account}/token`, { spec });
  expect([answer.status, answer.body.message]).toEqual([201, undefined]);
  return answer.body.status.token;
};
const who = (token: string): Promise<UserInfo | undefined> =>
  api.authenticator.authenticate({ authorization: `Bearer ${token}`, rawHeaders: [] });
const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
const makePod = async (): Promise<string> => {
  const spec = {
    serviceAccountName: "robot",
    automountServiceAccountToken: false,
    containers: [{ name: "c", image: "i" }],
  };
  return (await api.call("POST", `${core}/pods`, { metadata: { name: "p" }, spec })).body.metadata.uid;
};

describe("a token of a service account", () => {
  it("says who its bearer is", async () => {
    const token = await request();
    const claims = claimsOf(token);
    expect(claims).toMatchObject({
      iss: issuer,
      aud: [issuer],
      sub: "system:serviceaccount:default:robot",
      "kubernetes.io": { namespace: "default", serviceaccount: { name: "robot" } },
    });
    expect(claims.exp - claims.iat).toBe(3600);
    expect(await who(token)).toEqual({
      name: "system:serviceaccount:default:robot",
      uid: claims["kubernetes.io"].serviceaccount.uid,
      groups: ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"],
      extra: { "authentication.kubernetes.io/credential-id": [`JTI=${claims.jti}`] },
    });
  });

  it("ends with its account, also when another of the same name comes", async () => {
    const token = await request();
    await api.call("DELETE", account);
    await expect(who(token)).rejects.toThrow("Unauthorized");
    await api.call("POST", `${core}/serviceaccounts`, { metadata: { name: "robot" } });
    await expect(who(token)).rejects.toThrow("Unauthorized");
  });

  it("ends with the pod that it is bound to", async () => {
    const uid = await makePod();
    const token = await request({ boundObjectRef: { apiVersion: "v1", kind: "Pod", name: "p", uid } });
    expect((await who(token))?.extra).toMatchObject({
      "authentication.kubernetes.io/pod-name": ["p"],
      "authentication.kubernetes.io/pod-uid": [uid],
    });
    await api.call("DELETE", `${core}/pods/p`, { gracePeriodSeconds: 0 });
    await expect(who(token)).rejects.toThrow("Unauthorized");
  });

  it("ends when it says", async () => {
    const token = await request({ expirationSeconds: 600 });
    await api.clock.advance(599_000);
    expect(await who(token)).toBeDefined();
    await api.clock.advance(62_000);
    await expect(who(token)).rejects.toThrow("Unauthorized");
  });

  it("is for its audiences alone", async () => {
    const token = await request({ audiences: ["vault"] });
    await expect(who(token)).rejects.toThrow("Unauthorized");
    const review = await api.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {
      spec: { token, audiences: ["vault", "x"] },
    });
    expect(review.body.status).toMatchObject({ authenticated: true, audiences: ["vault"] });
    const other = await api.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", { spec: { token } });
    expect(other.body.status.authenticated).toBeUndefined();
    expect(other.body.status.error).toContain("invalid for the target audiences");
  });

  it("is taken of an earlier key, whose public half is kept", async () => {
    const { uid } = (await api.call("GET", account)).body.metadata;
    const token = await sign(older, older, { uid });
    expect((await who(token))?.name).toBe("system:serviceaccount:default:robot");
  });

  it("of a Secret holds as long as the Secret has it", async () => {
    const { uid } = (await api.call("GET", account)).body.metadata;
    const token = await signLegacyToken(keys.signing, {
      namespace: "default",
      account: { name: "robot", uid },
      secret: "s",
    });
    await expect(who(token)).rejects.toThrow("Unauthorized");
    await api.call("POST", `${core}/secrets`, { metadata: { name: "s" }, stringData: { token } });
    expect((await who(token))?.name).toBe("system:serviceaccount:default:robot");
    await api.call("DELETE", `${core}/secrets/s`);
    await expect(who(token)).rejects.toThrow("Unauthorized");
  });
});

const boundTo = (uid: string, aud: string | string[] = issuer) => ({
  iss: issuer,
  aud,
  sub: "system:serviceaccount:default:robot",
  iat: Math.floor(api.clock.now() / 1000),
  exp: Math.floor(api.clock.now() / 1000) + 600,
  "kubernetes.io": { namespace: "default", serviceaccount: { name: "robot", uid } },
});

/** A token as somebody might make it: signed by one key, named after another. */
async function sign(
  key: { secret: KeyObject },
  named: { pem: string } | undefined,
  { uid, ...more }: { uid: string; [claim: string]: unknown },
): Promise<string> {
  const kid = named && accountKeys(named.pem).signing.id;
  const header = { alg: "RS256", ...(kid ? { kid } : {}) };
  return new SignJWT({ ...boundTo(uid), ...more }).setProtectedHeader(header).sign(key.secret);
}

describe("a forged token", () => {
  const uidOf = async (): Promise<string> => (await api.call("GET", account)).body.metadata.uid;

  it.each<[string, (uid: string) => Promise<string> | string]>([
    ["signed by another key", (uid) => sign(foreign, undefined, { uid })],
    ["signed by another key under the name of ours", (uid) => sign(foreign, own, { uid })],
    ["signed by ours under another name", (uid) => sign(own, foreign, { uid })],
    ["without a signature", (uid) => new UnsecuredJWT(boundTo(uid)).encode()],
    [
      "signed with our public key as a secret",
      (uid) =>
        new SignJWT(boundTo(uid))
          .setProtectedHeader({ alg: "HS256" })
          .sign(Buffer.from(keys.signing.key.export({ type: "spki", format: "pem" }))),
    ],
    ["that never ends", (uid) => sign(own, own, { uid, exp: undefined })],
    ["that is not valid yet", (uid) => sign(own, own, { uid, nbf: boundTo(uid).exp })],
    ["for another audience", (uid) => sign(own, own, { uid, aud: "elsewhere" })],
    ["of another issuer", (uid) => sign(own, own, { uid, iss: "https://elsewhere" })],
    [
      "whose subject is another account",
      (uid) => sign(own, own, { uid, sub: "system:serviceaccount:kube-system:robot" }),
    ],
    ["without a uid", () => sign(own, own, { uid: "" })],
    ["that is no JWT", () => "nonsense"],
    ["with an empty part", () => "a..b"],
    ["that is huge", () => `${"a".repeat(40_000)}.b.c`],
  ])("%s is refused", async (_what, make) => {
    await expect(who(await make(await uidOf()))).rejects.toThrow("Unauthorized");
  });

  it("is refused whatever the scheme", async () => {
    for (const authorization of ["Basic YTpi", "Bearer", "Bearer a b", "Token x"])
      await expect(api.authenticator.authenticate({ authorization, rawHeaders: [] })).rejects.toThrow("Unauthorized");
  });
});

describe("a request for a token", () => {
  it.each<[object, number, string]>([
    [{ expirationSeconds: 599 }, 422, "may not specify a duration less than 10 minutes"],
    [{ expirationSeconds: 2 ** 32 + 1 }, 422, "may not specify a duration larger than 2^32 seconds"],
    [
      { boundObjectRef: { apiVersion: "v1", kind: "ConfigMap", name: "x" } },
      400,
      "cannot bind token to object of type",
    ],
    [{ boundObjectRef: { apiVersion: "v1", kind: "Pod", name: "x" } }, 404, 'pods "x" not found'],
    [{ boundObjectRef: { apiVersion: "v1", kind: "ServiceAccount", name: "x" } }, 400, "cannot bind token"],
  ])("%j is refused", async (spec, status, message) => {
    const answer = await api.call("POST", `${account}/token`, { spec });
    expect(answer.status).toBe(status);
    expect(answer.body.message).toContain(message);
  });

  it("is refused for a pod of another account, or one that has gone", async () => {
    const uid = await makePod();
    const reference = { apiVersion: "v1", kind: "Pod", name: "p" };
    const other = await api.call("POST", `${core}/serviceaccounts/default/token`, {
      spec: { boundObjectRef: reference },
    });
    expect([404, 400]).toContain(other.status);
    const gone = await api.call("POST", `${account}/token`, {
      spec: { boundObjectRef: { ...reference, uid: `${uid}x` } },
    });
    expect(gone.status).toBe(409);
  });

  it("needs the account", async () => {
    expect((await api.call("POST", `${core}/serviceaccounts/nobody/token`, { spec: {} })).status).toBe(404);
  });
});

it("others can check the tokens by what the issuer publishes", async () => {
  const configuration = await api.call("GET", "/.well-known/openid-configuration");
  expect(configuration.body).toMatchObject({
    issuer,
    jwks_uri: "https://192.0.2.1:6443/openid/v1/jwks",
    id_token_signing_alg_values_supported: ["RS256"],
  });
  const published = JSON.parse((await api.call("GET", "/openid/v1/jwks")).text) as JSONWebKeySet;
  expect(published.keys).toHaveLength(2);
  expect(JSON.stringify(published)).not.toContain('"d"');
  await expect(compactVerify(await request(), createLocalJWKSet(published))).resolves.toBeDefined();
});
