import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { apiVersionOf, resources, type Resource } from "./resource.ts";

const text = readFileSync(new URL("../../docs/kinds.md", import.meta.url), "utf8");
const rows = [...text.matchAll(/^\| ([A-Z]\w+) \| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$/gm)].map(
  ([, kind = "", version = "", checked = ""]) => ({ kind, version, checked }),
);

it("the table of kinds names what is served, and nothing else", () => {
  const served = Object.values<Resource>(resources).map((one) => `${one.kind} ${apiVersionOf(one)}`);
  expect(rows.map(({ kind, version }) => `${kind} ${version}`).sort()).toEqual(served.sort());
});

it("kinds whose defaults or rules are said to be Kubernetes' own are among the golden cases", () => {
  const folder = new URL("golden/", import.meta.url);
  const cases = readdirSync(folder).flatMap(
    (file) => JSON.parse(readFileSync(new URL(file, folder), "utf8")) as { object: { kind: string } }[],
  );
  const asked = new Set(cases.map(({ object }) => object.kind));
  const claimed = rows.filter(({ checked }) => checked.includes("defaults"));
  // Their rules have tests of their own.
  const elsewhere = ["CustomResourceDefinition", "CertificateSigningRequest", "MutatingAdmissionPolicy", "APIService"];
  const own = [...elsewhere, "MutatingAdmissionPolicyBinding", "ClusterRoleBinding"];
  expect(claimed.map(({ kind }) => kind).filter((kind) => !asked.has(kind) && !own.includes(kind))).toEqual([]);
});
