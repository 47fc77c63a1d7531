import { expect, it } from "vitest";
import { byPriority, compareVersions } from "./priority.ts";

it("prefers what is stable, then what is newer", () => {
  const versions = ["v1beta1", "foo1", "v10", "v2", "v1alpha1", "v11beta2", "v1", "v3beta1", "foo10", "v12alpha1"];
  expect(versions.sort(compareVersions)).toEqual([
    "v10",
    "v2",
    "v1",
    "v11beta2",
    "v3beta1",
    "v1beta1",
    "v12alpha1",
    "v1alpha1",
    "foo1",
    "foo10",
  ]);
});

it("shows Kubernetes' own groups first", () => {
  const groups = ["z.io", "batch", "a.io", "", "apps"].map((group) => ({ group, version: "v1", entries: [] }));
  expect(groups.sort(byPriority).map(({ group }) => group)).toEqual(["", "apps", "batch", "a.io", "z.io"]);
});
