import { describe, expect, it } from "vitest";
import { negotiate, prefersProtobuf } from "./negotiate.ts";

describe("negotiate", () => {
  it.each([
    [undefined, { as: "object", encoding: "json" }],
    ["*/*", { as: "object", encoding: "json" }],
    ["application/json", { as: "object", encoding: "json" }],
    ["application/vnd.kubernetes.protobuf,application/json", { as: "object", encoding: "protobuf" }],
    ["application/vnd.kubernetes.protobuf;stream=watch", { as: "object", encoding: "protobuf" }],
    ["application/vnd.kubernetes.protobuf;q=0.5,application/json", { as: "object", encoding: "json" }],
    ["application/json,application/vnd.kubernetes.protobuf", { as: "object", encoding: "json" }],
    [
      "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io",
      { as: "Table", encoding: "json" },
    ],
    [
      "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
      { as: "PartialObjectMetadata", encoding: "protobuf" },
    ],
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
    "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=Tree;v=v1;g=meta.k8s.io",
    "application/json;q=0",
  ])("has nothing for %s", (accept) => {
    expect(() => negotiate(accept)).toThrow(/406: Not Acceptable/);
  });

  it("leaves out protobuf where objects have no messages, but their metadata has", () => {
    const accept = "application/vnd.kubernetes.protobuf,application/json";
    expect(negotiate(accept, false)).toEqual({ as: "object", encoding: "json" });
    expect(() => negotiate("application/vnd.kubernetes.protobuf", false)).toThrow(
      /only the following media types are accepted/,
    );
    const metadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    expect(negotiate(metadata, false)).toEqual({ as: "PartialObjectMetadata", encoding: "protobuf" });
  });

  it.each([
    ["application/vnd.kubernetes.protobuf,application/json", true],
    ["application/json,application/vnd.kubernetes.protobuf", false],
    ["application/vnd.kubernetes.protobuf;q=0.5,*/*", false],
    ["application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json", false],
    ["text/html", false],
    [undefined, false],
  ])("a Status for %s is in protobuf: %s", (accept, expected) => {
    expect(prefersProtobuf(accept)).toBe(expected);
  });
});
