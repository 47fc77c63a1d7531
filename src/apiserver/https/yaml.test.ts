import { expect, it } from "vitest";
import { parse } from "yaml";
import { yamlChunks } from "./yaml.ts";

const shared = { a: "yes", b: null, c: "multi\nline" };

it.each([
  ["an object", { kind: "ConfigMap", data: shared }, 1],
  ["a list", { kind: "List", metadata: { resourceVersion: "1" }, items: [shared, { d: [shared, []] }, {}] }, 4],
  ["a table", { kind: "Table", rows: [{ cells: [1, "x"], object: shared }], metadata: {} }, 2],
  ["an empty list", { kind: "List", items: [] }, 1],
])("is %s again when it is read", (_name, object, chunks) => {
  const made = [...yamlChunks(object)];
  const text = Buffer.concat(made).toString();
  expect(parse(text)).toEqual(object);
  expect(text).not.toMatch(/[&*]a1/);
  expect(made).toHaveLength(chunks);
});
