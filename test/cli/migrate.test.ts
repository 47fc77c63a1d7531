import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-migrate-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function migrate(...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile("./fairlead", ["migrate", "ingress-nginx", ...args], { timeout: 120_000 }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

const ingress = (name: string, annotations: Record<string, string>, path: string, more = "") => `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: ${name}
  namespace: shop
  annotations: ${JSON.stringify(
    Object.fromEntries(
      Object.entries(annotations).map(([key, value]) => [`nginx.ingress.kubernetes.io/${key}`, value]),
    ),
  )}
spec:
  ingressClassName: nginx
  ${more}
  rules:
    - host: ${name}.example.com
      http:
        paths:
          - path: ${path}
            pathType: Prefix
            backend: { service: { name: ${name}, port: { number: 80 } } }
`;

test("what behaves the same is said, with 0; what does not, with 1; and what cannot be read, above it", async () => {
  const same = await file("same.yaml", ingress("web", { "proxy-body-size": "8m" }, "/"));
  const whole = await migrate("-f", same);
  expect([whole.code, whole.stdout]).toEqual([0, expect.stringContaining("1 will behave the same")]);
  const other = await file(
    "other.yaml",
    ingress("api", { "proxy-http-version": "1.0", "stream-snippet": "deny all;" }, "/"),
  );
  const { code, stdout } = await migrate("-f", same, "-f", other, "-o", "json");
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({
    ingresses: [
      {
        object: "Ingress shop/api",
        verdict: "refused",
        annotations: [
          { name: "proxy-http-version", verdict: "differs" },
          { name: "stream-snippet", verdict: "refused" },
        ],
      },
      { object: "Ingress shop/web", verdict: "same" },
    ],
  });
  expect((await migrate("-f", join(folder, "none.yaml"))).code).toBe(16);
  expect((await migrate("-f", same, "--access-log", join(folder, "none.log"))).code).toBe(16);
  expect((await migrate("-f", same, "--gateway", "x")).code).toBe(2);
  const bad = await file("bad.yaml", "kind: Ingress\n  - x");
  expect((await migrate("-f", bad)).code).toBe(16);
});

test("an access log is led through the new routing, and each difference is shown", async () => {
  const web = await file("log.yaml", ingress("web", {}, "/app"));
  const tail = '"-" "curl" 1 0.1 [shop-web-80] [] 10.0.0.1:80 1 1 200 id';
  const log = await file(
    "access.log",
    [
      `10.0.0.9 - - [x] "GET /app/x HTTP/1.1" 200 5 ${tail}`,
      `10.0.0.9 - - [x] "GET /old HTTP/1.1" 200 5 ${tail}`,
      "nothing of the kind",
    ].join("\n"),
  );
  const { code, stdout } = await migrate("-f", web, "--access-log", log, "-o", "yaml");
  expect(code).toBe(1);
  expect(parse(stdout)).toMatchObject({
    replay: { lines: 3, same: 1, different: 1, unread: 1, differences: [{ path: "/old", line: 2 }] },
  });
});

test("Gateway API objects are printed, and the report beside them", async () => {
  const tls = "tls: [{ hosts: [web.example.com], secretName: tls }]";
  const web = await file("gateway.yaml", ingress("web", {}, "/", tls));
  const { stdout, stderr } = await migrate("-f", web, "--to", "gateway-api", "--gateway", "edge/main");
  const objects = parseAllDocuments(stdout).map((document) => document.toJS() as { kind: string; metadata: object });
  expect(objects.map(({ kind, metadata }) => [kind, metadata])).toEqual([
    ["Gateway", { name: "main", namespace: "edge" }],
    ["ListenerSet", { name: "main-tls", namespace: "shop" }],
    ["HTTPRoute", { name: "web", namespace: "shop" }],
    ["HTTPRoute", { name: "web-to-https", namespace: "shop" }],
  ]);
  expect(stderr).toContain("0 routes are left out");
});
