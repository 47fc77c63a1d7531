import { expect, test } from "vitest";
import { match } from "../../../src/routing/index.ts";
import { resources } from "../../../src/kube/index.ts";
import { type Fixture, rule } from "../../dataplane/suite.ts";
import { lab, type Needs, prefix } from "../fixture.ts";

export function routingContract(made: Fixture, needs: Needs): void {
  test("rewrite-target puts what was captured in the place of the path", async () => {
    const { ingress, seen, get } = await lab(made);
    await ingress("web", { "rewrite-target": "/$2" }, [
      { path: "/something(/|$)(.*)", pathType: "ImplementationSpecific" },
    ]);
    expect((await seen("/something")).url).toBe("/");
    expect((await seen("/something/")).url).toBe("/");
    expect((await seen("/something/new?a=b")).url).toBe("/new?a=b");
    expect((await seen("/SomeThing/new")).url).toBe("/new");
    expect((await get("/other")).status).toBe(404);
  });

  test("rewrite-target without groups is the whole path", async () => {
    const { ingress, seen } = await lab(made);
    await ingress("web", { "rewrite-target": "/fixed" }, [{ path: "/app" }]);
    expect((await seen("/app/deep/er?x=1")).url).toBe("/fixed?x=1");
  });

  test("x-forwarded-prefix is sent along with a rewrite, and not without", async () => {
    const { ingress, seen } = await lab(made);
    await ingress("one", { "rewrite-target": "/", "x-forwarded-prefix": "/app" }, [{ path: "/app" }]);
    await ingress("two", { "x-forwarded-prefix": "/plain" }, [{}], { host: "plain.test" });
    expect((await seen("/app")).headers["x-forwarded-prefix"]).toBe("/app");
    expect((await seen("/", { host: "plain.test" })).headers["x-forwarded-prefix"]).toBeUndefined();
  });

  test("surprise 1: expressions are bound at their begin only, and without regard to case", async () => {
    const { ingress, seen } = await lab(made);
    await ingress("web", { "use-regex": "true" }, [{ path: "/[A-Z]{3}", pathType: "ImplementationSpecific" }]);
    expect((await seen("/uuid")).url).toBe("/uuid");
    expect((await seen("/ABC/d")).url).toBe("/ABC/d");
  });

  test("surprise 2: use-regex on one Ingress makes expressions of all paths of its host, and of no other", async () => {
    const { ingress, seen, get } = await lab(made, ["web", "other"]);
    await ingress("one", { "use-regex": "true" }, [{ path: "/api/v[0-9]+", pathType: "ImplementationSpecific" }]);
    await ingress("two", {}, [{ path: "/headers", pathType: "Exact", service: "other" }]);
    await ingress("three", {}, [{ path: "/headers", pathType: "Exact", service: "other" }], { host: "plain.test" });
    expect((await seen("/HEADERSX")).name).toBe("other");
    expect((await get("/HEADERSX", { host: "plain.test" })).status).toBe(404);
    expect((await seen("/headers", { host: "plain.test" })).name).toBe("other");
  });

  test("surprise 3: so does rewrite-target", async () => {
    const { ingress, seen } = await lab(made, ["web", "other"]);
    await ingress("one", { "rewrite-target": "/x" }, [{ path: "/a" }]);
    await ingress("two", {}, [{ path: "/Exact", pathType: "Exact", service: "other" }]);
    expect((await seen("/exactly")).name).toBe("other");
  });

  test("a rewrite-target that is its own path makes no expressions, nor does what a canary says", async () => {
    const { ingress, get, seen } = await lab(made, ["web", "next"]);
    await ingress("one", { "rewrite-target": "/" });
    await ingress("two", {}, [{ path: "/Exact", pathType: "Exact" }]);
    await ingress("canary", { canary: "true", "canary-weight": "100", "use-regex": "true", "rewrite-target": "/y" }, [
      { service: "next", path: "/Exact", pathType: "Exact" },
    ]);
    expect((await seen("/exactly?a=b")).url).toBe("/exactly?a=b");
    expect((await seen("/Exact")).name).toBe("next");
    expect((await seen("/exact")).name).toBe("web");
    expect((await get("/")).status).toBe(200);
  });

  test("surprise 4: a path with a slash at its end sends requests without it there", async () => {
    const { ingress, get, seen } = await lab(made, ["web", "other"]);
    await ingress("one", {}, [
      { path: "/foo/" },
      { path: "/bar/" },
      { path: "/bar", pathType: "Exact", service: "other" },
    ]);
    const reply = await get("/foo?a=b");
    expect([reply.status, reply.headers.location]).toEqual([301, "http://shop.test/foo/?a=b"]);
    expect((await seen("/foo/x")).name).toBe("web");
    expect((await seen("/bar")).name).toBe("other");
  });

  test("surprise 5: slashes are merged and dot segments resolved before a path is matched", async () => {
    const { ingress, seen } = await lab(made, ["web", "other"]);
    await ingress("one", {}, [{ path: "/a/b" }, { path: "/secret", service: "other" }]);
    expect((await seen("//a///b")).name).toBe("web");
    expect((await seen("/a/b/../../secret")).name).toBe("other");
    expect((await seen("/%73ecret")).name).toBe("other");
  });

  test("the longest expression is asked first, and what no engine without backtracking can do is refused alone", async () => {
    const { ingress, seen, get, cluster } = await lab(made, ["web", "other"]);
    await ingress("one", { "use-regex": "true" }, [
      { path: "/a.*", pathType: "ImplementationSpecific" },
      { path: "/a/long", pathType: "ImplementationSpecific", service: "other" },
      { path: "/x(?!y)", pathType: "ImplementationSpecific" },
    ]);
    expect((await seen("/a/long/er")).name).toBe("other");
    expect((await seen("/abc")).name).toBe("web");
    expect((await get("/xz")).status).toBe(404);
    expect(cluster.ingress.current()?.problems.map(({ reason }) => reason)).toContain("InvalidPath");
  });

  test("what is served is what the oracle says", async () => {
    const { ingress, cluster, get } = await lab(made, ["web", "other"]);
    await ingress("one", { "use-regex": "true" }, [
      { path: "/r/(a|b)+$", pathType: "ImplementationSpecific" },
      { path: "/r", service: "other" },
    ]);
    await ingress("two", {}, [{ path: "/p/" }, { path: "/p/q", service: "other" }], { host: "two.test" });
    const model = cluster.ingress.current()?.model;
    if (!model) throw new Error("there is no model");
    for (const host of ["shop.test", "two.test"])
      for (const path of ["/r/ab", "/r/abc", "/R/B", "/r", "/p", "/p/", "/p/q", "/p/qq", "//p//q", "/", "/p/../r/a"]) {
        const expected = match(model, { host, path });
        const reply = await get(path, { host });
        const pool = expected.outcome === "route" ? expected.route.rule.backends[0]?.pool : undefined;
        if (pool === undefined) expect([host, path, reply.status]).toEqual([host, path, expect.toBeOneOf([301, 404])]);
        else expect([host, path, pool]).toEqual([host, path, `shop/${JSON.parse(reply.body).name as string}:80`]);
      }
  });

  test("server-alias: further hosts, unless they are somebody's own", async () => {
    const { ingress, seen } = await lab(made, ["web", "other"]);
    await ingress("one", { "server-alias": "alias.test, own.test" });
    await ingress("two", {}, [{ service: "other" }], { host: "own.test" });
    expect((await seen("/", { host: "alias.test" })).name).toBe("web");
    expect((await seen("/", { host: "own.test" })).name).toBe("other");
  });

  test("server-alias holds for all paths of its host, unless it is another namespace's", async () => {
    const { ingress, seen, get, cluster } = await lab(made, ["web", "other"]);
    await ingress("one", {}, [{ path: "/a" }]);
    await ingress("two", { "server-alias": "alias.test" }, [{ path: "/b", service: "other" }]);
    expect((await seen("/a", { host: "alias.test" })).name).toBe("web");
    expect((await seen("/b", { host: "alias.test" })).name).toBe("other");
    cluster.client.put(resources.Ingress, {
      metadata: {
        name: "theirs",
        namespace: "elsewhere",
        creationTimestamp: "2100-01-01T00:00:00Z",
        annotations: { [`${prefix}server-alias`]: "theirs.test" },
      },
      spec: { ingressClassName: "nginx", rules: [rule("web", { path: "/c" })] },
    });
    await cluster.served();
    expect((await get("/a", { host: "theirs.test" })).status).toBe(404);
    expect((await seen("/a", { host: "alias.test" })).name).toBe("web");
  });

  test("server-snippet: header fields and redirects of a whole host, unless it is another namespace's", async () => {
    const { ingress, get, cluster } = await lab(made);
    await ingress("one", {}, [{ path: "/a" }]);
    await ingress(
      "two",
      { "server-snippet": 'more_set_headers "X-Host: $host" "X-Two: 2"; more_clear_headers Date;' },
      [{ path: "/b" }],
    );
    await ingress("three", {}, [{}], { host: "else.test" });
    for (const path of ["/a", "/b"]) {
      const { status, headers } = await get(path);
      expect([status, headers["x-host"], headers["x-two"]]).toEqual([200, "shop.test", "2"]);
    }
    expect((await get("/", { host: "else.test" })).headers).not.toHaveProperty("x-two");
    cluster.client.put(resources.Ingress, {
      metadata: {
        name: "theirs",
        namespace: "elsewhere",
        creationTimestamp: "2100-01-01T00:00:00Z",
        annotations: { [`${prefix}server-snippet`]: "return 302 https://theirs.test;" },
      },
      spec: { ingressClassName: "nginx", rules: [rule("web", { path: "/c", host: "else.test" })] },
    });
    await cluster.served();
    expect((await get("/", { host: "else.test" })).status).toBe(200);
    expect((await get("/c", { host: "else.test" })).headers.location).toBe("https://theirs.test");
    await ingress("three", { "server-snippet": "return 301 https://new.test$request_uri;" }, [{}], {
      host: "else.test",
    });
    const { status, headers } = await get("/x?y=z", { host: "else.test" });
    expect([status, headers.location]).toEqual([301, "https://new.test/x?y=z"]);
  });

  test("canary: by header, then by cookie, then by weight", async () => {
    const { ingress, seen } = await lab(made, ["web", "next"]);
    await ingress("main", {});
    await ingress(
      "canary",
      { canary: "true", "canary-by-header": "X-Canary", "canary-by-cookie": "canary", "canary-weight": "0" },
      [{ service: "next" }],
    );
    const nameOf = async (headers: Record<string, string>) => (await seen("/", { headers })).name;
    expect(await nameOf({})).toBe("web");
    expect(await nameOf({ "x-canary": "always" })).toBe("next");
    expect(await nameOf({ "x-canary": "never", cookie: "canary=always" })).toBe("web");
    expect(await nameOf({ "x-canary": "other", cookie: "canary=always" })).toBe("next");
    expect(await nameOf({ cookie: "canary=never" })).toBe("web");
    await ingress("canary", { canary: "true", "canary-by-cookie": "canary", "canary-weight": "100" }, [
      { service: "next" },
    ]);
    expect(await nameOf({})).toBe("next");
    expect(await nameOf({ cookie: "canary=never" })).toBe("web");
    await ingress("canary", { canary: "true", "canary-weight": "500", "canary-weight-total": "500" }, [
      { service: "next" },
    ]);
    for (let i = 0; i < 5; i++) expect(await nameOf({})).toBe("next");
    await ingress("canary", { canary: "true", "canary-weight": "50" }, [{ service: "next" }]);
    const names = new Set<string>();
    for (let i = 0; i < 60 && names.size < 2; i++) names.add(await nameOf({}));
    expect(names.size).toBe(2);
  });

  test("canary-by-header-value and -pattern", async () => {
    const { ingress, seen } = await lab(made, ["web", "next"]);
    await ingress("main", {});
    const nameOf = async (value: string) => (await seen("/", { headers: { region: value } })).name;
    await ingress("canary", { canary: "true", "canary-by-header": "Region", "canary-by-header-value": "us" }, [
      { service: "next" },
    ]);
    expect([await nameOf("us"), await nameOf("always"), await nameOf("eu")]).toEqual(["next", "web", "web"]);
    await ingress("canary", { canary: "true", "canary-by-header": "Region", "canary-by-header-pattern": "^(us|eu)$" }, [
      { service: "next" },
    ]);
    expect([await nameOf("eu"), await nameOf("asia")]).toEqual(["next", "web"]);
  });

  test("a canary alone serves nothing", async () => {
    const { ingress, get } = await lab(made, ["next"]);
    await ingress("canary", { canary: "true", "canary-weight": "100" }, [{ service: "next" }]);
    expect((await get("/")).status).toBe(404);
  });

  needs("SessionCookie")("affinity: a client stays with its endpoint, and others have others", async () => {
    const { ingress, cluster, get } = await lab(made, []);
    cluster.service("web", await Promise.all(["a", "b", "c"].map((name) => made.backend(name))));
    await ingress("web", {
      affinity: "cookie",
      "session-cookie-name": "STICK",
      "session-cookie-max-age": "600",
      "session-cookie-samesite": "Lax",
      "session-cookie-path": "/p",
    });
    const first = await get("/");
    const [cookie = ""] = first.headers["set-cookie"] ?? [];
    expect(cookie).toMatch(/^STICK=[0-9a-f]+; Path=\/p; Max-Age=600; HttpOnly; SameSite=Lax$/);
    const own = cookie.split(";", 1)[0] ?? "";
    const { name } = JSON.parse(first.body) as { name: string };
    for (let i = 0; i < 10; i++) {
      const reply = await get("/", { headers: { cookie: own } });
      expect(JSON.parse(reply.body).name).toBe(name);
      expect(reply.headers["set-cookie"]).toBeUndefined();
    }
    const names = new Set<string>();
    for (let i = 0; i < 12; i++) names.add(JSON.parse((await get("/")).body).name as string);
    expect(names.size).toBe(3);
  });

  needs("SessionCookie")("affinity: domain, expiry and Secure of the cookie", async () => {
    const { ingress, cluster, get } = await lab(made, []);
    cluster.service("web", await Promise.all(["a", "b"].map((name) => made.backend(name))));
    await ingress("web", {
      affinity: "cookie",
      "session-cookie-domain": "shop.test",
      "session-cookie-expires": "3600",
      "session-cookie-secure": "true",
    });
    const [cookie = ""] = (await get("/")).headers["set-cookie"] ?? [];
    expect(cookie).toMatch(
      /^INGRESSCOOKIE=[0-9a-f]+; Path=\/; Domain=shop\.test; Expires=[^;]+ GMT; HttpOnly; Secure$/,
    );
    const expires = Date.parse(/Expires=([^;]+)/.exec(cookie)?.[1] ?? "");
    expect(expires).toBeGreaterThan(Date.now() + 3_000_000);
    // The path of the Ingress, unless it is an expression: that would never come back.
    await ingress("web", { affinity: "cookie" }, [{}, { path: "/app" }]);
    expect((await get("/")).headers["set-cookie"]?.[0]).toMatch(/^INGRESSCOOKIE=[0-9a-f]+; Path=\/; HttpOnly$/);
    expect((await get("/app/x")).headers["set-cookie"]?.[0]).toMatch(/; Path=\/app; HttpOnly$/);
    await ingress("web", { affinity: "cookie", "use-regex": "true" }, [{ path: "/ap+" }]);
    expect((await get("/app")).headers["set-cookie"]?.[0]).toMatch(/; Path=\/; HttpOnly$/);
  });

  needs("SessionCookie")("affinity-mode: new endpoints take over some clients, or none of them", async () => {
    const { ingress, cluster, get } = await lab(made, []);
    const few = await Promise.all(["a", "b"].map((name) => made.backend(name)));
    const more = [...few, await made.backend("c")];
    const ask = async (cookie?: string): Promise<{ name: string; cookie: string | undefined }> => {
      const { body, headers } = await get("/", cookie === undefined ? {} : { headers: { cookie } });
      const set = headers["set-cookie"]?.[0]?.split(";", 1)[0];
      return { name: (JSON.parse(body) as { name: string }).name, cookie: set };
    };
    for (const mode of ["balanced", "persistent"]) {
      cluster.service("web", few);
      await ingress("web", { affinity: "cookie", "affinity-mode": mode });
      const clients = [];
      for (let i = 0; i < 40; i++) clients.push(await ask());
      // One cookie for each endpoint, or for each client.
      expect(new Set(clients.map(({ cookie }) => cookie)).size).toBe(mode === "persistent" ? 2 : 40);
      cluster.service("web", more);
      await cluster.served();
      const moved = new Set<string>();
      for (const { name, cookie } of clients) {
        const now = await ask(cookie);
        expect(now.cookie).toBeUndefined();
        if (now.name !== name) moved.add(now.name);
      }
      expect([...moved]).toEqual(mode === "persistent" ? [] : ["c"]);
    }
  });

  needs("SessionCookie", "Canary")(
    "affinity-canary-behavior: clients stay with the canary, or with what it stands in for, unless told otherwise",
    async () => {
      const { ingress, get } = await lab(made, ["web", "next"]);
      const annotations = { affinity: "cookie" };
      const canary = async (weight: string, more: Readonly<Record<string, string>> = {}) =>
        ingress("canary", { canary: "true", "canary-weight": weight, "canary-by-header": "x-canary", ...more }, [
          { service: "next" },
        ]);
      const ask = async (headers: Record<string, string> = {}): Promise<[string, string]> => {
        const reply = await get("/", { headers });
        const cookie = reply.headers["set-cookie"]?.[0]?.split(";", 1)[0] ?? "";
        return [(JSON.parse(reply.body) as { name: string }).name, cookie];
      };
      for (const mode of ["balanced", "persistent"]) {
        await ingress("web", { ...annotations, "affinity-mode": mode });
        await canary("0");
        const [name, cookie] = await ask();
        expect([name, cookie]).toEqual(["web", expect.stringMatching(/^INGRESSCOOKIE=[0-9a-f]{32}$/)]);
        await canary("100");
        const [other, otherCookie] = await ask();
        expect([other, otherCookie]).toEqual(["next", expect.stringMatching(/^INGRESSCOOKIE=[0-9a-f]{32}-c$/)]);
        expect(await ask({ cookie, "x-canary": "always" })).toEqual(["web", ""]);
        await canary("0");
        expect(await ask({ cookie: otherCookie, "x-canary": "never" })).toEqual(["next", ""]);
        // What is none of ours says nothing.
        expect((await ask({ cookie: "INGRESSCOOKIE=1700000000.1|abc", "x-canary": "always" }))[0]).toBe("next");
        // It is the canary's to say, and nobody else's.
        await ingress("web", { ...annotations, "affinity-mode": mode, "affinity-canary-behavior": "legacy" });
        expect((await ask({ cookie: otherCookie }))[0]).toBe("next");
        await canary("0", { "affinity-canary-behavior": "legacy" });
        expect((await ask({ cookie: otherCookie }))[0]).toBe("web");
        expect(await ask({ cookie, "x-canary": "always" })).toEqual(["next", ""]);
      }
    },
  );

  needs("HashBalancing")("upstream-hash-by-subset: the same text has the same few endpoints", async () => {
    const { ingress, cluster, seen } = await lab(made, []);
    cluster.service("web", await Promise.all(["a", "b", "c", "d"].map((name) => made.backend(name))));
    const hash = { "upstream-hash-by": "$http_x_user", "upstream-hash-by-subset": "true" };
    await ingress("web", { ...hash, "upstream-hash-by-subset-size": "2" });
    const all = new Set<string>();
    for (let user = 0; user < 8; user++) {
      const names = new Set<string>();
      for (let i = 0; i < 20; i++) names.add((await seen("/", { headers: { "x-user": `user-${user}` } })).name);
      expect(names.size).toBe(2);
      for (const name of names) all.add(name);
    }
    expect(all.size).toBeGreaterThan(2);
    await ingress("web", { ...hash, "upstream-hash-by-subset": "false" });
    const names = new Set<string>();
    for (let i = 0; i < 10; i++) names.add((await seen("/", { headers: { "x-user": "a" } })).name);
    expect(names.size).toBe(1);
  });

  needs("HashBalancing")("upstream-hash-by: the same text has the same endpoint", async () => {
    const { ingress, cluster, seen } = await lab(made, []);
    cluster.service("web", await Promise.all(["a", "b", "c"].map((name) => made.backend(name))));
    await ingress("web", { "upstream-hash-by": "$http_x_user" });
    const nameOf = async (user: string) => (await seen("/", { headers: { "x-user": user } })).name;
    const all = new Set<string>();
    for (let user = 0; user < 12; user++) {
      const name = await nameOf(`user-${user}`);
      all.add(name);
      for (let i = 0; i < 3; i++) expect(await nameOf(`user-${user}`)).toBe(name);
    }
    expect(all.size).toBeGreaterThan(1);
  });

  test("defaultBackend is for the hosts of its Ingress, or for all that nobody names where it names none", async () => {
    const { cluster, get, seen } = await lab(made, ["web", "other"]);
    const backend = (name: string) => ({ service: { name, port: { number: 80 } } });
    cluster.addIngress("some", {
      ingressClassName: "nginx",
      defaultBackend: backend("web"),
      rules: [{ host: "alone.test" }, rule("other", { host: "paths.test", path: "/a" })],
    });
    await cluster.served();
    expect((await seen("/", { host: "alone.test" })).name).toBe("web");
    expect((await seen("/a", { host: "paths.test" })).name).toBe("other");
    expect((await seen("/b", { host: "paths.test" })).name).toBe("web");
    expect((await get("/", { host: "nobodys.test" })).status).toBe(404);
    cluster.addIngress("all", { ingressClassName: "nginx", defaultBackend: backend("other") });
    await cluster.served();
    expect((await seen("/", { host: "nobodys.test" })).name).toBe("other");
    expect((await seen("/", { host: "alone.test" })).name).toBe("web");
  });

  test("default-backend takes over where no endpoint is", async () => {
    const { ingress, cluster, seen } = await lab(made, ["spare"]);
    cluster.service("web", []);
    await ingress("web", { "default-backend": "spare" });
    expect((await seen("/x")).name).toBe("spare");
  });
}
