import type {
  FlowSchemaSpec,
  FlowSubject,
  PolicyRulesWithSubjects,
  PriorityLevelConfigurationSpec,
} from "../generated/types.ts";

const group = (name: string): FlowSubject => ({ kind: "Group", group: { name } });

/** Every request of these subjects. */
export const everyRequestOf = (subjects: FlowSubject[]): PolicyRulesWithSubjects => ({
  subjects,
  resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"], clusterScope: true, namespaces: ["*"] }],
  nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }],
});

/** Who asks with and without credentials. */
export const everyone: FlowSubject[] = [group("system:unauthenticated"), group("system:authenticated")];

/** The flow schemas that a cluster can not be without (KEP-1040): nothing else may be written under these names. */
export const mandatoryFlowSchemas: Readonly<Record<"exempt" | "catch-all", FlowSchemaSpec>> = {
  exempt: {
    priorityLevelConfiguration: { name: "exempt" },
    matchingPrecedence: 1,
    rules: [everyRequestOf([group("system:masters")])],
  },
  "catch-all": {
    priorityLevelConfiguration: { name: "catch-all" },
    matchingPrecedence: 10_000,
    distinguisherMethod: { type: "ByUser" },
    rules: [everyRequestOf(everyone)],
  },
};

/** The levels that a cluster can not be without. Of the first, the shares are its users' to choose. */
export const mandatoryPriorityLevels: Readonly<Record<"exempt" | "catch-all", PriorityLevelConfigurationSpec>> = {
  exempt: { type: "Exempt", exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 } },
  "catch-all": {
    type: "Limited",
    limited: { nominalConcurrencyShares: 5, lendablePercent: 0, limitResponse: { type: "Reject" } },
  },
};
