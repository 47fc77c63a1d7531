import { expect, it } from "vitest";
import type { Resource } from "../../kube/index.ts";
import { createCatalog } from "./catalog.ts";
import { builtInKinds, type Served } from "./served.ts";

const [template] = builtInKinds() as [Served];
const widget = (version: string, group = "acme.io"): Served => {
  const names = { kind: "Widget", plural: "widgets", singular: "widget", shortNames: [], categories: [] };
  const resource: Resource = { group, version, namespaced: true, subresources: [], ...names };
  return { ...template, resource, stored: resource };
};

it("finds what is served and tells of changes", () => {
  const catalog = createCatalog();
  let told = 0;
  const stop = catalog.onChange(() => {
    told += 1;
  });
  const before = catalog.version;
  expect(catalog.find("apps", "v1", "deployments")?.resource.kind).toBe("Deployment");
  expect(catalog.find("acme.io", "v1", "widgets")).toBeUndefined();

  const [one, two] = [widget("v1"), widget("v2")];
  catalog.replace("crd", [one, two]);
  expect(catalog.find("acme.io", "v2", "widgets")).toBe(two);
  expect(catalog.all()).toContain(one);
  expect(catalog.version).not.toBe(before);
  expect(told).toBe(1);

  catalog.replace("crd", [two]);
  expect(catalog.find("acme.io", "v1", "widgets")).toBeUndefined();
  catalog.replace("crd", []);
  expect(catalog.find("acme.io", "v2", "widgets")).toBeUndefined();
  expect(told).toBe(3);
  // What was not there can not go.
  catalog.replace("other", []);
  expect(told).toBe(3);
  stop();
  catalog.replace("crd", [one]);
  expect(told).toBe(3);
});

it("leaves to each what it serves already", () => {
  const catalog = createCatalog();
  const deployment = catalog.find("apps", "v1", "deployments");
  const thief = { ...template, resource: deployment?.resource ?? template.resource };
  catalog.replace("crd", [thief]);
  expect(catalog.find("apps", "v1", "deployments")).toBe(deployment);
});
