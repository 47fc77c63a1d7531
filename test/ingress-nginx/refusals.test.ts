import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { capabilities as embedded } from "../../src/dataplane/embedded/embedded.ts";
import { dispensable } from "../../src/dataplane/features.ts";
import { capabilities as haproxy } from "../../src/dataplane/haproxy/capabilities.ts";
import { capabilities as nginx } from "../../src/dataplane/nginx/capabilities.ts";
import { missingFor, startHaproxy, startNginx } from "../../src/dataplane/index.ts";
import { selfSigned } from "../dataplane/certificates.ts";
import { fixture } from "../dataplane/suite.ts";
import { type Feature, lab } from "./fixture.ts";

/** Annotations that need more than a route, and what a data plane must be able to do for them. */
const annotations: readonly (readonly [Feature, Readonly<Record<string, string>>])[] = [
  ["SourceRanges", { "whitelist-source-range": "127.0.0.0/8" }],
  ["SourceRanges", { "denylist-source-range": "192.0.2.0/24" }],
  ["BasicAuth", { "auth-type": "basic", "auth-secret": "users" }],
  ["DigestAuth", { "auth-type": "digest", "auth-secret": "users" }],
  ["ClientCertificate", { "auth-tls-secret": "ca" }],
  ["ExternalAuth", { "auth-url": "http://web.shop.svc.cluster.local/" }],
  ["RateLimit", { "limit-rps": "100" }],
  ["ConnectionLimit", { "limit-connections": "100" }],
  ["SessionCookie", { affinity: "cookie" }],
  ["HashBalancing", { "upstream-hash-by": "$request_uri" }],
  ["FallbackPool", { "default-backend": "web" }],
  ["UnverifiedBackendTls", { "backend-protocol": "HTTPS" }],
  ["RegexRewrite", { "rewrite-target": "/y" }],
  ["ErrorPages", { "custom-http-errors": "404", "default-backend": "web" }],
  ["UrlRedirect", { "permanent-redirect": "https://x.test/" }],
  ["SslRedirect", { "force-ssl-redirect": "true" }],
];

test("the documentation's table says what each data plane says of itself", async () => {
  const text = await readFile(new URL("../../docs/ingress-nginx.md", import.meta.url), "utf8");
  const rows = [...text.matchAll(/^\| `(\w+)`( \*)? \|[^|]*\| (yes|no) \| (yes|no) \| (yes|no) \|$/gm)];
  const said = (has: boolean): string => (has ? "yes" : "no");
  for (const [, feature = "", star, ...cells] of rows) {
    const each = feature as Feature;
    const planes = [embedded, nginx, haproxy].map((capabilities) => said(capabilities.has(each)));
    expect([feature, cells]).toEqual([feature, planes]);
    expect([feature, star !== undefined]).toEqual([feature, dispensable.has(each)]);
  }
  const told = new Set(rows.map(([, feature]) => feature));
  for (const [feature] of annotations) expect(told).toContain(feature);
});

for (const [name, start] of [
  ["haproxy", startHaproxy],
  ["nginx", startNginx],
] as const) {
  const why = await missingFor(name);
  if (why !== undefined) {
    describe.skip(`ingress-nginx on ${name} (skipped: ${why})`, () => test("refusals", () => {}));
    continue;
  }
  describe(`ingress-nginx on ${name}`, () => {
    const made = fixture(start);

    test("what annotations ask for and it cannot do answers 500 and is told; all else is served", async () => {
      const { cluster, ingress, get } = await lab(made);
      cluster.secret("users", { auth: "ann:{PLAIN}secret" });
      cluster.secret("ca", { "ca.crt": selfSigned(["ca.test"])["tls.crt"] });
      const hosts = annotations.map((_, index) => `h${index}.test`);
      await ingress("plain", { "proxy-body-size": "1k", "proxy-read-timeout": "5" });
      for (const [index, [, each]] of annotations.entries())
        await ingress(`i${index}`, each, [{ path: "/x" }], { host: hosts[index] ?? "" });
      await ingress("canary", { canary: "true", "canary-weight": "50" }, [{}], { host: "c.test" });
      await ingress("main", {}, [{}], { host: "c.test" });
      await cluster.served();

      expect((await get("/")).status).toBe(200);
      const problems = cluster.ingress.current()?.problems ?? [];
      for (const [index, [feature]] of [...annotations, ["Canary"] as const].entries()) {
        const host = hosts[index] ?? "c.test";
        const able = cluster.dataplane.capabilities.has(feature);
        const { status } = await get("/x", { host });
        if (able) continue;
        // A path that cannot be matched at all is nobody's: 404. Anything else is kept out by 500.
        expect([feature, feature === "RegexRewrite" ? [404, 500] : [500]]).toEqual([
          feature,
          expect.arrayContaining([status]),
        ]);
        const object = { name: hosts[index] === undefined ? "main" : `i${index}` };
        expect(problems).toContainEqual(
          expect.objectContaining({
            object: expect.objectContaining(object) as object,
            reason: "UnsupportedFeature",
            message: expect.stringContaining(feature) as string,
          }),
        );
      }
    });
  });
}
