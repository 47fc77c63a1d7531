import { describe, expect, it } from "vitest";
import type { KubeObject } from "../object.ts";
import { resources } from "../resource.ts";
import { create, update } from "../testing.ts";
import { mandatoryFlowSchemas, mandatoryPriorityLevels } from "./mandatory.ts";

const priorityLevelConfiguration = { name: "global-default" };
const user = { kind: "User", user: { name: "ann" } };
const paths = { verbs: ["get"], nonResourceURLs: ["/healthz"] };
const pods = { verbs: ["get"], apiGroups: [""], resources: ["pods"], namespaces: ["*"] };
const star = (what: string) => `if '*' is present, must not specify other ${what}`;

describe("FlowSchema", () => {
  const kind = resources.FlowSchema;
  const schema = (rule: object, rest: object = {}) => ({
    spec: { priorityLevelConfiguration, rules: [{ subjects: [user], resourceRules: [pods], ...rule }], ...rest },
  });
  const subject = (given: object) => schema({ subjects: [given] });
  const rule = (given: object) => schema({ resourceRules: [{ ...pods, ...given }] });
  const path = (url: string) => schema({ nonResourceRules: [{ ...paths, nonResourceURLs: [url] }] });

  it.each<[object, ...string[]]>([
    [schema({})],
    [
      schema({}, { matchingPrecedence: 1 }),
      "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
    ],
    [
      schema({}, { matchingPrecedence: 10_001 }),
      "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000",
    ],
    [schema({}, { matchingPrecedence: -1 }), "spec.matchingPrecedence: Invalid value: -1: must be a positive value"],
    [
      subject({ kind: "User" }),
      "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
    ],
    [subject({ kind: "Group", group: { name: "" } }), "spec.rules[0].subjects[0].group.name: Required value"],
    [
      subject({ ...user, group: { name: "g" } }),
      "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
    ],
    [
      subject({ kind: "ServiceAccount", serviceAccount: { name: "*", namespace: "" } }),
      "spec.rules[0].subjects[0].serviceAccount.namespace: Required value: must specify namespace for service account",
    ],
    [subject({ kind: "ServiceAccount", serviceAccount: { name: "*", namespace: "default" } })],
    [
      rule({ verbs: ["*", "get"] }),
      `spec.rules[0].resourceRules[0].verbs: Invalid value: ["*","get"]: ${star("verbs")}`,
    ],
    [
      rule({ verbs: ["look"] }),
      'spec.rules[0].resourceRules[0].verbs: Unsupported value: ["look"]: supported values: "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"',
    ],
    [
      rule({ apiGroups: ["*", ""], resources: ["*", "a"], namespaces: ["*", "a"] }),
      `spec.rules[0].resourceRules[0].apiGroups: Invalid value: ["*",""]: ${star("api groups")}`,
      `spec.rules[0].resourceRules[0].resources: Invalid value: ["*","a"]: ${star("resources")}`,
      `spec.rules[0].resourceRules[0].namespaces: Invalid value: ["*","a"]: ${star("namespaces")}`,
    ],
    [
      rule({ namespaces: ["A"] }),
      expect.stringContaining("each member of this list must be '*' or a DNS-1123 label; ") as string,
    ],
    [rule({ namespaces: [], clusterScope: true })],
    [path("/a/*")],
    [path("a"), 'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "a": must start with slash'],
    [path("/a b"), expect.stringContaining("must not contain white-space") as string],
    [path("/a//b"), expect.stringContaining("must not contain double slash") as string],
    [path("/a*"), expect.stringContaining("wildcard can only do suffix matching") as string],
    [path("/*/a"), expect.stringContaining("wildcard can only do suffix matching") as string],
  ])("create %#", (value, ...expected) => {
    expect(create(kind, value).faults).toEqual(expected);
  });

  it("those that every cluster has are what they are", () => {
    const exempt = { metadata: { name: "exempt" }, spec: mandatoryFlowSchemas.exempt };
    expect(create(kind, exempt).faults).toEqual([]);
    const other = { ...exempt, spec: { ...exempt.spec, matchingPrecedence: 2 } };
    expect(create(kind, other).faults).toEqual([
      expect.stringMatching(/^spec: Invalid value: \{.*\}: spec of 'exempt' must equal the fixed value$/),
    ]);
  });

  it("a status has each condition once, and leaves metadata as it is", () => {
    const made = create(kind, { ...schema({}), metadata: { name: "x", labels: { a: "b" } } }).object;
    const { object, faults } = update(
      kind,
      made,
      (draft: KubeObject & { status: object }) => {
        draft.metadata.labels = {};
        draft.status = { conditions: [{ type: "Dangling" }, { type: "Dangling" }, {}] };
      },
      { subresource: "status" },
    );
    expect(object.metadata.labels).toEqual({ a: "b" });
    expect(faults).toEqual([
      'status.conditions[1].type: Duplicate value: "Dangling"',
      "status.conditions[2].type: Required value: must not be empty",
    ]);
  });
});

describe("PriorityLevelConfiguration", () => {
  const kind = resources.PriorityLevelConfiguration;
  const limited = (rest: object, queuing?: object) => ({
    spec: {
      type: "Limited",
      limited: { limitResponse: queuing ? { type: "Queue", queuing } : { type: "Reject" }, ...rest },
    },
  });
  const at = "spec.limited.limitResponse";

  it.each<[object, ...string[]]>([
    [limited({})],
    [limited({}, {})],
    [{ spec: { type: "Limited" } }, "spec.limited: Required value: must not be empty when type is Limited"],
    [{ spec: { ...limited({}).spec, exempt: {} } }, "spec.exempt: Forbidden: must be nil if the type is Limited"],
    [
      limited({ lendablePercent: 101, borrowingLimitPercent: -1 }),
      "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
      "spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer",
    ],
    [
      limited({ limitResponse: { type: "Queue" } }),
      `${at}.queuing: Required value: must not be empty if limited.limitResponse.type is Limited`,
    ],
    [
      limited({ limitResponse: { type: "Reject", queuing: {} } }),
      `${at}.queuing: Forbidden: must be nil if limited.limitResponse.type is not Limited`,
    ],
    [
      limited({ limitResponse: { type: "Sing" } }),
      `${at}.type: Unsupported value: "Sing": supported values: "Queue", "Reject"`,
    ],
    [
      limited({}, { queues: -1, handSize: -1, queueLengthLimit: -1 }),
      `${at}.queuing.queueLengthLimit: Invalid value: -1: must be positive`,
      `${at}.queuing.queues: Invalid value: -1: must be positive`,
      `${at}.queuing.handSize: Invalid value: -1: must be positive`,
    ],
    [
      limited({}, { queues: 10_000_001, handSize: 1 }),
      `${at}.queuing.queues: Invalid value: 10000001: must not be greater than 10000000`,
    ],
    [
      limited({}, { queues: 4, handSize: 5 }),
      `${at}.queuing.handSize: Invalid value: 5: should not be greater than queues (4)`,
    ],
    [
      limited({}, { queues: 512, handSize: 7 }),
      `${at}.queuing.handSize: Invalid value: 7: required entropy bits of deckSize 512 and handSize 7 should not be greater than 60`,
    ],
    [
      {
        metadata: { name: "exempt" },
        spec: { type: "Exempt", exempt: { nominalConcurrencyShares: 5, lendablePercent: -1 } },
      },
      "spec.exempt.lendablePercent: Invalid value: -1: must be between 0 and 100, inclusive",
    ],
    [{ metadata: { name: "exempt" }, spec: { type: "Exempt", exempt: { nominalConcurrencyShares: 5 } } }],
    [
      { metadata: { name: "catch-all" }, ...limited({ nominalConcurrencyShares: 6 }) },
      expect.stringContaining("spec of 'catch-all' must equal the fixed value") as string,
    ],
    [{ metadata: { name: "catch-all" }, spec: mandatoryPriorityLevels["catch-all"] }],
  ])("create %#", (value, ...expected) => {
    expect(create(kind, value).faults).toEqual(expected);
  });
});
