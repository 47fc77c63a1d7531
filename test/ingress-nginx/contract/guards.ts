import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { Fixture } from "../../dataplane/suite.ts";
import { lab, type Needs } from "../fixture.ts";
import { secureBackend } from "./backends.ts";

const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString("base64")}` });

export function guardsContract(made: Fixture, needs: Needs): void {
  test.each(["whitelist-source-range", "allowlist-source-range"])(
    "%s lets in who is in it, and nobody else",
    async (name) => {
      const { ingress, get } = await lab(made);
      await ingress("web", { [name]: "10.0.0.0/8, 127.0.0.0/8" });
      expect((await get("/")).status).toBe(200);
      await ingress("web", { [name]: "10.0.0.0/8" });
      expect((await get("/")).status).toBe(403);
      expect((await get("/", { headers: { "x-forwarded-for": "10.1.1.1", "x-real-ip": "10.1.1.1" } })).status).toBe(
        403,
      );
    },
  );

  test("denylist-source-range keeps out who is in it, and nobody else", async () => {
    const { ingress, get } = await lab(made);
    await ingress("web", { "denylist-source-range": "127.0.0.1" });
    expect((await get("/")).status).toBe(403);
    await ingress("web", { "denylist-source-range": "192.0.2.0/24" });
    expect((await get("/")).status).toBe(200);
  });

  test("a range of a client behind a trusted forwarder is that of the client", async () => {
    const { ingress, get } = await lab(made, ["web"], { trustedForwarders: ["127.0.0.0/8"] });
    await ingress("web", { "whitelist-source-range": "10.0.0.0/8" });
    expect((await get("/", { headers: { "x-forwarded-for": "10.1.1.1" } })).status).toBe(200);
    expect((await get("/", { headers: { "x-forwarded-for": "192.0.2.1" } })).status).toBe(403);
  });

  test("a guard whose value cannot be read stays shut, and says why", async () => {
    const { ingress, get, cluster } = await lab(made, ["web"]);
    await ingress("one", { "whitelist-source-range": "everyone" });
    await ingress("two", {}, [{}], { host: "two.test" });
    expect((await get("/")).status).toBe(500);
    expect((await get("/", { host: "two.test" })).status).toBe(200);
    // Beside it, a data plane may say what it does in its own way.
    const problems = cluster.ingress.current()?.problems.filter(({ reason }) => reason !== "UnsupportedFeature");
    expect(problems).toMatchObject([
      {
        reason: "InvalidAnnotation",
        field: "metadata.annotations[nginx.ingress.kubernetes.io/whitelist-source-range]",
      },
    ]);
  });

  test("auth-type basic: the right password, a wrong one, none, and a Secret that is not there", async () => {
    const { ingress, get, seen, cluster } = await lab(made);
    const annotations = { "auth-type": "basic", "auth-secret": "users", "auth-realm": "Private" };
    await ingress("web", annotations);
    expect((await get("/", { headers: basic("ann:secret") })).status).toBe(500);
    cluster.secret("users", { auth: "ann:{PLAIN}secret\nbob:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/\n" });
    await cluster.served();
    const reply = await get("/");
    expect([reply.status, reply.headers["www-authenticate"]]).toEqual([401, 'Basic realm="Private"']);
    expect((await get("/", { headers: basic("ann:wrong") })).status).toBe(401);
    expect((await get("/", { headers: basic("eve:secret") })).status).toBe(401);
    expect((await seen("/", { headers: basic("ann:secret") })).name).toBe("web");
    expect((await seen("/", { headers: basic("bob:myPassword") })).name).toBe("web");
    cluster.secret("users", { auth: "ann:{PLAIN}changed\n" });
    await cluster.served();
    expect((await get("/", { headers: basic("ann:secret") })).status).toBe(401);
    expect((await get("/", { headers: basic("ann:changed") })).status).toBe(200);
  });

  test("auth-secret: bcrypt, SHA-512 and DES as htpasswd writes them, on WebSockets too, or nobody", async () => {
    const { ingress, get, seen, cluster } = await lab(made);
    const users = [
      "ann:$6$rounds=1000$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/",
      "bob:abNANd1rDfiNc",
      "eve:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
    ];
    cluster.secret("users", { auth: users.join("\n") });
    await ingress("web", { "auth-type": "basic", "auth-secret": "users" });
    for (const name of ["ann", "bob", "eve"]) {
      expect((await get("/", { headers: basic(`${name}:wrong`) })).status).toBe(401);
      expect(
        (await get("/", { headers: { ...basic(`${name}:wrong`), connection: "Upgrade", upgrade: "x" } })).status,
      ).toBe(401);
      expect((await seen("/", { headers: basic(`${name}:secret`) })).name).toBe("web");
    }
  });

  test("auth-type: whoever tries passwords comes to the end of limit-rpm, and whoever knows one has it", async () => {
    const { ingress, get, cluster } = await lab(made);
    cluster.secret("users", { auth: "ann:{PLAIN}secret\n" });
    for (const type of ["basic", "digest"]) {
      const host = `${type}.test`;
      const limits = { "limit-rpm": "1", "limit-burst-multiplier": "2" };
      await ingress(type, { "auth-type": type, "auth-secret": "users", ...limits }, [{}], { host });
      const statuses = [];
      for (let i = 0; i < 5; i++) statuses.push((await get("/", { host, headers: basic("ann:wrong") })).status);
      expect([type, statuses]).toEqual([type, [401, 401, 401, 503, 503]]);
    }
  });

  test("a password is the proxy's business, and no backend sees it", async () => {
    const { ingress, seen, cluster } = await lab(made);
    cluster.secret("users", { auth: "ann:{PLAIN}secret\n" });
    await ingress("web", { "auth-type": "basic", "auth-secret": "users" });
    expect((await seen("/", { headers: basic("ann:secret") })).headers).not.toHaveProperty("authorization");
    await ingress("web", {});
    expect((await seen("/", { headers: basic("ann:secret") })).headers["authorization"]).toBe(
      basic("ann:secret").authorization,
    );
  });

  needs("DigestAuth")(
    "auth-type digest: each answer counts once, for its own target, and only while its question is new",
    async () => {
      const { ingress, get, cluster } = await lab(made);
      const md5 = (text: string) => createHash("md5").update(text).digest("hex");
      cluster.secret("users", { auth: `ann:Private:${md5("ann:Private:secret")}\n` });
      await ingress("web", { "auth-type": "digest", "auth-secret": "users", "auth-realm": "Private" });
      const challenge = (await get("/a")).headers["www-authenticate"] ?? "";
      const [, nonce = ""] = /nonce="([^"]+)"/.exec(challenge) ?? [];
      expect(challenge).toBe(`Digest realm="Private", qop="auth", algorithm=MD5, nonce="${nonce}"`);
      const answer = (count: number, { uri = "/a?b=c", password = "secret", method = "GET", asked = nonce } = {}) => {
        const nc = count.toString(16).padStart(8, "0");
        const first = md5(`ann:Private:${password}`);
        const response = md5(`${first}:${asked}:${nc}:c0ffee:auth:${md5(`${method}:${uri}`)}`);
        return {
          authorization: `Digest username="ann", realm="Private", nonce="${asked}", uri="${uri}", qop=auth, nc=${nc}, cnonce="c0ffee", response="${response}"`,
        };
      };
      const statusOf = async (headers: Record<string, string>) => (await get("/a?b=c", { headers })).status;
      expect(await statusOf(answer(1))).toBe(200);
      expect(await statusOf(answer(1))).toBe(401);
      expect(await statusOf(answer(3))).toBe(200);
      expect(await statusOf(answer(2))).toBe(200);
      expect(await statusOf(answer(4, { password: "wrong" }))).toBe(401);
      expect(await statusOf(answer(4, { uri: "/other" }))).toBe(401);
      expect(await statusOf(answer(4, { method: "DELETE" }))).toBe(401);
      expect(await statusOf(answer(4, { asked: `${nonce.slice(0, -1)}~` }))).toBe(401);
      expect(await statusOf(basic("ann:secret"))).toBe(401);
      expect(await statusOf(answer(4))).toBe(200);
    },
  );

  test("auth-secret-type auth-map", async () => {
    const { ingress, get, cluster } = await lab(made);
    cluster.secret("users", { ann: "{PLAIN}secret" });
    // The same Secret read in both ways: neither harms the other.
    await ingress("file", { "auth-type": "basic", "auth-secret": "users" }, [{}], { host: "file.test" });
    await ingress("web", { "auth-type": "basic", "auth-secret": "users", "auth-secret-type": "auth-map" });
    expect((await get("/", { host: "file.test", headers: basic("ann:secret") })).status).toBe(401);
    expect((await get("/", { headers: basic("ann:secret") })).status).toBe(200);
    expect((await get("/", { headers: basic("ann:x") })).status).toBe(401);
  });

  test("satisfy any: an address or a password", async () => {
    const { ingress, get, cluster } = await lab(made);
    cluster.secret("users", { auth: "ann:{PLAIN}secret" });
    const guards = { "auth-type": "basic", "auth-secret": "users", satisfy: "any" };
    await ingress("web", { ...guards, "whitelist-source-range": "127.0.0.0/8" });
    expect((await get("/")).status).toBe(200);
    await ingress("web", { ...guards, "whitelist-source-range": "192.0.2.0/24" });
    expect((await get("/")).status).toBe(401);
    expect((await get("/", { headers: basic("ann:secret") })).status).toBe(200);
    await ingress("web", { satisfy: "any", "whitelist-source-range": "192.0.2.0/24" });
    expect((await get("/")).status).toBe(403);
    await ingress("web", { ...guards, satisfy: "all", "whitelist-source-range": "192.0.2.0/24" });
    expect((await get("/", { headers: basic("ann:secret") })).status).toBe(403);
  });

  needs("ExternalAuth")(
    "auth-url: asked for each request; 2xx lets in, 401 and 403 do not, anything else is an error",
    async () => {
      const { ingress, get, seen, cluster } = await lab(made);
      const asked: Record<string, unknown>[] = [];
      const service = await made.backend("auth", (request, response) => {
        asked.push({ url: request.url, method: request.method, ...request.headers });
        const status = Number(request.headers["x-want"] ?? 200);
        response.writeHead(status, { "x-user": "ann", "www-authenticate": "Custom", "set-cookie": "a=b" });
        response.end("no");
      });
      cluster.service("auth", [service]);
      await ingress("web", {
        "auth-url": "http://auth.shop.svc.cluster.local/check?x=1",
        "auth-response-headers": "X-User, X-Group",
      });
      const { headers } = await seen("/path?q=1", {
        method: "POST",
        body: "text",
        headers: { "x-user": "mallory", "x-group": "root" },
      });
      expect(headers["x-user"]).toBe("ann");
      expect(headers["x-group"]).toBeUndefined();
      expect(asked[0]).toMatchObject({
        url: "/check?x=1",
        method: "GET",
        host: "auth.shop.svc.cluster.local",
        "x-original-url": "http://shop.test/path?q=1",
        "x-original-method": "POST",
        "x-auth-request-redirect": "/path?q=1",
      });
      expect(asked[0]).not.toHaveProperty("content-length");
      expect((await get("/", { headers: { "x-want": "401" } })).status).toBe(401);
      expect((await get("/", { headers: { "x-want": "401" } })).headers["www-authenticate"]).toBe("Custom");
      expect((await get("/", { headers: { "x-want": "403" } })).status).toBe(403);
      expect((await get("/", { headers: { "x-want": "302" } })).status).toBe(500);
      await service.close();
      expect((await get("/")).status).toBe(500);
    },
  );

  needs("ExternalAuth")(
    "auth-url: cookies of who lets a request in go to the client, with auth-always-set-cookie beside errors too",
    async () => {
      const { ingress, get, cluster } = await lab(made, []);
      cluster.service("web", [
        await made.backend("web", (request, response) => {
          response.setHeader("set-cookie", "own=1");
          response.writeHead(Number(request.url?.slice(1))).end();
        }),
      ]);
      cluster.service("auth", [
        await made.backend("auth", (_request, response) => {
          response.setHeader("set-cookie", ["session=new; Path=/", "second=2"]);
          response.end();
        }),
      ]);
      const auth = { "auth-url": "http://auth.shop.svc.cluster.local/" };
      await ingress("web", auth);
      const given = ["session=new; Path=/", "second=2"];
      expect((await get("/200")).headers["set-cookie"]).toEqual(["own=1", ...given]);
      expect((await get("/404")).headers["set-cookie"]).toEqual(["own=1"]);
      await ingress("web", { ...auth, "auth-always-set-cookie": "true" });
      expect((await get("/404")).headers["set-cookie"]).toEqual(["own=1", ...given]);
    },
  );

  needs("ExternalAuth")(
    "auth-cache-key: an answer is remembered for who has the same key, and for nobody else",
    async () => {
      const auth = { "auth-url": "http://auth.shop.svc.cluster.local/", "auth-response-headers": "X-User" };
      const key = { "auth-cache-key": "$remote_user$http_authorization" };
      for (const [annotations, nginxOptions] of [
        [{ ...auth, ...key, "auth-cache-duration": "200 10m, 401 5m" }, {}],
        [auth, { "global-auth-cache-key": "$http_authorization", "global-auth-cache-duration": "any 1h" }],
      ] as const) {
        const { ingress, get, seen, cluster } = await lab(made, ["web"], { nginxOptions });
        const asked = new Map<string, number>();
        let cookie = false;
        cluster.service("auth", [
          await made.backend("auth", (request, response) => {
            const who = request.headers.authorization ?? "nobody";
            asked.set(who, (asked.get(who) ?? 0) + 1);
            if (cookie) response.setHeader("set-cookie", "a=b");
            response.setHeader("x-user", who);
            response.setHeader("www-authenticate", "Custom");
            response.writeHead(who.startsWith("good") ? 200 : 401).end();
          }),
        ]);
        await ingress("web", annotations);
        // Each thread of a data plane may ask once.
        const times = 40;
        for (let i = 0; i < times; i++) {
          expect((await seen("/", { headers: { authorization: "good 1" } })).headers["x-user"]).toBe("good 1");
          const bad = await get("/", { headers: { authorization: "bad" } });
          expect([bad.status, bad.headers["www-authenticate"]]).toEqual([401, "Custom"]);
        }
        expect((await seen("/", { headers: { authorization: "good 2" } })).headers["x-user"]).toBe("good 2");
        expect((await get("/")).status).toBe(401);
        for (const who of ["good 1", "bad"]) expect(asked.get(who)).toBeLessThan(times / 2);
        // What is for one client is remembered for none.
        cookie = true;
        for (let i = 0; i < 5; i++) await get("/", { headers: { authorization: "good 3" } });
        expect(asked.get("good 3")).toBe(5);
        cookie = false;
        await ingress("web", auth);
        if (!("global-auth-cache-key" in nginxOptions)) {
          for (let i = 0; i < 5; i++) await get("/", { headers: { authorization: "good 4" } });
          expect(asked.get("good 4")).toBe(5);
        }
      }
    },
  );

  needs("ExternalAuth")("auth-method, -request-redirect, -proxy-set-headers: what the question says", async () => {
    const { ingress, get, seen, cluster } = await lab(made);
    const asked: Record<string, unknown>[] = [];
    cluster.service("auth", [
      await made.backend("auth", (request, response) => {
        asked.push({ method: request.method, ...request.headers });
        response.end();
      }),
    ]);
    const auth = {
      "auth-url": "http://auth.shop.svc.cluster.local/",
      "auth-method": "POST",
      "auth-request-redirect": "https://$host/after",
      "auth-proxy-set-headers": "shop/asked",
    };
    await ingress("web", auth);
    expect((await get("/")).status).toBe(500);
    cluster.configMap("asked", { "X-Own": "42", "X-Method": "$request_method", "X-Forged": "ours" });
    await cluster.served();
    const { headers } = await seen("/", { headers: { "x-forged": "theirs" } });
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({
      method: "POST",
      "x-auth-request-redirect": "https://shop.test/after",
      "x-own": "42",
      "x-method": "GET",
      "x-forged": "ours",
    });
    // The backend is told nothing of it.
    expect(headers).toMatchObject({ "x-forged": "theirs" });
    expect(headers).not.toHaveProperty("x-own");
  });

  needs("ExternalAuth")("global-auth-url, and enable-global-auth to be left out of it", async () => {
    const { ingress, get, cluster } = await lab(made, ["web"], {
      nginxOptions: { "global-auth-url": "http://auth.shop.svc.cluster.local/" },
    });
    cluster.service("auth", [await made.backend("auth", (_request, response) => response.writeHead(401).end())]);
    await ingress("web", {});
    expect((await get("/")).status).toBe(401);
    await ingress("web", { "enable-global-auth": "true" });
    expect((await get("/")).status).toBe(401);
    await ingress("web", { "enable-global-auth": "false" });
    expect((await get("/")).status).toBe(200);
  });

  needs("ExternalAuth")(
    "auth-signin: a client that is not known is sent there, with where it wanted to go",
    async () => {
      const { ingress, get, cluster } = await lab(made);
      cluster.service("auth", [
        await made.backend("auth", (request, response) =>
          response.writeHead(request.headers["x-known"] === "yes" ? 200 : 401).end(),
        ),
      ]);
      await ingress("web", {
        "auth-url": "http://auth.shop.svc.cluster.local/",
        "auth-signin": "https://login.test/start",
      });
      expect((await get("/", { headers: { "x-known": "yes" } })).status).toBe(200);
      const reply = await get("/a?b=c");
      expect([reply.status, reply.headers.location]).toEqual([
        302,
        `https://login.test/start?rd=${encodeURIComponent("http://shop.test/a?b=c")}`,
      ]);
      await ingress("web", {
        "auth-url": "http://auth.shop.svc.cluster.local/",
        "auth-signin": "https://login.test/start",
        "auth-signin-redirect-param": "back",
      });
      expect((await get("/")).headers.location).toBe(
        `https://login.test/start?back=${encodeURIComponent("http://shop.test/")}`,
      );
      await ingress("web", {
        "auth-url": "http://auth.shop.svc.cluster.local/",
        "auth-signin": "https://login.test/start?third=1",
      });
      expect((await get("/")).headers.location).toBe(
        `https://login.test/start?third=1&rd=${encodeURIComponent("http://shop.test/")}`,
      );
    },
  );

  needs("ExternalAuth")("auth-url on a host of its own: the request for it is led as the routes say", async () => {
    const { ingress, get, cluster } = await lab(made);
    const service = await made.backend("auth", (request, response) =>
      response.writeHead(request.headers["authorization"] === "Bearer good" ? 202 : 401).end(),
    );
    cluster.service("auth", [service]);
    await ingress("oauth", {}, [{ path: "/oauth2", service: "auth" }]);
    await ingress("web", { "auth-url": "https://$host/oauth2/auth" });
    expect((await get("/")).status).toBe(401);
    expect((await get("/", { headers: { authorization: "Bearer good" } })).status).toBe(200);
  });

  needs("ExternalAuth")("auth-url over TLS, whoever answers", async () => {
    const { ingress, get, cluster } = await lab(made);
    cluster.service("auth", [await secureBackend("auth.test")]);
    await ingress("web", { "auth-url": "https://auth.shop.svc.cluster.local:80/" });
    expect((await get("/")).status).toBe(200);
    cluster.service("auth", [await made.backend("auth")]);
    await cluster.served();
    expect((await get("/")).status).toBe(500);
  });

  test("auth-url to anywhere else is refused, and nobody gets in", async () => {
    const { ingress, get } = await lab(made);
    await ingress("web", { "auth-url": "http://169.254.169.254/latest" });
    expect((await get("/")).status).toBe(500);
  });

  test("WebSockets are guarded too", async () => {
    const { ingress, get } = await lab(made);
    const upgrade = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    await ingress("web", { "whitelist-source-range": "192.0.2.0/24" });
    expect((await get("/", { headers: upgrade })).status).toBe(403);
    await ingress("web", { "auth-url": "http://nobody.shop.svc.cluster.local/" });
    expect((await get("/", { headers: upgrade })).status).toBe(500);
  });

  test("limit-rps: what is beyond rate and burst gets 503; other clients and exempt ones do not", async () => {
    const { ingress, get } = await lab(made, ["web"], { trustedForwarders: ["127.0.0.0/8"] });
    await ingress("web", { "limit-rpm": "1", "limit-burst-multiplier": "2", "limit-whitelist": "10.0.0.0/8" });
    const statusOf = async (client: string) => (await get("/", { headers: { "x-forwarded-for": client } })).status;
    const statuses = [];
    for (let i = 0; i < 5; i++) statuses.push(await statusOf("192.0.2.1"));
    expect(statuses).toEqual([200, 200, 200, 503, 503]);
    expect(await statusOf("192.0.2.2")).toBe(200);
    for (let i = 0; i < 5; i++) expect(await statusOf("10.0.0.1")).toBe(200);
    await ingress("web", { "limit-rps": "1", "limit-burst-multiplier": "1", "limit-allowlist": "10.0.0.0/8" });
    const many = await Promise.all(Array.from({ length: 6 }, () => statusOf("192.0.2.3")));
    expect(many).toContain(200);
    expect(many).toContain(503);
    for (let i = 0; i < 5; i++) expect(await statusOf("10.0.0.1")).toBe(200);
  });

  test("limit-rpm: one count for all paths of an Ingress, and one of its own for another", async () => {
    const { ingress, get } = await lab(made);
    const limits = { "limit-rpm": "1", "limit-burst-multiplier": "1" };
    await ingress("web", limits, [{ path: "/a" }, { path: "/b" }]);
    await ingress("other", limits, [{ path: "/c" }]);
    const statuses = [];
    for (const path of ["/a", "/b", "/a", "/b", "/c"]) statuses.push((await get(path)).status);
    expect(statuses).toEqual([200, 200, 503, 503, 200]);
  });

  test("limit-connections: so many at once", async () => {
    const { ingress, get, cluster } = await lab(made, []);
    const held: (() => void)[] = [];
    cluster.service("web", [
      await made.backend("web", (_request, response) => void held.push(() => response.end("ok"))),
    ]);
    await ingress("web", { "limit-connections": "2" });
    const first = [get("/"), get("/")];
    while (held.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await get("/")).status).toBe(503);
    for (const release of held.splice(0)) release();
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200]);
    const again = get("/");
    while (held.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    for (const release of held) release();
    expect((await again).status).toBe(200);
  });

  // Not every data plane can count what comes without a size.
  test("proxy-body-size: 413 beyond; 0 is no limit", () => bodies(false));
  needs("BodyLimit")("proxy-body-size of a body whose size is not said", () => bodies(true));

  async function bodies(chunked: boolean): Promise<void> {
    const { ingress, get } = await lab(made);
    const options = (bytes: number) => ({
      method: "POST",
      body: Buffer.alloc(bytes, "x"),
      headers: chunked ? { "transfer-encoding": "chunked" } : { "content-length": String(bytes) },
    });
    await ingress("web", { "proxy-body-size": "1k" });
    expect((await get("/", options(1024))).status).toBe(200);
    expect((await get("/", options(1025))).status).toBe(413);
    await ingress("web", { "proxy-body-size": "0" });
    expect((await get("/", options(3 << 20))).status).toBe(200);
    await ingress("web", {});
    expect((await get("/", options((1 << 20) + 1))).status).toBe(413);
  }

  needs("ExternalAuth")("auth-snippet: fields of the question, and nothing else", async () => {
    const { ingress, get, seen, cluster } = await lab(made);
    const asked: unknown[] = [];
    cluster.service("auth", [
      await made.backend("auth", (request, response) => {
        asked.push(request.headers["x-own"]);
        response.end();
      }),
    ]);
    const auth = { "auth-url": "http://auth.shop.svc.cluster.local/" };
    await ingress("web", { ...auth, "auth-snippet": 'proxy_set_header X-Own "42 $request_method $service_name";' });
    expect((await seen("/")).headers).not.toHaveProperty("x-own");
    expect(asked).toEqual(["42 GET web"]);
    await ingress("web", { ...auth, "auth-snippet": "proxy_pass_request_headers off;" });
    expect((await get("/")).status).toBe(500);
    // As with ingress-nginx it says nothing where nobody is asked.
    await ingress("web", { "auth-snippet": "proxy_set_header X-Own 42;" });
    expect((await get("/")).status).toBe(200);
    expect(asked).toHaveLength(1);
  });

  test.each([
    ["server-snippet", "deny all;"],
    ["configuration-snippet", "deny all;"],
    ["configuration-snippet", 'content_by_lua_block { os.execute("id") }'],
    ["modsecurity-snippet", "SecRuleEngine On"],
    ["enable-modsecurity", "true"],
    ["enable-owasp-core-rules", "true"],
    ["modsecurity-transaction-id", "$request_id"],
    ["stream-snippet", "server {}"],
    ["fastcgi-index", "index.php"],
    ["fastcgi-params-configmap", "shop/params"],
    ["auth-tls-verify-depth", "deep"],
    ["proxy-ssl-verify-depth", "deep"],
  ])("%s: %s is refused loudly, and nothing is served past it", async (name, value) => {
    const { ingress, get, cluster } = await lab(made);
    await ingress("web", { [name]: value });
    expect((await get("/")).status).toBe(500);
    expect(cluster.ingress.current()?.problems.map(({ reason }) => reason)).toContain("InvalidAnnotation");
  });
}
