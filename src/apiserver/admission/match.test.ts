import { describe, expect, it } from "vitest";
import { matchRequest, type AdmissionMatch, type AdmissionRule, type AdmissionSubject } from "./match.ts";

const pod: AdmissionSubject = {
  operation: "CREATE",
  group: "",
  version: "v1",
  resource: "pods",
  subresource: "",
  namespace: "shop",
  name: "web",
  labels: { app: "web" },
  hasObject: true,
  hasOld: false,
  namespaceLabels: () => ({ team: "red" }),
  equivalents: () => [],
};
const rule: AdmissionRule = { operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*"] };
const matches = (match: AdmissionMatch, subject: Partial<AdmissionSubject> = {}): boolean =>
  matchRequest(match, { ...pod, ...subject }) !== undefined;

describe("rules", () => {
  it.each<[string, Partial<AdmissionRule>, Partial<AdmissionSubject>, boolean]>([
    ["a star does not match a subresource", {}, { subresource: "status" }, false],
    ["*/* matches a subresource", { resources: ["*/*"] }, { subresource: "status" }, true],
    ["*/* matches no subresource", { resources: ["*/*"] }, {}, true],
    ["*/scale", { resources: ["*/scale"] }, { subresource: "scale" }, true],
    ["pods/* matches pods", { resources: ["pods/*"] }, {}, true],
    ["pods/* is not services", { resources: ["pods/*"] }, { resource: "services" }, false],
    ["operation", { operations: ["UPDATE"] }, {}, false],
    ["operation listed", { operations: ["UPDATE", "CREATE"] }, {}, true],
    ["group", { apiGroups: ["apps"] }, {}, false],
    ["version", { apiVersions: ["v2"] }, {}, false],
    ["name", { resourceNames: ["other"] }, {}, false],
    ["name listed", { resourceNames: ["web"] }, {}, true],
    ["namespaced", { scope: "Namespaced" }, {}, true],
    ["cluster", { scope: "Cluster" }, {}, false],
    ["cluster-scoped", { scope: "Cluster" }, { resource: "nodes", namespace: "" }, true],
    ["a Namespace is cluster-scoped", { scope: "Cluster" }, { resource: "namespaces", namespace: "shop" }, true],
    ["a Namespace is not namespaced", { scope: "Namespaced" }, { resource: "namespaces", namespace: "shop" }, false],
  ])("%s", (_, change, subject, expected) => {
    expect(matches({ rules: [{ ...rule, ...change }] }, subject)).toBe(expected);
  });

  it("absent rules match everything, an empty list nothing", () => {
    expect([matches({}), matches({ rules: [] })]).toEqual([true, false]);
  });

  it("excluded", () => {
    expect(matches({ rules: [rule], excludeRules: [{ ...rule, resources: ["pods"] }] })).toBe(false);
    expect(matches({ rules: [rule], excludeRules: [{ ...rule, resources: ["services"] }] })).toBe(true);
  });

  it("nothing sees the configuration of admission", () => {
    const subject = {
      group: "admissionregistration.k8s.io",
      resource: "validatingwebhookconfigurations",
      namespace: "",
    };
    expect(matches({}, subject)).toBe(false);
    expect(matches({}, { ...subject, group: "example.org" })).toBe(true);
  });
});

describe("match policy", () => {
  const rules = [{ ...rule, apiGroups: ["extensions"], apiVersions: ["v1beta1"], resources: ["pods"] }];
  const other = { group: "extensions", version: "v1beta1", resource: "pods" };
  const subject = { ...pod, equivalents: () => [{ ...other, version: "v1alpha1" }, other] };

  it("Equivalent gives the other version", () => {
    expect(matchRequest({ rules }, subject)).toEqual(other);
    expect(matchRequest({ rules, matchPolicy: "Equivalent" }, subject)).toEqual(other);
  });
  it("Exact does not", () => {
    expect(matchRequest({ rules, matchPolicy: "Exact" }, subject)).toBeUndefined();
  });
  it("the request's own version goes first", () => {
    expect(matchRequest({ rules: [...rules, rule] }, subject)).toMatchObject({ group: "", version: "v1" });
  });
  it("other versions are not asked for when the operation does not match", () => {
    const asked = { ...subject, operation: "DELETE" as const, equivalents: () => expect.fail("asked") };
    expect(matchRequest({ rules: [{ ...rules[0], operations: ["CREATE"] }] }, asked)).toBeUndefined();
  });
});

describe("selectors", () => {
  const red = { matchLabels: { team: "red" } };
  const web = { matchLabels: { app: "web" } };
  const notWeb = { matchExpressions: [{ key: "app", operator: "NotIn", values: ["web"] }] };
  it.each<[string, AdmissionMatch, Partial<AdmissionSubject>, boolean]>([
    ["namespace", { namespaceSelector: red }, {}, true],
    ["other namespace", { namespaceSelector: red }, { namespaceLabels: () => ({}) }, false],
    ["cluster-scoped objects pass", { namespaceSelector: red }, { resource: "nodes", namespace: "" }, true],
    ["a Namespace by its own labels", { namespaceSelector: red }, { resource: "namespaces", labels: {} }, false],
    ["a Namespace that fits", { namespaceSelector: red }, { resource: "namespaces", labels: { team: "red" } }, true],
    ["object", { objectSelector: web }, {}, true],
    ["object that does not fit", { objectSelector: web }, { labels: {} }, false],
    ["object as it was", { objectSelector: web }, { labels: {}, oldLabels: { app: "web" }, hasOld: true }, true],
    ["NotIn", { objectSelector: notWeb }, {}, false],
    [
      "an empty selector selects all",
      { objectSelector: {}, namespaceSelector: {} },
      { namespaceLabels: () => undefined },
      true,
    ],
  ])("%s", (_, match, subject, expected) => {
    expect(matches(match, subject)).toBe(expected);
  });
});
