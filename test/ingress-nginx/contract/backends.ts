import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent } from "node:http";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { resources } from "../../../src/kube/index.ts";
import { match } from "../../../src/routing/index.ts";
import { chain } from "../../dataplane/chain.ts";
import { selfSigned } from "../../dataplane/certificates.ts";
import type { Fixture } from "../../dataplane/suite.ts";
import { lab, type Needs } from "../fixture.ts";

/** Answers over TLS, whatever it is asked. */
export async function secureBackend(
  name: string,
  pair = selfSigned([name]),
): Promise<{ port: number; certificate: string }> {
  const server = createHttps({ cert: pair["tls.crt"], key: pair["tls.key"] }, (request, response) =>
    response.end(JSON.stringify({ name: "secure", url: request.url })),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, certificate: pair["tls.crt"] };
}

/** A port that answers no handshake: its process has stopped, and its queue is full. */
async function deafPort(): Promise<number> {
  const listen = `require("net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () {
    console.log(this.address().port);
  })`;
  const child = spawn(process.execPath, ["-e", listen], { stdio: ["ignore", "pipe", "ignore"] });
  const fillers: Socket[] = [];
  onTestFinished(() => {
    for (const each of fillers) each.destroy();
    child.kill("SIGKILL");
  });
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  const port = Number(String(said));
  child.kill("SIGSTOP");
  // Those that are taken into the queue, until one is not.
  for (let full = false; !full;) {
    const filler = connect({ port, host: "127.0.0.1" }).on("error", () => {});
    fillers.push(filler);
    const patience = new AbortController();
    full = await Promise.race([
      once(filler, "connect", { signal: patience.signal }).then(() => false),
      sleep(300, true, { signal: patience.signal }),
    ]);
    patience.abort();
  }
  return port;
}

export function backendsContract(made: Fixture, needs: Needs): void {
  test("backend-protocol HTTPS: over TLS, whoever answers", async () => {
    const { ingress, cluster, seen, get } = await lab(made, []);
    cluster.service("web", [await secureBackend("backend.test")]);
    await ingress("web", { "backend-protocol": "HTTPS" });
    expect((await seen("/x")).name).toBe("secure");
    await ingress("web", {});
    // HAProxy lets a client with an earlier answer on its connection ask again, by closing it.
    expect((await get("/", { agent: new Agent() })).status).toBe(502);
  });

  needs("BackendTLSPolicy")("backend-protocol HTTPS with proxy-ssl-verify: only whom the Secret trusts", async () => {
    const { ingress, cluster, seen, get } = await lab(made, []);
    const backend = await secureBackend("backend.test");
    cluster.service("web", [backend]);
    cluster.secret("ca", { "ca.crt": backend.certificate });
    cluster.secret("other", { "ca.crt": selfSigned(["else.test"])["tls.crt"] });
    const verified = { "backend-protocol": "HTTPS", "proxy-ssl-verify": "on", "proxy-ssl-name": "backend.test" };
    await ingress("web", { ...verified, "proxy-ssl-secret": "shop/other" });
    expect((await get("/")).status).toBe(502);
    await ingress("web", { ...verified, "proxy-ssl-secret": "shop/ca", "proxy-ssl-name": "wrong.test" });
    expect((await get("/")).status).toBe(502);
    await ingress("web", { ...verified, "proxy-ssl-secret": "shop/ca" });
    expect((await seen("/x")).name).toBe("secure");
  });

  needs("BackendTLSPolicy", "BackendChainDepth")(
    "proxy-ssl-verify-depth: how many authorities may be between a backend's certificate and one of the Secret",
    async () => {
      const { ingress, cluster, seen, get } = await lab(made, []);
      const { ca, cert, key } = await chain("backend.test", 2);
      cluster.service("web", [await secureBackend("backend.test", { "tls.crt": cert, "tls.key": key })]);
      cluster.secret("ca", { "ca.crt": ca });
      const verified = {
        "backend-protocol": "HTTPS",
        "proxy-ssl-verify": "on",
        "proxy-ssl-name": "backend.test",
        "proxy-ssl-secret": "shop/ca",
      };
      for (const depth of ["1", "0"]) {
        await ingress("web", { ...verified, "proxy-ssl-verify-depth": depth });
        expect((await get("/")).status).toBe(502);
      }
      for (const more of [{ "proxy-ssl-verify-depth": "2" }, {}]) {
        await ingress("web", { ...verified, ...more });
        expect((await seen("/x")).name).toBe("secure");
      }
    },
  );

  test("proxy-read-timeout: 504 when a backend is slower", async () => {
    const { ingress, cluster, get } = await lab(made, []);
    cluster.service("web", [
      await made.backend("web", (request, response) => void (request.url === "/fast" && response.end("ok"))),
    ]);
    await ingress("web", { "proxy-read-timeout": "1" });
    expect((await get("/slow")).status).toBe(504);
    expect((await get("/fast")).status).toBe(200);
  });

  needs("ConnectTimeout")(
    "proxy-connect-timeout: 504 when a backend takes no connection, and as before when it does",
    async () => {
      const port = await deafPort();
      const seconds = { "proxy-connect-timeout": "1" };
      for (const [annotations, nginxOptions] of [
        [seconds, {}],
        [{}, seconds],
      ]) {
        const { ingress, cluster, get } = await lab(made, ["web"], { nginxOptions: nginxOptions ?? {} });
        await ingress("web", annotations ?? {});
        expect((await get("/")).status).toBe(200);
        cluster.service("web", [{ port }]);
        await cluster.served();
        expect((await get("/")).status).toBe(504);
      }
    },
  );

  test("service-upstream: the Service's address and port, where it has one", async () => {
    const [direct, through] = [await made.backend("direct"), await made.backend("through")];
    const cases = [
      [{ "service-upstream": "true" }, {}, "127.0.0.1", "through"],
      [{}, { "service-upstream": "true" }, "127.0.0.1", "through"],
      [{ "service-upstream": "false" }, { "service-upstream": "true" }, "127.0.0.1", "direct"],
      [{ "service-upstream": "true" }, {}, "None", "direct"],
    ] as const;
    for (const [annotations, nginxOptions, clusterIP, name] of cases) {
      const { ingress, cluster, seen } = await lab(made, [], { nginxOptions });
      const port = { port: through.port };
      cluster.endpoints("web", [direct]);
      cluster.client.put(resources.Service, {
        metadata: { name: "web", namespace: "shop" },
        spec: { type: "ClusterIP", clusterIP, ports: [{ ...port, protocol: "TCP" }] },
      });
      const path = {
        path: "/",
        pathType: "Prefix",
        backend: { service: { name: "web", port: { number: port.port } } },
      };
      await ingress("web", annotations, [], { rules: [{ host: "shop.test", http: { paths: [path] } }] });
      expect((await seen("/")).name).toBe(name);
    }
  });

  test("enable-access-log and opentelemetry-operation-name: what is told of requests", async () => {
    const named = "HTTP $request_method $service_name";
    const said = async (annotations: Record<string, string>, nginxOptions: Record<string, string>) => {
      const { ingress, cluster, get } = await lab(made, ["web"], { nginxOptions });
      await ingress("web", annotations);
      expect((await get("/")).status).toBe(200);
      const { model, problems } = cluster.ingress.current() ?? {};
      const found = model && match(model, { host: "shop.test", path: "/" });
      const rule = found?.outcome === "route" ? found.route.rule : undefined;
      const told = problems?.filter(({ reason }) => reason === "InvalidAnnotation");
      return [rule?.unlogged, rule?.spanName, told?.length];
    };
    const spanName = ["HTTP ", { variable: "request_method" }, " ", "web"];
    expect(await said({ "enable-access-log": "false", "opentelemetry-operation-name": named }, {})).toEqual([
      true,
      spanName,
      0,
    ]);
    // A client could make up any number of these.
    expect(await said({ "opentelemetry-operation-name": "$uri" }, {})).toEqual([undefined, undefined, 1]);
    expect(await said({}, { "disable-http-access-log": "true", "opentelemetry-operation-name": named })).toEqual([
      true,
      spanName,
      0,
    ]);
    expect(await said({ "enable-access-log": "true" }, { "disable-access-log": "true" })).toEqual([
      undefined,
      undefined,
      0,
    ]);
  });

  test("upstream-vhost: the Host header of the backend", async () => {
    const { ingress, seen } = await lab(made);
    await ingress("web", { "upstream-vhost": "inner.example.com" });
    expect((await seen("/")).headers["host"]).toBe("inner.example.com");
  });

  test("variables of a path: its Ingress, Service and port, in upstream-vhost and in snippets", async () => {
    const { ingress, seen } = await lab(made, ["web", "other"]);
    const destination = "l5d-dst-override $service_name.$namespace.svc.cluster.local:$service_port;";
    await ingress(
      "both",
      {
        "upstream-vhost": "$service_name.${namespace}.svc",
        "configuration-snippet": `proxy_set_header ${destination} grpc_set_header ${destination}
          more_set_input_headers "X-Names: $ingress_name $proxy_upstream_name $location_path $request_method";`,
      },
      [{ path: "/web" }, { path: "/other", service: "other" }],
    );
    for (const name of ["web", "other"])
      expect((await seen(`/${name}`)).headers).toMatchObject({
        host: `${name}.shop.svc`,
        "l5d-dst-override": `${name}.shop.svc.cluster.local:80`,
        "x-names": `both shop-${name}-80 /${name} GET`,
      });
  });

  test("enable-cors: preflights are answered, and answers are marked", async () => {
    const { ingress, get } = await lab(made);
    await ingress("web", {
      "enable-cors": "true",
      "cors-allow-origin": "https://a.test, https://*.b.test",
      "cors-expose-headers": "X-Own",
      "cors-max-age": "600",
    });
    const preflight = (origin: string) =>
      get("/", { method: "OPTIONS", headers: { origin, "access-control-request-method": "PUT" } });
    const reply = await preflight("https://x.b.test");
    expect([reply.status, reply.headers["access-control-allow-origin"]]).toEqual([204, "https://x.b.test"]);
    expect(reply.headers["access-control-allow-methods"]).toBe("GET, PUT, POST, DELETE, PATCH, OPTIONS");
    expect(reply.headers["access-control-max-age"]).toBe("600");
    expect((await preflight("https://evil.test")).headers["access-control-allow-origin"]).toBeUndefined();
    const plain = await get("/", { headers: { origin: "https://a.test" } });
    expect(plain.headers["access-control-allow-origin"]).toBe("https://a.test");
    expect(plain.headers["access-control-allow-credentials"]).toBe("true");
    expect(
      (await get("/", { headers: { origin: "https://c.test" } })).headers["access-control-allow-origin"],
    ).toBeUndefined();
  });

  test("enable-cors: who is allowed, as ingress-nginx reads its list", async () => {
    const { ingress, get, cluster } = await lab(made);
    const allowed = async (list: string, origin?: string): Promise<string | undefined> => {
      await ingress("web", { "enable-cors": "true", ...(list === "" ? {} : { "cors-allow-origin": list }) });
      const { headers } = await get("/", { headers: origin === undefined ? {} : { origin } });
      return headers["access-control-allow-origin"];
    };
    // All stays `*`: with credentials that is nobody to a browser, and the origin itself would be everybody.
    for (const list of ["", "*", "*, a.test", "   "])
      for (const origin of [undefined, "https://evil.test"])
        expect([list, await allowed(list, origin)]).toEqual([list, "*"]);
    const some = "a.test:8080, http://*.b.test:8080, app://c, ,http://d.test,";
    for (const origin of ["http://x-1.b.test:8080", "app://c", "http://d.test"])
      expect(await allowed(some, origin)).toBe(origin);
    for (const origin of [
      undefined,
      "a.test:8080",
      "http://a.test:8080",
      "http://x.y.b.test:8080",
      "http://b.test:8080",
      "http://x.b.test",
      "http://d.test:80",
      "http://d-test",
    ])
      expect([origin, await allowed(some, origin)]).toEqual([origin, undefined]);
    // What an answer of the proxy's own says, a script may read too.
    cluster.secret("users", { auth: "ann:{PLAIN}secret" });
    await ingress("web", { "enable-cors": "true", "auth-type": "basic", "auth-secret": "users" });
    const { status, headers } = await get("/");
    expect([status, headers["access-control-allow-origin"]]).toEqual([401, "*"]);
  });

  test("enable-cors: OPTIONS is answered for who is allowed, and is the backend's for others; all answers have the same fields", async () => {
    const { ingress, get, seen } = await lab(made);
    await ingress("web", { "enable-cors": "true", "cors-allow-methods": "POST, GET", "cors-max-age": "200" });
    for (const headers of [{}, { origin: "https://a.test" }])
      for (const method of ["OPTIONS", "GET"]) {
        const reply = await get("/", { method, headers });
        expect(reply.status).toBe(method === "GET" ? 200 : 204);
        expect(reply.headers).toMatchObject({
          "access-control-allow-methods": "POST, GET",
          "access-control-max-age": "200",
        });
      }
    await ingress("web", { "enable-cors": "true", "cors-allow-origin": "https://a.test" });
    const foreign = { origin: "https://b.test", "access-control-request-method": "PUT" };
    expect((await seen("/", { method: "OPTIONS", headers: foreign })).method).toBe("OPTIONS");
  });

  test("enable-cors: which methods, header fields and credentials", async () => {
    const { ingress, get } = await lab(made);
    await ingress("web", {
      "enable-cors": "true",
      "cors-allow-origin": "https://a.test",
      "cors-allow-methods": "GET, PURGE",
      "cors-allow-headers": "X-Token",
      "cors-allow-credentials": "false",
    });
    const headers = { origin: "https://a.test", "access-control-request-method": "PURGE" };
    const preflight = await get("/", { method: "OPTIONS", headers });
    expect(preflight.headers).toMatchObject({
      "access-control-allow-methods": "GET, PURGE",
      "access-control-allow-headers": "X-Token",
    });
    expect(preflight.headers).not.toHaveProperty("access-control-allow-credentials");
    await ingress("web", {});
    expect((await get("/", { headers })).headers).not.toHaveProperty("access-control-allow-origin");
  });

  needs("ErrorPages")(
    "disable-proxy-intercept-errors: the ConfigMap's custom-http-errors are not for this one",
    async () => {
      const { ingress, cluster, get } = await lab(made, [], { nginxOptions: { "custom-http-errors": "404" } });
      cluster.service("web", [await made.backend("web", (_request, response) => response.writeHead(404).end("own"))]);
      cluster.service("pages", [
        await made.backend("pages", (_request, response) => response.writeHead(404).end("page")),
      ]);
      await ingress("web", { "default-backend": "pages" });
      expect((await get("/")).body).toBe("page");
      const off = { "default-backend": "pages", "disable-proxy-intercept-errors": "true" };
      await ingress("web", off);
      expect((await get("/")).body).toBe("own");
      await ingress("web", { ...off, "custom-http-errors": "404" });
      expect((await get("/")).body).toBe("own");
      await ingress("web", { ...off, "custom-http-errors": "404", "disable-proxy-intercept-errors": "false" });
      expect((await get("/")).body).toBe("page");
    },
  );

  needs("FallbackPool")(
    "default-backend of a Service without endpoints: it is told whose request that is",
    async () => {
      const { ingress, cluster, seen } = await lab(made, ["spare"]);
      await ingress("nobody", { "default-backend": "spare" }, [{ service: "gone" }]);
      const asked = {
        "x-request-id": "one-of-its-own",
        "x-code": "200",
        "x-service-name": "theirs",
        accept: "text/html",
      };
      const { url, headers } = await seen("/a?b=c", { headers: asked });
      expect(url).toBe("/a?b=c");
      expect(headers).toMatchObject({
        "x-code": "503",
        "x-format": "text/html",
        "x-namespace": "shop",
        "x-ingress-name": "nobody",
        "x-service-name": "gone",
        "x-service-port": "80",
        "x-request-id": "one-of-its-own",
      });
      // Endpoints are told nothing of the kind.
      cluster.service("gone", [await made.backend("gone")]);
      await cluster.served();
      const own = await seen("/");
      expect([own.name, own.headers["x-service-name"]]).toEqual(["gone", undefined]);
    },
  );

  needs("ErrorPages")("custom-http-errors: the pages of the default backend, told of the request", async () => {
    const { ingress, cluster, get } = await lab(made, []);
    cluster.service("web", [
      await made.backend("web", (request, response) => response.writeHead(Number(request.url?.slice(1))).end("own")),
    ]);
    cluster.service("pages", [
      await made.backend("pages", (request, response) => {
        response.writeHead(request.headers["x-code"] === "503" ? 503 : 200, { "content-type": "application/json" });
        response.end(JSON.stringify({ url: request.url, ...request.headers }));
      }),
    ]);
    await ingress("web", { "custom-http-errors": "404,401,503", "default-backend": "pages" });
    const page = await get("/404", { headers: { accept: "text/html" } });
    expect(JSON.parse(page.body)).toMatchObject({
      url: "/",
      "x-code": "404",
      "x-format": "text/html",
      "x-original-uri": "/404",
      "x-namespace": "shop",
      "x-ingress-name": "web",
      "x-service-name": "web",
      "x-service-port": "80",
    });
    expect(page.status).toBe(200);
    expect((await get("/503")).status).toBe(503);
    // A backend that forgets the code must not let anyone in (CVE-2026-24513).
    expect((await get("/401")).status).toBe(401);
    expect([(await get("/418")).status, (await get("/418")).body]).toEqual([418, "own"]);
  });

  needs("HTTPRouteRequestMirror")("mirror-target: a copy for a Service", async () => {
    const { ingress, cluster, seen } = await lab(made);
    const copied: string[] = [];
    cluster.service("copy", [
      await made.backend("copy", (request, response) => {
        let body = "";
        request.on("data", (data) => (body += String(data)));
        request.on("end", () => {
          copied.push(`${request.method} ${request.url} ${body}`);
          response.end();
        });
      }),
    ]);
    await ingress("web", { "mirror-target": "http://copy.shop.svc.cluster.local$request_uri" });
    expect((await seen("/a?b=c")).name).toBe("web");
    const body = "x".repeat(3000);
    expect((await seen("/a", { method: "PUT", body, headers: { "content-length": "3000" } })).body).toBe(body);
    for (let i = 0; copied.length < 2 && i < 300; i++) await sleep(5);
    expect(copied).toEqual(["GET /a?b=c ", `PUT /a ${body}`]);
  });

  needs("HTTPRouteRequestMirror")(
    "mirror-host and mirror-request-body: whose name a copy has, and what of it is sent",
    async () => {
      const { ingress, cluster, seen } = await lab(made);
      const copied: string[] = [];
      cluster.service("copy", [
        await made.backend("copy", (request, response) => {
          let body = "";
          request.on("data", (data) => (body += String(data)));
          request.on("end", () => {
            copied.push(`${request.headers.host} ${request.method} ${request.url} ${body}`);
            response.end();
          });
        }),
      ]);
      const body = "y".repeat(2000);
      const put = async (more: Readonly<Record<string, string>>): Promise<string | undefined> => {
        await ingress("web", { "mirror-target": "http://copy.shop.svc.cluster.local$request_uri", ...more });
        const before = copied.length;
        const own = await seen("/a?b=c", { method: "PUT", body, headers: { "content-length": "2000" } });
        // The request itself is as it was.
        expect([own.headers["host"], own.body]).toEqual(["shop.test", body]);
        for (let i = 0; copied.length === before && i < 300; i++) await sleep(5);
        return copied.at(-1);
      };
      expect(await put({})).toBe(`copy.shop.svc.cluster.local PUT /a?b=c ${body}`);
      expect(await put({ "mirror-host": "shadow.test" })).toBe(`shadow.test PUT /a?b=c ${body}`);
      expect(await put({ "mirror-request-body": "off" })).toBe("copy.shop.svc.cluster.local PUT /a?b=c ");
      expect(await put({ "mirror-host": "shadow.test", "mirror-request-body": "on" })).toBe(
        `shadow.test PUT /a?b=c ${body}`,
      );
    },
  );

  needs("CloseConnection")(
    "connection-proxy-header: close, each request has a connection of its own; keep-alive, they are kept",
    async () => {
      const { ingress, cluster, seen, get } = await lab(made, []);
      const ports: (number | undefined)[] = [];
      cluster.service("web", [
        await made.backend("web", ({ headers, socket, method, url }, response) => {
          ports.push(socket.remotePort);
          response.end(JSON.stringify({ name: "web", method, url, headers, body: "" }));
        }),
      ]);
      for (const [annotations, said] of [
        [{ "connection-proxy-header": "close" }, "close"],
        [{ "connection-proxy-header": "keep-alive" }, undefined],
      ] as const) {
        await ingress("web", annotations);
        ports.length = 0;
        for (let i = 0; i < 6; i++) {
          const { headers } = await seen("/a?b=c", { headers: { connection: "keep-alive" } });
          expect(headers["connection"] === "close").toBe(said === "close");
        }
        if (said === "close") expect(new Set(ports).size).toBe(6);
        else expect(new Set(ports).size).toBeLessThan(6);
      }
      const sent = { method: "POST", body: "hello", headers: { "transfer-encoding": "chunked" } };
      await ingress("web", { "connection-proxy-header": "close" });
      expect(JSON.parse((await get("/", sent)).body).headers.connection).toBe("close");
    },
  );

  needs("AnswerRate")("limit-rate and limit-rate-after: an answer takes its time, and comes as a whole", async () => {
    const kept = { "limit-rate": "10", "limit-rate-after": "20" };
    const body = Buffer.alloc(48 << 10, "0123456789abcdef").toString();
    for (const [annotations, nginxOptions] of [
      [kept, {}],
      [{}, kept],
      [{ "limit-rate": "0" }, kept],
    ] as const) {
      const { ingress, cluster, get } = await lab(made, [], { nginxOptions });
      cluster.service("web", [await made.backend("web", (_request, response) => response.end(body))]);
      await ingress("web", annotations);
      // 48k, of which 20k are free and 10k are a second's worth at once: what is left takes about another one.
      const answer = get("/", { agent: new Agent() });
      const paced = !("limit-rate" in annotations && annotations["limit-rate"] === "0");
      if (paced) expect(await Promise.race([answer, sleep(500, "not yet")])).toBe("not yet");
      expect((await answer).body).toBe(body);
    }
  });

  needs("AnswerRate")(
    "limit-rate beside a copy, own pages for errors and a limit of bodies: what is large comes whole",
    async () => {
      const { ingress, cluster, get } = await lab(made, []);
      const body = "0123456789abcdef".repeat(1 << 16);
      cluster.service("web", [await made.backend("web", (_request, response) => response.end(body))]);
      cluster.service("else", [await made.backend("else", (_request, response) => response.end())]);
      for (const beside of [
        { "custom-http-errors": "418", "default-backend": "else" },
        { "mirror-target": "http://else.shop.svc.cluster.local$request_uri" },
      ]) {
        await ingress("web", { "limit-rate": "700", "proxy-body-size": "1k", ...beside });
        // Without a size said before it, a body has a way of its own. On a new connection: one that is there may lead to who knows of no rates yet.
        const sent = { method: "POST", headers: { "transfer-encoding": "chunked" }, body: "hello", agent: new Agent() };
        const answer = get("/", sent).then((reply) => reply.body === body);
        expect(await Promise.race([answer, sleep(200, "not yet")])).toBe("not yet");
        expect(await answer).toBe(true);
      }
    },
  );

  test("configuration-snippet: header fields and redirects are read, and nothing else", async () => {
    const { ingress, get } = await lab(made);
    await ingress("web", {
      "configuration-snippet": `# for the browser
        more_set_headers "X-Frame-Options: DENY" "X-Two: 2";
        add_header X-Added 'a value' always;
        proxy_set_header X-To-Backend yes;
        more_clear_headers Content-Type;`,
    });
    const reply = await get("/");
    expect(reply.headers).toMatchObject({ "x-frame-options": "DENY", "x-two": "2", "x-added": "a value" });
    expect(reply.headers["content-type"]).toBeUndefined();
    expect(JSON.parse(reply.body).headers["x-to-backend"]).toBe("yes");
    await ingress("web", { "configuration-snippet": "return 302 https://else.test$request_uri;" });
    const redirected = await get("/x");
    expect([redirected.status, redirected.headers.location]).toEqual([302, "https://else.test/x"]);
  });

  test("configuration-snippet: fields with parts of the request, and the directives for WebSockets that change nothing", async () => {
    const { ingress, get } = await lab(made);
    await ingress("web", {
      "configuration-snippet": `proxy_set_header X-Way "$scheme://$host$request_uri";
        proxy_set_header X-Empty $arg_none;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
        proxy_http_version 1.1;
        more_set_headers "X-Asked: $request_method $uri";
        add_header X-Own $http_x_own;`,
    });
    const reply = await get("/a?b=c", { headers: { "x-empty": "theirs", "x-own": "mine" } });
    expect(reply.headers).toMatchObject({ "x-asked": "GET /a", "x-own": "mine" });
    const { headers } = JSON.parse(reply.body) as { headers: Record<string, string> };
    expect(headers["x-way"]).toBe("http://shop.test/a?b=c");
    expect(headers).not.toHaveProperty("x-empty");
    expect(headers).not.toHaveProperty("upgrade");
  });

  // Where requests are traced: test/tracing.
  test("enable-opentelemetry: what a client says of its trace is passed on where none is recorded", async () => {
    const { ingress, seen } = await lab(made);
    const headers = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };
    for (const trust of ["true", "false"]) {
      await ingress("web", { "enable-opentelemetry": "false", "opentelemetry-trust-incoming-span": trust });
      expect((await seen("/", { headers })).headers).toMatchObject(headers);
    }
  });

  test("proxy-redirect and proxy-cookie: what backends say of themselves is said as clients know it", async () => {
    const { ingress, cluster, get } = await lab(made, []);
    const said = [
      "a=1; Path=/inner/deep; Domain=.Inner.test; HttpOnly",
      "b=/inner; Max-Age=5",
      "c=3; domain=other.test; path=/else",
    ];
    cluster.service("web", [
      await made.backend("web", (request, response) => {
        response.setHeader("location", `http://inner.test:8080${request.url}`);
        response.setHeader("refresh", "5; url=http://inner.test:8080/soon");
        response.setHeader("set-cookie", said);
        response.writeHead(302).end();
      }),
    ]);
    await ingress("web", {
      "proxy-redirect-from": "http://inner.test:8080",
      "proxy-redirect-to": "$scheme://$host",
      "proxy-cookie-domain": "inner.test $host",
      "proxy-cookie-path": "/inner /outer",
    });
    const { headers } = await get("/x");
    expect(headers).toMatchObject({ location: "http://shop.test/x", refresh: "5; url=http://shop.test/soon" });
    expect(headers["set-cookie"]).toEqual([
      "a=1; Path=/outer/deep; Domain=shop.test; HttpOnly",
      "b=/inner; Max-Age=5",
      "c=3; domain=other.test; path=/else",
    ]);
    const none = {
      "proxy-redirect-from": "off",
      "proxy-redirect-to": "off",
      "proxy-cookie-domain": "off",
      "proxy-cookie-path": "off",
    };
    await ingress("web", none);
    const plain = (await get("/x")).headers;
    expect([plain.location, plain["set-cookie"]]).toEqual(["http://inner.test:8080/x", said]);
    // Expressions are left out, and told.
    await ingress("web", { ...none, "proxy-cookie-path": "~^/in /out" });
    expect((await get("/x")).headers["set-cookie"]).toEqual(said);
    expect(cluster.ingress.current()?.problems.map(({ reason }) => reason)).toContain("InvalidAnnotation");
  });

  test("configuration-snippet: rewrite of the path, and to another host", async () => {
    const { ingress, seen, get } = await lab(made);
    await ingress("web", { "configuration-snippet": "rewrite ^/old/(.*)$ /new/$1 break;" });
    expect((await seen("/old/a?b=c")).url).toBe("/new/a?b=c");
    expect((await seen("/other")).url).toBe("/other");
    await ingress("web", { "configuration-snippet": "rewrite ^(.*)$ https://new.test$1 permanent;" });
    const reply = await get("/a?b=c");
    expect([reply.status, reply.headers.location]).toEqual([301, "https://new.test/a?b=c"]);
  });

  test("custom-headers: fields of a ConfigMap, if the administrator allows their names", async () => {
    const { ingress, get, cluster } = await lab(made, ["web"], {
      nginxOptions: { "global-allowed-response-headers": "X-Frame-Options,X-Dollar" },
    });
    await ingress("web", { "custom-headers": "shop/fields" });
    expect((await get("/")).status).toBe(500);
    cluster.configMap("fields", { "X-Frame-Options": "DENY", "X-Dollar": "$remote_addr" });
    await cluster.served();
    // As it stands, whatever looks like a variable.
    expect((await get("/")).headers).toMatchObject({ "x-frame-options": "DENY", "x-dollar": "$remote_addr" });
    cluster.configMap("fields", { "X-Other": "1" });
    await cluster.served();
    expect((await get("/")).status).toBe(500);
    expect(cluster.ingress.current()?.problems.map(({ message }) => message)).toContainEqual(
      expect.stringContaining("global-allowed-response-headers"),
    );
    await ingress("web", { "custom-headers": "other/fields" });
    expect((await get("/")).status).toBe(500);
  });

  test("add-headers and proxy-set-headers of the ConfigMap: for all Ingresses", async () => {
    const { ingress, seen, get, cluster } = await lab(made, ["web"], {
      nginxOptions: { "add-headers": "shop/answers", "proxy-set-headers": "shop/requests" },
    });
    cluster.configMap("answers", { "X-Served-By": "us", "X-Bad\nName": "x" });
    cluster.configMap("requests", { "X-Scheme": "$scheme", "X-Static": "1", "X-Unknown": "$no_such_variable" });
    await ingress("web", {});
    expect((await get("/")).headers["x-served-by"]).toBe("us");
    const { headers } = await seen("/", { headers: { "x-scheme": "forged" } });
    expect(headers).toMatchObject({ "x-scheme": "http", "x-static": "1" });
    cluster.configMap("answers", { "X-Served-By": "them" });
    await cluster.served();
    expect((await get("/")).headers["x-served-by"]).toBe("them");
  });

  test("the ConfigMap's options are what annotations do not say", async () => {
    const { ingress, get } = await lab(made, ["web"], {
      nginxOptions: {
        "proxy-body-size": "10",
        "whitelist-source-range": "192.0.2.0/24",
        "limit-req-status-code": "429",
      },
    });
    await ingress("web", {});
    expect((await get("/")).status).toBe(403);
    await ingress("web", { "whitelist-source-range": "127.0.0.0/8" });
    expect((await get("/", { method: "POST", body: "more than ten bytes" })).status).toBe(413);
    await ingress("web", { "whitelist-source-range": "127.0.0.0/8", "limit-rpm": "1", "limit-burst-multiplier": "1" });
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await get("/")).status);
    expect(statuses).toEqual([200, 200, 429]);
  });
}
