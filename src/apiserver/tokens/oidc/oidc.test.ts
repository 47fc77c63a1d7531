import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type CryptoKey, type JWK } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { systemClock } from "../../../system/index.ts";
import { openPki } from "../../pki/index.ts";
import type { TokenAuthenticator } from "../../authentication/index.ts";
import { parseAuthenticationConfiguration } from "./configuration.ts";
import { createOidcAuthenticator } from "./issuer.ts";

const api = "https://kubernetes.default.svc";
let dir: string;
let ca: string;
let server: Server;
let url: string;
/** What the issuer publishes, and how often that was fetched. */
let published: JWK[] = [];
let fetched = 0;
let named: string | undefined;
let key: CryptoKey;

async function newKey(kid: string, alg = "RS256"): Promise<CryptoKey> {
  const pair = await generateKeyPair(alg, { extractable: true });
  published.push({ ...(await exportJWK(pair.publicKey)), kid, alg, use: "sig" });
  return pair.privateKey;
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "oidc-"));
  const pki = await openPki(dir, systemClock);
  ca = pki.ca;
  const pair = await pki.server("issuer", { name: "issuer", hosts: ["127.0.0.1"] });
  server = createServer(pair, (request, response) => {
    const isKeys = request.url === "/keys";
    if (isKeys) fetched++;
    const body = isKeys ? { keys: published } : { issuer: named ?? url, jwks_uri: `${url}/keys` };
    response.setHeader("content-type", "application/json").end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  published = [];
  fetched = 0;
  named = undefined;
  key = await newKey("k1");
});

const usual = { username: { claim: "sub", prefix: "oidc:" }, groups: { claim: "groups", prefix: "oidc:" } };

async function authenticator(more: object = {}, issuer: object = {}): Promise<TokenAuthenticator> {
  const jwt = {
    issuer: { url, audiences: ["fairlead"], certificateAuthority: ca, ...issuer },
    claimMappings: usual,
    ...more,
  };
  const text = stringify({ apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration", jwt: [jwt] });
  const issuers = await parseAuthenticationConfiguration(text);
  return createOidcAuthenticator({ issuers, audiences: [api], now: Date.now, keyCooldown: 0 });
}
const draft = (claims: object = {}) =>
  new SignJWT({ iss: url, aud: "fairlead", sub: "jane", groups: ["dev"], ...claims }).setExpirationTime("1h");
const token = (claims: object = {}, with_ = key, kid = "k1") =>
  draft(claims).setProtectedHeader({ alg: "RS256", kid }).sign(with_);

describe("a token of an issuer", () => {
  it("names user and groups, and counts for the API", async () => {
    const take = await authenticator();
    const user = { name: "oidc:jane", groups: ["oidc:dev"] };
    expect(await take(await token(), [api])).toEqual({ user, audiences: [api] });
    expect(await take(await token({ aud: ["other", "fairlead"], groups: "ops" }), [api])).toMatchObject({
      user: { groups: ["oidc:ops"] },
    });
    expect(fetched).toBe(1);
  });

  it("may be signed by a key that came since", async () => {
    const take = await authenticator();
    await take(await token(), [api]);
    const fresh = await newKey("k2");
    expect((await take(await token({}, fresh, "k2"), [api]))?.user.name).toBe("oidc:jane");
    expect(fetched).toBe(2);
  });

  it("of somebody else is none of ours", async () => {
    const take = await authenticator();
    expect(await take(await token({ iss: "https://elsewhere" }), [api])).toBeUndefined();
    expect(await take("nonsense", [api])).toBeUndefined();
    expect(await take(await token(), ["vault"])).toBeUndefined();
  });

  it.each<[string, () => Promise<string> | string]>([
    ["for another audience", () => token({ aud: "other" })],
    [
      "that has ended",
      () => token({}).then(() => draft().setExpirationTime(1).setProtectedHeader({ alg: "RS256" }).sign(key)),
    ],
    [
      "that does not end",
      () => new SignJWT({ iss: url, aud: "fairlead", sub: "x" }).setProtectedHeader({ alg: "RS256" }).sign(key),
    ],
    ["without a signature", () => new UnsecuredJWT({ iss: url, aud: "fairlead", sub: "x", exp: 9e9 }).encode()],
    [
      "signed by a shared secret",
      () =>
        draft()
          .setProtectedHeader({ alg: "HS256" })
          .sign(new TextEncoder().encode(JSON.stringify(published[0]))),
    ],
    ["signed by another key", async () => token({}, (await generateKeyPair("RS256")).privateKey)],
    ["without a user", () => token({ sub: "" })],
    ["whose groups are no texts", () => token({ groups: [1] })],
  ])("%s is refused", async (_what, make) => {
    const take = await authenticator();
    await expect((async () => take(await make(), [api]))()).rejects.toThrow();
  });
});

describe("rules", () => {
  it("want claims to be as they say", async () => {
    const take = await authenticator({ claimValidationRules: [{ claim: "hd", requiredValue: "example.test" }] });
    await expect((async () => take(await token(), [api]))()).rejects.toThrow("claim hd is not");
    expect(await take(await token({ hd: "example.test" }), [api])).toBeDefined();
  });

  it("an address counts only when it was verified", async () => {
    const take = await authenticator({ claimMappings: { username: { claim: "email", prefix: "" } } });
    await expect(
      (async () => take(await token({ email: "a@b.test", email_verified: false }), [api]))(),
    ).rejects.toThrow("not verified");
    expect((await take(await token({ email: "a@b.test", email_verified: true }), [api]))?.user.name).toBe("a@b.test");
  });

  it("may be expressions", async () => {
    const take = await authenticator({
      claimValidationRules: [{ expression: "claims.exp - claims.iat <= 86400", message: "too long" }],
      claimMappings: {
        username: { expression: "'x:' + claims.sub" },
        groups: { expression: "claims.roles.split(',')" },
        uid: { claim: "oid" },
        extra: [{ key: "example.test/tenant", valueExpression: "claims.tenant" }],
      },
      userValidationRules: [{ expression: "!user.username.startsWith('x:root')", message: "no root" }],
    });
    const claims = { roles: "a,b", oid: "7", tenant: "t", iat: Math.floor(Date.now() / 1000) };
    expect((await take(await token(claims), [api]))?.user).toEqual({
      name: "x:jane",
      groups: ["a", "b"],
      uid: "7",
      extra: { "example.test/tenant": ["t"] },
    });
    await expect((async () => take(await token({ ...claims, sub: "root" }), [api]))()).rejects.toThrow("no root");
    await expect((async () => take(await token({ ...claims, iat: 0 }), [api]))()).rejects.toThrow("too long");
  });

  it("that are wrong are told at the start", async () => {
    await expect(authenticator({ claimMappings: { username: { expression: "claims.(" } } })).rejects.toThrow(
      "is wrong",
    );
  });
});

describe("an issuer", () => {
  it("must be who it says, known to the authority, and there", async () => {
    named = "https://elsewhere";
    await expect((async () => (await authenticator())(await token(), [api]))()).rejects.toThrow("names another issuer");
    named = undefined;
    const untrusted = await authenticator({}, { certificateAuthority: "" });
    await expect((async () => untrusted(await token(), [api]))()).rejects.toThrow("could not be reached");
  });

  it.each<[object, string]>([
    [{ url: "http://a.test" }, "https"],
    [{ audiences: [] }, "must not be empty"],
    [{ audiences: ["a", "b"] }, "MatchAny"],
  ])("%j is refused", async (issuer, message) => {
    await expect(authenticator({}, issuer)).rejects.toThrow(message);
  });

  const byEmail = { username: { expression: "'oidc:' + claims.email" } };
  const verified = "claims.?email_verified.orValue(true) == true";
  it.each<[object, string]>([
    [{ claimMapping: {} }, 'jwt[0] has the unknown field "claimMapping"'],
    [
      { issuer: { url: "https://a.test", audiences: ["a"], audience: "a" } },
      'jwt[0].issuer has the unknown field "audience"',
    ],
    [{ claimMappings: { ...usual, user: {} } }, 'jwt[0].claimMappings has the unknown field "user"'],
    [{ claimMappings: { username: { claim: "sub", prefix: "", postfix: "" } } }, 'unknown field "postfix"'],
    [{ claimValidationRules: [{ claim: "hd", required: "x" }] }, 'unknown field "required"'],
    [{ claimValidationRules: [{ claim: "hd", expression: "true" }] }, "expression does not go with claim"],
    [
      { claimValidationRules: [{ requiredValue: "x", expression: "true" }] },
      "requiredValue does not go with expression",
    ],
    [
      { claimMappings: { ...usual, uid: { claim: "sub", expression: "claims.sub" } } },
      "uid: expression does not go with",
    ],
    [{ claimMappings: { ...usual, extra: [{ key: "a.k8s.io/b", valueExpression: "'x'" }] } }, "are reserved"],
    [{ claimMappings: byEmail }, "claims.email_verified must be looked at"],
    [
      { claimMappings: { username: { expression: "claims.?email.orValue('claims.email_verified')" } } },
      "must be looked at",
    ],
  ])("%j is refused", async (more, message) => {
    await expect(authenticator(more)).rejects.toThrow(message);
  });

  it.each<[string, object]>([
    [
      "in the name",
      { claimMappings: { username: { expression: "claims.email_verified ? claims.email : claims.sub" } } },
    ],
    ["in a rule", { claimMappings: byEmail, claimValidationRules: [{ expression: verified }] }],
    [
      "in what is extra",
      { claimMappings: { ...byEmail, extra: [{ key: "a.test/b", valueExpression: `string(${verified})` }] } },
    ],
    [
      "not at all, where it is no address",
      { claimMappings: { username: { expression: "claims.email_name + 'claims.email'" } } },
    ],
  ])("may name users by addresses that are looked at %s", async (_where, more) => {
    await expect(authenticator(more)).resolves.toBeTypeOf("function");
  });
});
