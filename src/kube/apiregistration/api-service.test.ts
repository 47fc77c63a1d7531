import { expect, it } from "vitest";
import type { APIService } from "../generated/types.ts";
import { apiServiceStrategy } from "./api-service.ts";

const context = { now: "2030-01-01T00:00:00Z" };

const made = (name: string, spec: Partial<APIService["spec"]> = {}): APIService => {
  const object: APIService = {
    apiVersion: "apiregistration.k8s.io/v1",
    kind: "APIService",
    metadata: { name },
    spec: { version: "v1", groupPriorityMinimum: 100, versionPriority: 10, ...spec },
  };
  apiServiceStrategy.prepareForCreate(object, context);
  return object;
};
const faults = (object: APIService) =>
  apiServiceStrategy.validateCreate(object, context).map(({ field, detail }) => `${field}: ${detail}`);

it("the core group has no name, and its APIService ends with a dot", () => {
  const object = made("v1.");
  expect(faults(object)).toEqual([]);
  expect(object.status?.conditions?.[0]?.reason).toBe("Local");
});

it("one that leads to a Service is reached at 443 and not yet known to answer", () => {
  const object = made("v1.a.example", { group: "a.example", service: { namespace: "x", name: "y" } });
  expect(faults(object)).toEqual([]);
  expect(object.spec.service?.port).toBe(443);
  expect(object.status?.conditions).toBeUndefined();
});

it.each([
  [made("v2.b", { group: "a" }), ['metadata.name: must be `spec.version+"."+spec.group`: "v1.a"']],
  [made("v2.", { version: "v2" }), ["spec.group: only v1 may have an empty group and it better be legacy kube"]],
  [
    made("v1.a", { group: "a", groupPriorityMinimum: 20_001, versionPriority: 0 }),
    [
      "spec.groupPriorityMinimum: must be positive and less than 20000",
      "spec.versionPriority: must be positive and less than 1000",
    ],
  ],
  [
    made("v1.a", { group: "a", caBundle: "AAAA", insecureSkipTLSVerify: true }),
    [
      "spec.caBundle: local APIServices may not have a caBundle",
      "spec.insecureSkipTLSVerify: local APIServices may not have insecureSkipTLSVerify",
    ],
  ],
  [
    made("v1.a", { group: "a", caBundle: "AAAA", insecureSkipTLSVerify: true, service: { port: 70_000 } }),
    [
      "spec.service.namespace: ",
      "spec.service.name: ",
      "spec.service.port: port is not valid: must be between 1 and 65535, inclusive",
      "spec.insecureSkipTLSVerify: may not be true if caBundle is present",
    ],
  ],
])("says what is wrong with $metadata.name", (object, expected) => {
  expect(faults(object)).toEqual(expected);
});
