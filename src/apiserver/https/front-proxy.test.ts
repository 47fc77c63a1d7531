import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { silentLogger, systemClock } from "../../system/index.ts";
import { openPki, type KeyPair } from "../pki/index.ts";
import { createAuthenticator } from "../authentication/index.ts";
import { startTestApi, type TestApi } from "../test-api.ts";
import { serveHttps, type Served } from "./serve.ts";

let dir: string;
let api: TestApi;
let served: Served;
let strict: Served;
let pairs: Record<"alice" | "proxy" | "other" | "admin", KeyPair>;
let stranger: KeyPair;
const ended = new AbortController();

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "front-proxy-"));
  const pki = await openPki(join(dir, "pki"), systemClock);
  const proxies = await pki.frontProxy();
  const elsewhere = await openPki(join(dir, "elsewhere"), systemClock);
  pairs = {
    alice: await pki.client("alice", { user: "alice", groups: ["dev"] }),
    admin: await pki.client("admin", { user: "admin", groups: ["system:masters"] }),
    proxy: await proxies.client("proxy", { user: "front-proxy-client", groups: ["system:masters"] }),
    other: await proxies.client("other", { user: "somebody", groups: [] }),
  };
  stranger = await elsewhere.client("stranger", { user: "admin", groups: ["system:masters"] });
  api = await startTestApi();
  const own = await pki.server("server", { name: "server", hosts: ["127.0.0.1"] });
  const common = {
    host: "127.0.0.1",
    port: 0,
    ...own,
    clientCa: pki.ca,
    frontProxyCa: proxies.ca,
    signal: ended.signal,
    log: silentLogger,
  };
  served = await serveHttps(api.handler, { ...common, authenticator: api.authenticator });
  const named = createAuthenticator({ frontProxy: { allowedNames: ["front-proxy-client"] } });
  strict = await serveHttps(api.handler, { ...common, authenticator: named });
});
afterAll(async () => {
  ended.abort();
  await Promise.all([served.stopped, strict.stopped]);
  await api.stop();
  rmSync(dir, { recursive: true, force: true });
});

type Headers = Record<string, string | string[]>;

/** What the API says of who asks: the answer's code and user. */
async function who(pair: KeyPair | undefined, headers: Headers = {}, to = served) {
  const body = JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" });
  const text = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const asked = request({
      host: "127.0.0.1",
      port: to.port,
      method: "POST",
      path: "/apis/authentication.k8s.io/v1/selfsubjectreviews",
      rejectUnauthorized: false,
      agent: false,
      ...(pair ? { cert: pair.cert, key: pair.key } : {}),
      headers: { "content-type": "application/json", ...headers },
    });
    asked.on("response", (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }));
    });
    asked.on("error", reject);
    asked.end(body);
  });
  const answer = JSON.parse(text.text) as { status?: { userInfo?: object } | string; message?: string };
  const user = typeof answer.status === "object" ? answer.status.userInfo : answer.message;
  return { status: text.status, user };
}

const remote: Headers = {
  "X-Remote-User": "bob",
  "X-Remote-Uid": "u7",
  "X-Remote-Group": ["dev", "a,b"],
  "X-Remote-Extra-Example.org%2fScope": ["one", "two"],
};

describe("a front proxy", () => {
  it("speaks for users", async () => {
    expect(await who(pairs.proxy, remote)).toEqual({
      status: 201,
      user: {
        username: "bob",
        uid: "u7",
        groups: ["dev", "a,b", "system:authenticated"],
        extra: { "example.org/scope": ["one", "two"] },
      },
    });
  });

  it("is no user itself, whatever its certificate says", async () => {
    expect(await who(pairs.proxy)).toEqual({ status: 401, user: "Unauthorized" });
    expect((await who(pairs.proxy, { "X-Remote-User": "" })).status).toBe(401);
  });

  it("must have one of the names, where they are given", async () => {
    expect((await who(pairs.proxy, remote, strict)).status).toBe(201);
    expect((await who(pairs.other, remote, strict)).status).toBe(401);
  });
});

describe("somebody else", () => {
  it("with a certificate stays who they are", async () => {
    const { user } = await who(pairs.alice, {
      ...remote,
      "X-Remote-User": "admin",
      "X-Remote-Group": "system:masters",
    });
    expect(user).toMatchObject({ username: "alice", groups: ["dev", "system:authenticated"] });
  });

  it("without one stays anonymous", async () => {
    const refused = await who(undefined, remote);
    expect(refused.status).toBe(403);
    expect(refused.user).toContain('User "system:anonymous" cannot create');
  });

  it("with a certificate of another authority is refused", async () => {
    expect(await who(stranger, remote)).toEqual({ status: 401, user: "Unauthorized" });
  });
});

describe("impersonation", () => {
  const as: Headers = {
    "Impersonate-User": "eve",
    "Impersonate-Group": ["x", "y,z"],
    "Impersonate-Uid": "7",
    "Impersonate-Extra-Scopes": ["one", "two"],
  };

  it("is by headers, each one a value", async () => {
    expect((await who(pairs.admin, as)).user).toEqual({
      username: "eve",
      uid: "7",
      groups: ["x", "y,z", "system:authenticated"],
      extra: { scopes: ["one", "two"] },
    });
  });

  it.each<[string, Headers, string]>([
    ["a user", { "Impersonate-User": "admin" }, 'impersonate resource "users"'],
    [
      "the superusers",
      { "Impersonate-User": "alice", "Impersonate-Group": "system:masters" },
      'impersonate resource "users"',
    ],
    [
      "an account",
      { "Impersonate-User": "system:serviceaccount:kube-system:default" },
      'impersonate resource "serviceaccounts"',
    ],
    ["nobody in a group", { "Impersonate-Group": "system:masters" }, "without impersonating a user"],
  ])("of %s is refused to who has no right to it", async (_what, headers, message) => {
    const refused = await who(pairs.alice, headers);
    expect([400, 403]).toContain(refused.status);
    expect(refused.user).toContain(message);
  });

  it("needs a right for each part", async () => {
    const rbac = "/apis/rbac.authorization.k8s.io/v1";
    const rules = [{ apiGroups: [""], resources: ["users"], verbs: ["impersonate"], resourceNames: ["eve"] }];
    await api.call("POST", `${rbac}/clusterroles`, { metadata: { name: "actor" }, rules });
    await api.call("POST", `${rbac}/clusterrolebindings`, {
      metadata: { name: "actor" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "actor" },
      subjects: [{ kind: "User", name: "alice", apiGroup: "rbac.authorization.k8s.io" }],
    });
    expect((await who(pairs.alice, { "Impersonate-User": "eve" })).status).toBe(201);
    const parts: [Headers, string][] = [
      [{ "Impersonate-Group": "system:masters" }, 'groups "system:masters" is forbidden'],
      [{ "Impersonate-Uid": "1" }, "uids.authentication.k8s.io"],
      [{ "Impersonate-Extra-Scopes": "all" }, "userextras/scopes"],
    ];
    for (const [headers, message] of parts) {
      const refused = await who(pairs.alice, { "Impersonate-User": "eve", ...headers });
      expect(refused.status).toBe(403);
      expect(refused.user).toContain(message);
    }
  });
});
