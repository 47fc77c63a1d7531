import { expect, test } from "vitest";
import { selfSigned } from "../../dataplane/certificates.ts";
import type { Fixture } from "../../dataplane/suite.ts";
import { lab } from "../fixture.ts";

export function redirectsContract(made: Fixture): void {
  test("ssl-redirect: to https where the host has TLS, with 308, unless it is off", async () => {
    const { ingress, get, seen, cluster } = await lab(made);
    cluster.secret("pair", selfSigned(["shop.test"]));
    const tls = [{ hosts: ["shop.test"], secretName: "pair" }];
    await ingress("web", {}, [{}], { tls });
    const reply = await get("/a%20b?c=d");
    expect([reply.status, reply.headers.location]).toEqual([308, "https://shop.test/a%20b?c=d"]);
    expect((await seen("/a", { tls: {} })).url).toBe("/a");
    await ingress("web", { "ssl-redirect": "false" }, [{}], { tls });
    expect((await seen("/a")).url).toBe("/a");
  });

  test("preserve-trailing-slash: a redirect to https has none at its end, unless it is asked for", async () => {
    const { ingress, get } = await lab(made);
    const where = async (path: string) => (await get(path)).headers.location;
    await ingress("web", { "force-ssl-redirect": "true" });
    expect(await where("/a/")).toBe("https://shop.test/a");
    expect(await where("/a//?b=/")).toBe("https://shop.test/a/?b=");
    expect(await where("/")).toBe("https://shop.test");
    await ingress("web", { "force-ssl-redirect": "true", "preserve-trailing-slash": "true" });
    expect(await where("/a/")).toBe("https://shop.test/a/");
    expect(await where("/")).toBe("https://shop.test/");
  });

  test("use-port-in-redirects: the port for https, and that of the Host header", async () => {
    const { ingress, get } = await lab(made, ["web"], { ports: { http: 8080, https: 8443 } });
    const where = async (path: string) => (await get(path, { host: "shop.test:8080" })).headers.location;
    for (const use of ["true", "false"]) {
      const port = use === "true" ? ":8443" : "";
      await ingress("web", { "force-ssl-redirect": "true", "use-port-in-redirects": use });
      expect(await where("/a?b")).toBe(`https://shop.test${port}/a?b`);
      await ingress("web", { "permanent-redirect": "/else", "use-port-in-redirects": use });
      expect(await where("/a")).toBe(`http://shop.test${use === "true" ? ":8080" : ""}/else`);
    }
  });

  test("Strict-Transport-Security is told over TLS only, as ingress-nginx does unless told otherwise", async () => {
    const { ingress, get, cluster } = await lab(made);
    cluster.secret("pair", selfSigned(["shop.test"]));
    const tls = [{ hosts: ["shop.test"], secretName: "pair" }];
    await ingress("web", { "ssl-redirect": "false" }, [{}], { tls });
    expect((await get("/")).headers).not.toHaveProperty("strict-transport-security");
    expect((await get("/", { tls: {} })).headers["strict-transport-security"]).toBe(
      "max-age=31536000; includeSubDomains",
    );
  });

  test("force-ssl-redirect: also without TLS of its own; ACME's challenges are let through", async () => {
    const { ingress, get, seen } = await lab(made);
    await ingress("web", {});
    expect((await seen("/")).name).toBe("web");
    await ingress("web", { "force-ssl-redirect": "true" });
    expect((await get("/x")).status).toBe(308);
    expect((await seen("/.well-known/acme-challenge/token")).name).toBe("web");
  });

  test("a forwarder that is trusted may say that its client has TLS, and nobody else", async () => {
    const headers = { "x-forwarded-proto": "https" };
    const { ingress, get } = await lab(made);
    await ingress("web", { "force-ssl-redirect": "true" });
    expect((await get("/", { headers })).status).toBe(308);
    const trusting = await lab(made, ["web"], { trustedForwarders: ["127.0.0.0/8"] });
    await trusting.ingress("web", { "force-ssl-redirect": "true" });
    expect((await trusting.get("/", { headers })).status).toBe(200);
  });

  test.each([
    [{ "permanent-redirect": "https://other.test/x" }, 301],
    [{ "permanent-redirect": "https://other.test/x", "permanent-redirect-code": "308" }, 308],
    [{ "temporal-redirect": "https://other.test/x" }, 302],
    [{ "temporal-redirect": "https://other.test/x", "temporal-redirect-code": "307" }, 307],
    [{ "temporal-redirect": "https://other.test/x", "temporal-redirect-code": "308" }, 302],
    [{ "temporal-redirect": "https://other.test/x", "permanent-redirect": "https://not.test/" }, 302],
  ])("%o answers %i", async (annotations, status) => {
    const { ingress, get } = await lab(made);
    await ingress("web", annotations);
    const reply = await get("/anything?x=1");
    expect([reply.status, reply.headers.location]).toEqual([status, "https://other.test/x"]);
  });

  test("permanent-redirect with variables", async () => {
    const { ingress, get } = await lab(made);
    await ingress("web", { "permanent-redirect": "https://new.test$request_uri" });
    expect((await get("/a?b=c")).headers.location).toBe("https://new.test/a?b=c");
    // What is escaped in a request stays so: no line end gets into a field of an answer.
    await ingress("web", { "permanent-redirect": "https://new.test/$arg_next" });
    const reply = await get("/?x=1&next=%0d%0aset-cookie:%20a=b");
    expect(reply.headers.location).toBe("https://new.test/%0d%0aset-cookie:%20a=b");
    expect(reply.headers).not.toHaveProperty("set-cookie");
  });

  test("permanent-redirect to a path: on the same host, and with relative-redirects a path alone", async () => {
    const { ingress, get } = await lab(made);
    await ingress("web", { "permanent-redirect": "/something" });
    expect((await get("/x")).headers.location).toBe("http://shop.test/something");
    await ingress("web", { "permanent-redirect": "/something", "relative-redirects": "true" });
    expect((await get("/x")).headers.location).toBe("/something");
    await ingress("web", { "relative-redirects": "true" }, [{ path: "/foo/" }]);
    const reply = await get("/foo?a=b");
    expect([reply.status, reply.headers.location]).toEqual([301, "/foo/?a=b"]);
  });

  test("app-root: only for the root", async () => {
    const { ingress, get, seen } = await lab(made);
    await ingress("web", { "app-root": "/app1" });
    const reply = await get("/");
    expect([reply.status, reply.headers.location]).toEqual([302, "http://shop.test/app1"]);
    expect((await seen("/app1")).url).toBe("/app1");
  });

  test("app-root is of the host, whichever paths its Ingress has", async () => {
    const { ingress, get, seen } = await lab(made, ["web", "other"]);
    await ingress("web", { "app-root": "/app" }, [{ path: "/app" }]);
    const reply = await get("/?a=b");
    expect([reply.status, reply.headers.location]).toEqual([302, "http://shop.test/app"]);
    expect((await seen("/app/x")).name).toBe("web");
    expect((await get("/else")).status).toBe(404);
    await ingress("rest", {}, [{ service: "other" }]);
    expect((await get("/")).status).toBe(302);
    expect((await seen("/else")).name).toBe("other");
  });

  test("redirects that an Ingress says come before that to https", async () => {
    const { ingress, get, cluster } = await lab(made);
    cluster.secret("pair", selfSigned(["shop.test"]));
    const tls = { tls: [{ hosts: ["shop.test"], secretName: "pair" }] };
    const where = async (path: string) => (await get(path)).headers.location;
    await ingress("web", { "permanent-redirect": "https://other.test/x" }, [{}], tls);
    expect(await where("/")).toBe("https://other.test/x");
    await ingress("web", { "app-root": "/app" }, [{}], tls);
    expect([await where("/"), await where("/x")]).toEqual(["http://shop.test/app", "https://shop.test/x"]);
    await ingress("web", { "configuration-snippet": "return 302 https://else.test$request_uri;" }, [{}], tls);
    expect(await where("/x")).toBe("https://else.test/x");
    await ingress("web", { "enable-cors": "true", "cors-allow-origin": "https://a.test" }, [{}], tls);
    const headers = { origin: "https://a.test", "access-control-request-method": "PUT" };
    expect((await get("/", { method: "OPTIONS", headers })).status).toBe(204);
    expect((await get("/", { headers })).status).toBe(308);
  });

  test("from-to-www-redirect, both ways, with 308", async () => {
    const { ingress, get } = await lab(made);
    await ingress("web", { "from-to-www-redirect": "true" });
    await ingress("www", { "from-to-www-redirect": "true" }, [{}], { host: "www.other.test" });
    const www = await get("/x?y=z", { host: "www.shop.test" });
    expect([www.status, www.headers.location]).toEqual([308, "http://shop.test/x?y=z"]);
    const bare = await get("/x", { host: "other.test" });
    expect([bare.status, bare.headers.location]).toEqual([308, "http://www.other.test/x"]);
    // A slash at the end is left out, as in redirects to https.
    expect((await get("/x/", { host: "www.shop.test" })).headers.location).toBe("http://shop.test/x");
  });
}
