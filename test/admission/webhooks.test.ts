import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestCluster, type TestCluster } from "../../src/testing/index.ts";
import { readJson, serviceOf, startHttpsServer, type HttpsServer } from "../support/https-server.ts";
import { startKubectl, withoutKubectl, type Kubectl } from "../support/kubectl.ts";

const why = withoutKubectl ? ` (skipped: ${withoutKubectl})` : "";

interface Review {
  readonly apiVersion: string;
  readonly request: { readonly uid: string; readonly object: { metadata: { labels?: Record<string, string> } } };
}

describe.skipIf(withoutKubectl !== undefined)(`webhooks behind HTTPS, through kubectl${why}`, () => {
  let cluster: TestCluster;
  let kubectl: Kubectl;
  let server: HttpsServer;

  beforeAll(async () => {
    cluster = await startTestCluster();
    kubectl = await startKubectl(cluster.kubeconfigFile);
    server = await startHttpsServer(["hook.hooks.svc", "127.0.0.1"], (request, response) => {
      void readJson<Review>(request).then(({ apiVersion, request: { uid, object } }) => {
        const path = new URL(request.url ?? "/", "https://server").pathname;
        const answer = (more: object): void =>
          void response.end(JSON.stringify({ apiVersion, kind: "AdmissionReview", response: { uid, ...more } }));
        if (path === "/slow") return;
        if (path === "/huge") response.end(Buffer.alloc(20 << 20, " "));
        else if (path === "/label")
          answer({
            allowed: true,
            patchType: "JSONPatch",
            patch: Buffer.from(
              JSON.stringify([{ op: "add", path: "/metadata/labels", value: { hooked: "yes" } }]),
            ).toString("base64"),
          });
        else {
          const allowed = object.metadata.labels?.["hooked"] === "yes";
          answer({
            allowed,
            warnings: ["looked at"],
            ...(allowed ? {} : { status: { message: "it is not hooked", code: 403 } }),
          });
        }
      });
    });
    await kubectl.prints("create namespace hooks");
    await kubectl.prints("create namespace shop");
    await kubectl.prints("apply -f -", serviceOf("hook", "hooks", server.port));
  });
  afterAll(async () => {
    await server.stop();
    await kubectl.stop();
    await cluster.stop();
  });

  const configuration = (kind: string, name: string, client: string, more = ""): string => `
apiVersion: admissionregistration.k8s.io/v1
kind: ${kind}WebhookConfiguration
metadata: { name: ${name} }
webhooks:
  - name: ${name}.example.com
    clientConfig: { ${client}, caBundle: ${server.caBundle} }
    rules: [{ operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [configmaps] }]
    namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: shop } }
    sideEffects: None
    admissionReviewVersions: [v1]
    ${more}
`;
  const service = (path: string): string => `service: { namespace: hooks, name: hook, path: ${path} }`;
  const create = (name: string, options = ""): string => `create configmap -n shop ${name}${options}`;

  it("refuse and warn, by URL", async () => {
    await kubectl.prints(
      "apply -f -",
      configuration("Validating", "check", `url: "https://127.0.0.1:${server.port}/check"`),
    );
    const stderr = await kubectl.complains(create("a"));
    expect(stderr).toContain("Warning: looked at");
    expect(stderr).toContain('admission webhook "check.example.com" denied the request: it is not hooked');
    await kubectl.prints("create configmap -n default a");
  });

  it("change what is written, by Service, before others look at it", async () => {
    await kubectl.prints("apply -f -", configuration("Mutating", "label", service("/label")));
    await kubectl.prints(create("b"));
    expect(await kubectl.prints("get configmap -n shop b -o jsonpath={.metadata.labels.hooked}")).toBe("yes");
    expect(await kubectl.prints(create("c", " --dry-run=server -o jsonpath={.metadata.labels.hooked}"))).toBe("yes");
  });

  it.each([
    ["that are slow", "/slow", 1, "context deadline exceeded"],
    ["that say too much", "/huge", 30, "the answer has more than"],
  ])("%s fail the request, or not", async (_name, path, seconds, text) => {
    const more = `timeoutSeconds: ${seconds}`;
    await kubectl.prints("apply -f -", configuration("Validating", "bad", service(path), more));
    expect(await kubectl.complains(create("d"))).toContain(text);
    await kubectl.prints(
      "apply -f -",
      configuration("Validating", "bad", service(path), `${more}\n    failurePolicy: Ignore`),
    );
    await kubectl.prints(create("d"));
    await kubectl.prints("delete configmap -n shop d");
    await kubectl.prints("delete validatingwebhookconfiguration bad");
  });

  it("that are gone fail the request with upstream's words, and can be taken away", async () => {
    await kubectl.prints(
      "apply -f -",
      configuration("Validating", "gone", "service: { namespace: hooks, name: none }"),
    );
    expect(await kubectl.complains(create("e"))).toContain(
      'Internal error occurred: failed calling webhook "gone.example.com": failed to call webhook: Post "https://none.hooks.svc:443/?timeout=10s": service "none" not found',
    );
    await kubectl.prints("delete validatingwebhookconfiguration gone");
    await kubectl.prints(create("e"));
  });
});
