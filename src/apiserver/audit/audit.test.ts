import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createMetrics, type Metrics } from "../../system/index.ts";
import { admin, mergePatch, startTestApi, type TestApi } from "../test-api.ts";
import { statusWithoutSecrets, withoutSecrets } from "./redact.ts";
import { parseAuditPolicy } from "./policy.ts";

const policyOf = (rules: string, more = ""): string =>
  `apiVersion: audit.k8s.io/v1\nkind: Policy\n${more}rules:\n${rules}`;

interface Event {
  readonly level: string;
  readonly stage: string;
  readonly verb: string;
  readonly auditID: string;
  readonly annotations?: Record<string, string>;
  readonly [field: string]: unknown;
}

let api: TestApi;
let metrics: Metrics;
let lines: string[];
const events = (): Event[] => lines.map((line) => JSON.parse(line) as Event);
const about = (resource: string): Event[] =>
  events().filter(({ objectRef }) => (objectRef as { resource?: string } | undefined)?.resource === resource);

const policy = policyOf(
  `
- level: None
  users: ["quiet"]
- level: None
  nonResourceURLs: ["/livez*", "/version"]
- level: Metadata
  resources: [{ group: "", resources: ["secrets", "*/status"] }]
- level: RequestResponse
  verbs: [create, patch, delete]
  resources: [{ resources: ["configmaps"] }]
  namespaces: [default]
  omitManagedFields: true
- level: Request
  resources: [{ group: "apps" }]
  omitStages: []
- level: Metadata
`,
  "omitStages: [RequestReceived]\n",
);

beforeEach(async () => {
  lines = [];
  metrics = createMetrics();
  api = await startTestApi({
    more: {
      metrics,
      audit: {
        policy: await parseAuditPolicy(policy),
        sink: { write: (line) => void lines.push(line), lost: () => 3 },
      },
    },
  });
});
afterEach(() => api.stop());

const configMaps = "/api/v1/namespaces/default/configmaps";

describe("audit events", () => {
  it("tell who did what, when and why it was allowed, with both bodies where they are asked for", async () => {
    await api.call(
      "POST",
      configMaps,
      { metadata: { generateName: "a-" }, data: { k: "v" } },
      { headers: { "user-agent": "kubectl" } },
    );
    await vi.waitFor(() => expect(about("configmaps")).toHaveLength(1));
    const [event] = about("configmaps");
    expect(event).toEqual({
      kind: "Event",
      apiVersion: "audit.k8s.io/v1",
      level: "RequestResponse",
      auditID: expect.stringMatching(/^[-0-9a-f]{36}$/),
      stage: "ResponseComplete",
      requestURI: configMaps,
      verb: "create",
      user: { username: "admin", groups: ["system:masters", "system:authenticated"] },
      sourceIPs: ["127.0.0.1"],
      userAgent: "kubectl",
      objectRef: { resource: "configmaps", namespace: "default", name: expect.stringMatching(/^a-/), apiVersion: "v1" },
      responseStatus: { metadata: {}, code: 201 },
      requestObject: expect.objectContaining({ data: { k: "v" } }),
      responseObject: expect.objectContaining({ kind: "ConfigMap", data: { k: "v" } }),
      requestReceivedTimestamp: expect.stringMatching(/^\d{4}-.*\.\d{6}Z$/),
      stageTimestamp: expect.stringMatching(/\.\d{6}Z$/),
      annotations: { "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "" },
    });
    expect(JSON.stringify(event)).not.toContain("managedFields");
    expect(lines.every((line) => line.endsWith("}\n"))).toBe(true);
  });

  it("hold a patch as it was sent", async () => {
    await api.call("POST", configMaps, { metadata: { name: "a" } });
    await api.call("PATCH", `${configMaps}/a`, { data: { x: "1" } }, mergePatch);
    await vi.waitFor(() => expect(about("configmaps").some(({ verb }) => verb === "patch")).toBe(true));
    expect(about("configmaps").find(({ verb }) => verb === "patch")).toMatchObject({
      requestObject: { data: { x: "1" } },
      responseObject: { data: { x: "1" } },
    });
  });

  it("hold nothing of a secret unless that is asked for", async () => {
    await api.call("POST", "/api/v1/namespaces/default/secrets", {
      metadata: { name: "s" },
      stringData: { p: "geheim" },
    });
    await api.call("GET", "/api/v1/namespaces/default/secrets/s");
    await vi.waitFor(() => expect(about("secrets")).toHaveLength(2));
    expect(
      about("secrets").every(
        ({ level, requestObject, responseObject }) => level === "Metadata" && !requestObject && !responseObject,
      ),
    ).toBe(true);
    expect(lines.join("")).not.toMatch(/geheim|Z2VoZWlt/);
  });

  it("tell of refusals, and of who acts for whom", async () => {
    const ann = { name: "ann", groups: ["system:authenticated"] };
    await api.call("GET", configMaps, undefined, { user: ann });
    await api.call("GET", configMaps, undefined, { impersonation: { user: "bob", groups: [], extra: {}, uid: "" } });
    await vi.waitFor(() => expect(about("configmaps")).toHaveLength(2));
    expect(about("configmaps")[0]).toMatchObject({
      level: "Metadata",
      user: { username: "ann" },
      responseStatus: { code: 403, status: "Failure", reason: "Forbidden", message: expect.stringContaining("ann") },
      annotations: { "authorization.k8s.io/decision": "forbid" },
    });
    expect(about("configmaps")[1]).toMatchObject({
      user: { username: "admin" },
      impersonatedUser: { username: "bob" },
    });
  });

  it("tell when a watch begins and when it ends", async () => {
    const watch = await api.watch(`${configMaps}?watch=1`);
    await vi.waitFor(() => expect(about("configmaps").map(({ stage }) => stage)).toEqual(["ResponseStarted"]));
    watch.stop();
    await watch.next();
    await vi.waitFor(() =>
      expect(about("configmaps").map(({ stage }) => stage)).toEqual(["ResponseStarted", "ResponseComplete"]),
    );
    expect(new Set(about("configmaps").map(({ auditID }) => auditID)).size).toBe(1);
  });

  it("carry the remarks of admission", async () => {
    await api.call(
      "PATCH",
      "/api/v1/namespaces/default",
      { metadata: { labels: { "pod-security.kubernetes.io/enforce": "baseline" } } },
      mergePatch,
    );
    await api.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
    await api.call("POST", "/api/v1/namespaces/default/pods", {
      metadata: { name: "p" },
      spec: { containers: [{ name: "c", image: "i" }] },
    });
    await vi.waitFor(() => expect(about("pods")).toHaveLength(1));
    expect(about("pods")[0]?.annotations).toMatchObject({
      "pod-security.kubernetes.io/enforce-policy": expect.stringMatching(/^baseline:/),
    });
  });

  it("are not made for what the policy leaves out", async () => {
    lines = [];
    await api.call("GET", "/livez/ping");
    await api.call("GET", configMaps, undefined, { user: { ...admin, name: "quiet" } });
    await api.call("GET", "/api");
    await vi.waitFor(() => expect(events().map(({ requestURI }) => requestURI)).toEqual(["/api"]));
    const text = await metrics.text();
    expect(text).toContain('apiserver_audit_level_total{level="None"} 2');
    expect(text).toContain('apiserver_audit_error_total{plugin="log"} 3');
  });
});

describe("secret values", () => {
  const of = (resource: string, subresource = "") =>
    ({ type: "resource", group: "", resource, subresource, verb: "create" }) as never;

  it.each<[string, unknown, unknown]>([
    [
      "an object",
      { data: { a: "eA==" }, stringData: { b: "x" } },
      { data: { a: "REDACTED" }, stringData: { b: "REDACTED" } },
    ],
    ["a merge patch", { data: { a: null, b: "x" } }, { data: { a: null, b: "REDACTED" } }],
    [
      "a JSON patch",
      [
        { op: "remove", path: "/a" },
        { op: "add", path: "/data/b", value: "x" },
      ],
      [
        { op: "remove", path: "/a" },
        { op: "add", path: "/data/b", value: "REDACTED" },
      ],
    ],
    ["values in the wrong place", { data: "x" }, { data: "REDACTED" }],
    ["a field that no Secret has", { type: "Opaque", password: "x" }, { type: "Opaque", password: "REDACTED" }],
    ["a list", { items: [{ data: { a: "x" } }] }, { items: [{ data: { a: "REDACTED" } }] }],
    [
      "a table, and what kubectl applied",
      {
        rows: [
          {
            cells: [1],
            object: {
              metadata: { annotations: { "kubectl.kubernetes.io/last-applied-configuration": "x", own: "y" } },
            },
          },
        ],
      },
      {
        rows: [
          {
            cells: [1],
            object: {
              metadata: { annotations: { "kubectl.kubernetes.io/last-applied-configuration": "REDACTED", own: "y" } },
            },
          },
        ],
      },
    ],
    ["nothing", undefined, undefined],
  ])("are left out of %s", (_, body, shown) => {
    expect(withoutSecrets(of("secrets"), body)).toEqual(shown);
    expect(withoutSecrets(of("configmaps"), body)).toBe(body);
  });

  it("are left out of what is said against an object, and names are not", () => {
    const causes = [{ reason: "FieldValueInvalid", message: "x", field: "data" }];
    const invalid = {
      kind: "Status",
      reason: "Invalid",
      message: 'Invalid value: "x"',
      details: { name: "a", causes },
    };
    expect(statusWithoutSecrets(of("secrets"), invalid)).toEqual({
      ...invalid,
      message: "REDACTED",
      details: { name: "a" },
    });
    expect(statusWithoutSecrets(of("configmaps"), invalid)).toBe(invalid);
    const absent = { kind: "Status", reason: "NotFound", message: 'secrets "a" not found' };
    expect(statusWithoutSecrets(of("secrets"), absent)).toBe(absent);
  });

  it("are left out of tokens that are made", () => {
    const body = { spec: { audiences: ["a"] }, status: { token: "x", expirationTimestamp: "t" } };
    expect(withoutSecrets(of("serviceaccounts", "token"), body)).toEqual({
      spec: { audiences: ["a"] },
      status: { token: "REDACTED", expirationTimestamp: "t" },
    });
  });
});

describe("a policy file", () => {
  it.each([
    ["rules: [", "it is no YAML"],
    ["apiVersion: v1", "apiVersion and kind must be audit.k8s.io/v1 and Policy"],
    [policyOf(" []"), "rules: there must be one at least"],
    [policyOf("- level: All"), "rules[0].level: must be one of None, Metadata, Request, RequestResponse"],
    [policyOf("- {level: None, user: [a]}"), "rules[0].user: there is no such field"],
    [policyOf("- {level: None, omitStages: [Done]}"), 'rules[0].omitStages: "Done" is none of'],
    [policyOf('- {level: None, nonResourceURLs: ["/a*b"]}'), "must begin with a slash"],
    [policyOf('- {level: None, nonResourceURLs: ["/a"], namespaces: [b]}'), "not for both"],
    [policyOf("- {level: None, resources: [{resourceNames: [a]}]}"), "need resources beside them"],
  ])("that is wrong is refused: %s", async (text, message) => {
    await expect(parseAuditPolicy(text)).rejects.toThrow(message);
  });
});
