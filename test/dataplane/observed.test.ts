// What each data plane says of requests: the same figures and the same lines, from the same objects.
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type DataPlaneName, missingFor, startDataPlane } from "../../src/dataplane/index.ts";
import { resources } from "../../src/kube/index.ts";
import { embeddedProgram } from "../support/embedded-program.ts";
import { send } from "./clients.ts";
import { eventually } from "./cluster.ts";
import { fixture, rule } from "./suite.ts";

const program = await embeddedProgram();
const folder = mkdtempSync(join(tmpdir(), "fairlead-observed-"));
afterAll(() => rmSync(folder, { recursive: true }));
const odd = 'a"}, \\ é';

for (const name of ["embedded", "haproxy", "nginx"] satisfies DataPlaneName[]) {
  const why = await missingFor(name);
  describe.skipIf(why !== undefined)(`what ${name} says of requests${why === undefined ? "" : ` (${why})`}`, () => {
    const file = join(folder, `${name}.log`);
    const made = fixture((options) =>
      startDataPlane(name, {
        ...options,
        embeddedProgram: program,
        processes: 1,
        routeFigures: true,
        accessLog: openSync(file, "a"),
      }),
    );
    const linesOf = (): Readonly<Record<string, unknown>>[] =>
      readFileSync(file, "utf8")
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);

    test("a line and a figure for each, with the object that led it", { timeout: 30_000 }, async () => {
      const backend = await made.backend("a");
      const silent = await made.backend("silent", () => {});
      const cluster = await made.cluster();
      cluster.service("web", [backend]);
      cluster.service("silent", [silent]);
      cluster.service("nobody", []);
      cluster.addIngress("web", { rules: [rule("web"), rule("nobody", { host: "nobody.test" })] });
      cluster.addIngress("silent", { rules: [rule("silent", { host: "silent.test" })] });
      cluster.client.put(resources.IngressClass, {
        metadata: { name: "nginx" },
        spec: { controller: "k8s.io/ingress-nginx" },
      });
      // Two that say the same but for the host, and are more than a look-up.
      for (const host of ["one", "two"])
        cluster.addIngress(
          host,
          { ingressClassName: "nginx", rules: [rule("web", { host: `${host}.test` })] },
          { "nginx.ingress.kubernetes.io/app-root": "/app", "nginx.ingress.kubernetes.io/x-forwarded-prefix": "/p" },
        );
      await cluster.served();
      const trace = "0af7651916cd43dd8448eb211c80319c";
      const traceparent = `00-${trace}-b7ad6b7169203331-01`;
      const first = await send(cluster, "/plain?a=b%20c", {
        headers: { "user-agent": odd, referer: "http://r.test/", traceparent, "x-request-id": "mine-1" },
      });
      expect(first.status).toBe(200);
      expect((JSON.parse(first.body) as { headers: Record<string, string> }).headers["traceparent"]).toBe(traceparent);
      expect((await send(cluster, "/odd%41/../x")).status).toBe(200);
      expect((await send(cluster, "/", { host: "unknown.test" })).status).toBe(404);
      expect((await send(cluster, "/", { host: "nobody.test" })).status).toBe(503);
      expect((await send(cluster, "/", { host: "two.test" })).status).toBe(302);
      expect((await send(cluster, "/in", { host: "one.test", method: "POST", body: "x" })).status).toBe(200);
      const leaving = connect(cluster.port("http"), "127.0.0.1");
      await once(leaving, "connect");
      leaving.write("GET /left HTTP/1.1\r\nHost: silent.test\r\n\r\n");
      await once(silent.server, "request");
      leaving.destroy();

      await eventually("all are written down", () => linesOf().length >= 7);
      const lines = linesOf();
      expect(lines).toHaveLength(7);
      const of = (target: string, host = "shop.test") =>
        lines.find((line) => line["target"] === target && String(line["host"]).startsWith(host));
      const endpoint = `127.0.0.1:${backend.port}`;
      const route = { kind: "Ingress", namespace: "shop", name: "web", rule: "spec.rules[0].http.paths[0]" };
      expect(of("/plain?a=b%20c")).toMatchObject({
        request: "mine-1",
        client: "127.0.0.1",
        method: "GET",
        protocol: "HTTP/1.1",
        status: 200,
        bytes: expect.any(Number) as number,
        milliseconds: expect.any(Number) as number,
        route,
        backend: "shop/web:80",
        endpoint,
        userAgent: odd,
        referer: "http://r.test/",
        trace,
      });
      expect(of("/odd%41/../x")).toMatchObject({ status: 200, route, endpoint });
      expect(of("/", "unknown.test")).toMatchObject({ status: 404 });
      expect(of("/", "unknown.test")).not.toHaveProperty("route");
      expect(of("/", "nobody.test")).toMatchObject({ status: 503, route: { name: "web" }, backend: "shop/nobody:80" });
      expect(of("/", "two.test")).toMatchObject({ status: 302, route: { name: "two" } });
      expect(of("/in", "one.test")).toMatchObject({ status: 200, method: "POST", route: { name: "one" }, endpoint });
      expect(of("/left", "silent.test")).toMatchObject({ status: 499, route: { name: "silent" } });

      const labels =
        'kind="Ingress",namespace="shop",name="web",rule="spec.rules[0].http.paths[0]",backend="shop/web:80"';
      const alias = 'namespace="shop",ingress="one",host="one.test",path="/",service="web",method="POST",status="200"';
      // Processes of the embedded one tell what they have counted a little later.
      for (const line of [
        `fairlead_route_requests_total{${labels},method="GET",code="200"} 2`,
        `fairlead_route_request_duration_seconds_count{${labels}} 2`,
        'fairlead_ingress_requests_total{code="499"} 1',
        `nginx_ingress_controller_requests{${alias}} 1`,
      ])
        await eventually(line, async () => (await cluster.metrics.text()).split("\n").includes(line));
    });
  });
}
