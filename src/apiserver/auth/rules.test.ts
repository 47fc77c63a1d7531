import { describe, expect, it } from "vitest";
import type { PolicyRule } from "../../kube/index.ts";
import { ruleAllows, uncovered, type Action } from "./rules.ts";

const action = (over: Partial<Extract<Action, { type: "resource" }>> = {}): Action => ({
  type: "resource",
  verb: "get",
  group: "",
  resource: "pods",
  subresource: "",
  namespace: "n",
  name: "p",
  ...over,
});
const rule = (over: Partial<PolicyRule> = {}): PolicyRule => ({
  verbs: ["get"],
  apiGroups: [""],
  resources: ["pods"],
  ...over,
});

describe("a rule", () => {
  it.each<[string, PolicyRule, Action, boolean]>([
    ["the same", rule(), action(), true],
    ["another verb", rule(), action({ verb: "list" }), false],
    ["any verb", rule({ verbs: ["*"] }), action({ verb: "list" }), true],
    ["another group", rule(), action({ group: "apps" }), false],
    ["any group", rule({ apiGroups: ["*"] }), action({ group: "apps" }), true],
    ["a part of it", rule(), action({ subresource: "log" }), false],
    ["the part named", rule({ resources: ["pods/log"] }), action({ subresource: "log" }), true],
    [
      "that part of anything",
      rule({ resources: ["*/scale"] }),
      action({ resource: "deployments", subresource: "scale" }),
      true,
    ],
    ["any resource", rule({ resources: ["*"] }), action({ subresource: "log" }), true],
    ["the name", rule({ resourceNames: ["p"] }), action(), true],
    ["another name", rule({ resourceNames: ["q"] }), action(), false],
    ["a name, of a collection", rule({ resourceNames: ["p"] }), action({ name: "" }), false],
    [
      "a path",
      { verbs: ["get"], nonResourceURLs: ["/healthz"] },
      { type: "path", verb: "get", path: "/healthz" },
      true,
    ],
    [
      "a path below",
      { verbs: ["get"], nonResourceURLs: ["/apis/*"] },
      { type: "path", verb: "get", path: "/apis/apps" },
      true,
    ],
    [
      "a path beside",
      { verbs: ["get"], nonResourceURLs: ["/apis/*"] },
      { type: "path", verb: "get", path: "/api" },
      false,
    ],
  ])("about %s", (_name, given, wanted, allowed) => {
    expect(ruleAllows(given, wanted)).toBe(allowed);
  });
});

describe("what is not covered", () => {
  it("is nothing for one who may do everything", () => {
    const all = [rule({ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }), { verbs: ["*"], nonResourceURLs: ["*"] }];
    expect(
      uncovered(all, [
        rule({ verbs: ["*"], resources: ["*", "pods/log"] }),
        { verbs: ["get"], nonResourceURLs: ["/x"] },
      ]),
    ).toEqual([]);
  });

  it("names each permission that is missing", () => {
    const missing = uncovered(
      [rule({ verbs: ["get", "list"] })],
      [rule({ verbs: ["get", "delete"], resources: ["pods", "secrets"] })],
    );
    expect(missing).toEqual([
      { verbs: ["get"], apiGroups: [""], resources: ["secrets"] },
      { verbs: ["delete"], apiGroups: [""], resources: ["pods"] },
      { verbs: ["delete"], apiGroups: [""], resources: ["secrets"] },
    ]);
  });

  it("does not take a name for all names", () => {
    expect(uncovered([rule({ resourceNames: ["p"] })], [rule()])).toHaveLength(1);
    expect(uncovered([rule({ resourceNames: ["p"] })], [rule({ resourceNames: ["p"] })])).toEqual([]);
  });
});
