import { expect, test } from "vitest";
import { changedFields } from "./changes.ts";

const headers = ["Host", "a.test", "X-A", "1", "x-b", "2", "X-A", "3", "Content-Length", "5"];

test("removes, sets and adds, whatever the case", () => {
  const changes = {
    remove: ["x-b"],
    set: [{ name: "x-a", value: "new" }],
    add: [{ name: "X-C", value: "4" }],
  };
  expect(changedFields(headers, changes)).toEqual(["Host", "a.test", "Content-Length", "5", "x-a", "new", "X-C", "4"]);
});

test("what is added to a field that is there makes a list", () => {
  const changes = { remove: [], set: [], add: [{ name: "x-b", value: "9" }] };
  expect(changedFields(headers, changes)).toContain("2,9");
});

test("how long a message is and what becomes of its connection is no route's business", () => {
  const names = ["Content-Length", "Transfer-Encoding", "Connection", "Upgrade"];
  const fields = names.map((name) => ({ name, value: "9" }));
  expect(changedFields(headers, { remove: names, set: fields, add: fields })).toEqual(headers);
  expect(changedFields(headers, { remove: ["host"], set: [], add: [] })).toEqual(headers);
});
