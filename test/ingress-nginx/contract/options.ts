import { expect, test } from "vitest";
import { selfSigned } from "../../dataplane/certificates.ts";
import type { Fixture } from "../../dataplane/suite.ts";
import { lab, type Needs } from "../fixture.ts";

/** Keys of ingress-nginx's ConfigMap: what Ingresses mean that do not say it themselves. */
export function optionsContract(made: Fixture, needs: Needs): void {
  test("ssl-redirect, force-ssl-redirect, http-redirect-code, hsts", async () => {
    const tls = { tls: [{ hosts: ["shop.test"], secretName: "pair" }] };
    const never = await lab(made, ["web"], { nginxOptions: { "ssl-redirect": "false", hsts: "false" } });
    never.cluster.secret("pair", selfSigned(["shop.test"]));
    await never.ingress("web", {}, [{}], tls);
    expect((await never.get("/")).status).toBe(200);
    expect((await never.get("/", { tls: {} })).headers).not.toHaveProperty("strict-transport-security");
    const always = await lab(made, ["web"], {
      nginxOptions: {
        "force-ssl-redirect": "true",
        "http-redirect-code": "301",
        "hsts-max-age": "60",
        "hsts-include-subdomains": "false",
        "hsts-preload": "true",
      },
    });
    always.cluster.secret("pair", selfSigned(["shop.test"]));
    await always.ingress("web", {}, [{}], tls);
    expect((await always.get("/")).status).toBe(301);
    expect((await always.get("/", { tls: {} })).headers["strict-transport-security"]).toBe("max-age=60; preload");
  });

  test("preserve-trailing-slash, use-port-in-redirects, from-to-www-redirect with http-redirect-code", async () => {
    const { ingress, get } = await lab(made, ["web"], {
      ports: { http: 8080, https: 8443 },
      nginxOptions: { "preserve-trailing-slash": "true", "use-port-in-redirects": "true", "http-redirect-code": "302" },
    });
    const where = async (path: string, host: string) => (await get(path, { host })).headers.location;
    await ingress("web", { "force-ssl-redirect": "true", "from-to-www-redirect": "true" });
    expect(await where("/a/", "shop.test:8080")).toBe("https://shop.test:8443/a/");
    expect((await get("/", { host: "www.shop.test" })).status).toBe(302);
    await ingress("web", {
      "force-ssl-redirect": "true",
      "use-port-in-redirects": "false",
      "preserve-trailing-slash": "false",
    });
    expect(await where("/a/", "shop.test:8080")).toBe("https://shop.test/a");
  });

  test("block-cidrs is for every Ingress, also one with ranges of its own", async () => {
    const trustedForwarders = ["127.0.0.0/8"];
    const nginxOptions = { "block-cidrs": "192.0.2.0/25,198.51.100.7" };
    const { ingress, get } = await lab(made, ["web"], { trustedForwarders, nginxOptions });
    const statusOf = async (client: string) => (await get("/", { headers: { "x-forwarded-for": client } })).status;
    for (const own of [{}, { "whitelist-source-range": "192.0.2.0/24" }, { "denylist-source-range": "10.0.0.0/8" }]) {
      await ingress("web", own);
      expect([await statusOf("192.0.2.1"), await statusOf("198.51.100.7")]).toEqual([403, 403]);
      expect(await statusOf("192.0.2.200")).toBe(200);
    }
  });

  needs("ErrorPages")("disable-proxy-intercept-errors of the ConfigMap, unless an Ingress says otherwise", async () => {
    const { ingress, cluster, get } = await lab(made, [], {
      nginxOptions: { "custom-http-errors": "404", "disable-proxy-intercept-errors": "true" },
    });
    cluster.service("web", [await made.backend("web", (_request, response) => response.writeHead(404).end("own"))]);
    cluster.service("pages", [
      await made.backend("pages", (_request, response) => response.writeHead(404).end("page")),
    ]);
    await ingress("web", { "default-backend": "pages" });
    expect((await get("/")).body).toBe("own");
    await ingress("web", { "default-backend": "pages", "disable-proxy-intercept-errors": "false" });
    expect((await get("/")).body).toBe("page");
  });

  test("denylist-source-range, proxy-read-timeout, hide-headers, relative-redirects", async () => {
    const shut = await lab(made, ["web"], { nginxOptions: { "denylist-source-range": "127.0.0.0/8" } });
    await shut.ingress("web", {});
    expect((await shut.get("/")).status).toBe(403);
    const open = await lab(made, [], {
      nginxOptions: {
        "denylist-source-range": "192.0.2.0/24",
        "proxy-read-timeout": "1",
        "hide-headers": "X-Inner",
        "relative-redirects": "true",
      },
    });
    open.cluster.service("web", [
      await made.backend("web", (request, response) => {
        response.setHeader("x-inner", "1");
        if (request.url !== "/slow") response.end("ok");
      }),
    ]);
    await open.ingress("web", {}, [{}, { path: "/foo/" }]);
    const reply = await open.get("/");
    expect([reply.status, reply.headers["x-inner"]]).toEqual([200, undefined]);
    expect((await open.get("/foo")).headers.location).toBe("/foo/");
    expect((await open.get("/slow")).status).toBe(504);
  });

  test("limit-conn-status-code, proxy-cookie-domain, proxy-cookie-path", async () => {
    const { ingress, get, cluster } = await lab(made, [], {
      nginxOptions: {
        "limit-conn-status-code": "429",
        "proxy-cookie-domain": "inner.test $host",
        "proxy-cookie-path": "/inner /",
      },
    });
    const held: (() => void)[] = [];
    cluster.service("web", [
      await made.backend("web", (_request, response) => {
        response.setHeader("set-cookie", "a=1; Path=/inner/x; Domain=inner.test");
        held.push(() => response.end());
      }),
    ]);
    await ingress("web", { "limit-connections": "1" });
    const first = get("/");
    while (held.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await get("/")).status).toBe(429);
    for (const release of held) release();
    expect((await first).headers["set-cookie"]).toEqual(["a=1; Path=//x; Domain=shop.test"]);
  });

  needs("ExternalAuth")("global-auth-*: how everybody is asked for", async () => {
    const { ingress, get, seen, cluster } = await lab(made, ["web"], {
      nginxOptions: {
        "global-auth-url": "http://auth.shop.svc.cluster.local/",
        "global-auth-method": "POST",
        "global-auth-signin": "https://login.test/",
        "global-auth-signin-redirect-param": "back",
        "global-auth-response-headers": "X-User",
        "global-auth-request-redirect": "https://$host/after",
        "global-auth-always-set-cookie": "true",
      },
    });
    const asked: unknown[] = [];
    cluster.service("auth", [
      await made.backend("auth", (request, response) => {
        asked.push([request.method, request.headers["x-auth-request-redirect"]]);
        response.setHeader("set-cookie", "s=1");
        response.setHeader("x-user", "ann");
        response.writeHead(request.headers["x-known"] === "yes" ? 200 : 401).end();
      }),
    ]);
    await ingress("web", {});
    const stranger = await get("/x");
    expect([stranger.status, stranger.headers.location]).toEqual([
      302,
      `https://login.test/?back=${encodeURIComponent("http://shop.test/x")}`,
    ]);
    const known = { headers: { "x-known": "yes", "x-user": "mallory" } };
    expect((await seen("/", known)).headers["x-user"]).toBe("ann");
    expect((await get("/", known)).headers["set-cookie"]).toEqual(["s=1"]);
    expect(asked[0]).toEqual(["POST", "https://shop.test/after"]);
  });

  test("enable-opentelemetry of the ConfigMap: what a client says of its trace is passed on where none is recorded", async () => {
    const { ingress, seen } = await lab(made, ["web"], {
      nginxOptions: { "enable-opentelemetry": "false", "opentelemetry-trust-incoming-span": "false" },
    });
    await ingress("web", {});
    const headers = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };
    expect((await seen("/", { headers })).headers).toMatchObject(headers);
  });
}
