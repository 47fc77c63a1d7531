import { afterEach, beforeEach, expect, test } from "vitest";
import { type ClusterRole, resources } from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startClusterRoleAggregation } from "./aggregation.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  startClusterRoleAggregation(cluster);
});
afterEach(() => cluster.stop());

const add = (name: string, to: string | undefined, rest: Partial<ClusterRole>) =>
  cluster.client.create(resources.ClusterRole, { metadata: { name, labels: to ? { [to]: "yes" } : {} }, ...rest });
const verbsOf = async (name: string) => {
  await cluster.settle();
  return (await cluster.client.get(resources.ClusterRole, { name })).rules?.flatMap(({ verbs }) => verbs);
};
const from = (label: string) => ({ aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [label]: "yes" } }] } });
const rule = (verb: string) => ({ verbs: [verb], apiGroups: [""], resources: ["pods"] });

test("a role takes in the rules of those it selects, and follows them", async () => {
  await add("all", undefined, { ...from("to-all"), rules: [rule("forgotten")] });
  await add("b", "to-all", { rules: [rule("list"), rule("get")] });
  await add("a", "to-all", { rules: [rule("get")] });
  await add("other", undefined, { rules: [rule("delete")] });
  expect(await verbsOf("all")).toEqual(["get", "list"]);
  await cluster.client.delete(resources.ClusterRole, { name: "b" });
  expect(await verbsOf("all")).toEqual(["get"]);
});

test("roles that take in others are taken in themselves, and circles come to rest", async () => {
  await add("top", "to-low", from("to-top"));
  await add("middle", "to-top", from("to-low"));
  await add("low", "to-low", { rules: [rule("get")] });
  expect(await verbsOf("top")).toEqual(["get"]);
  expect(await verbsOf("middle")).toEqual(["get"]);
});
