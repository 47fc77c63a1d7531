import { describe, expect, it } from "vitest";
import { negotiate } from "./negotiate.ts";

describe("negotiate", () => {
  it.each([
    [undefined, { as: "object", encoding: "json" }],
    ["*/*", { as: "object", encoding: "json" }],
    ["application/json", { as: "object", encoding: "json" }],
    ["application/vnd.kubernetes.protobuf,application/json", { as: "object", encoding: "json" }],
    ["application/yaml", { as: "object", encoding: "yaml" }],
    ["application/json;q=0.5, application/yaml", { as: "object", encoding: "yaml" }],
    [
      "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
      { as: "Table", encoding: "json" },
    ],
    ["application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", { as: "object", encoding: "json" }],
    [
      "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
      { as: "PartialObjectMetadataList", encoding: "json" },
    ],
  ])("%s", (accept, wanted) => {
    expect(negotiate(accept)).toEqual(wanted);
  });

  it.each([
    "text/html",
    "application/vnd.kubernetes.protobuf",
    "application/json;as=Tree;v=v1;g=meta.k8s.io",
    "application/json;q=0",
  ])("has nothing for %s", (accept) => {
    expect(() => negotiate(accept)).toThrow(/only the following media types are accepted/);
  });
});
