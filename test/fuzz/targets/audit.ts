import { AuditPolicyError, parseAuditPolicy } from "../../../src/apiserver/audit/index.ts";
import { requestInfo } from "../../../src/apiserver/request/request-info.ts";
import { broken, outcomeOf, type Target } from "../target.ts";

const users = [
  { name: "ann", groups: ["system:authenticated", "ops"] },
  { name: "system:anonymous", groups: [] },
];
const requests = (
  [
    ["GET", "/api/v1/namespaces/default/pods"],
    ["POST", "/api/v1/namespaces/default/pods/p/exec"],
    ["PATCH", "/apis/apps/v1/namespaces/a/deployments/web/scale"],
    ["DELETE", "/api/v1/nodes/n"],
    ["GET", "/healthz/ping"],
  ] as const
).map(([method, path]) => requestInfo({ method, path, query: new URLSearchParams() }));
const levels = ["None", "Metadata", "Request", "RequestResponse"];

/** Audit policies: each request is decided, and always alike. */
export const auditPolicy: Target = {
  name: "audit-policy",
  form: "text",
  words: [
    "- level: Metadata\n",
    "level: ",
    "RequestResponse",
    "users: [ann]",
    "userGroups: [ops]",
    "verbs: [get, watch]",
    "resources: [{group: '', resources: [pods, 'pods/*', '*/scale'], resourceNames: [p]}]",
    "namespaces: ['', default]",
    "nonResourceURLs: ['/healthz*', '*']",
    "omitStages: [RequestReceived]",
    "omitManagedFields: true",
    "__proto__: {}",
    "null",
    "[",
    "]",
    "{",
    "}",
    "\n",
    "  ",
  ],
  seeds: () => [
    "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nomitManagedFields: true\nrules:\n- level: None\n  users: [system:anonymous]\n  nonResourceURLs: ['/healthz*']\n- level: RequestResponse\n  resources:\n  - group: apps\n    resources: ['*/scale', deployments]\n  namespaces: [a]\n  omitManagedFields: false\n- level: Metadata\n",
    '{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"Request","verbs":["get"],"userGroups":["ops"],"resources":[{"resources":["pods"],"resourceNames":["p"]}],"omitStages":["Panic"]}]}',
    "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata, resources: [{}]}]\n",
  ],
  run: (input) =>
    outcomeOf([AuditPolicyError], async () => {
      const text = input.toString();
      const [policy, again] = [await parseAuditPolicy(text), await parseAuditPolicy(text)];
      const found = users.flatMap((user) =>
        requests.map((info) => {
          const { level, omitStages, omitManagedFields } = policy.decide(user, info);
          if (!levels.includes(level)) broken(`a level ${level}`);
          const other = again.decide(user, info);
          if (other.level !== level || other.omitManagedFields !== omitManagedFields) broken("decided otherwise");
          return `${level[0]}${omitStages.size}`;
        }),
      );
      return [...new Set(found)];
    }),
};
