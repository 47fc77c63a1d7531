import { describe, test } from "vitest";
import type { Feature, Needs } from "../fixture.ts";
import type { StartDataPlane } from "../../dataplane/cluster.ts";
import { fixture } from "../../dataplane/suite.ts";
import { backendsContract } from "./backends.ts";
import { coverageTest, optionsCoverageTest } from "./coverage.ts";
import { guardsContract } from "./guards.ts";
import { nextUpstreamContract } from "./next-upstream.ts";
import { optionsContract } from "./options.ts";
import { redirectsContract } from "./redirects.ts";
import { routingContract } from "./routing.ts";
import { tlsContract } from "./tls.ts";

/**
 * What ingress-nginx's annotations mean, the same for every data plane. What one says it cannot do is not asked of it here: then
 * `refusals.test.ts` sees that it is refused loudly.
 */
export function ingressNginxContract(name: string, start: StartDataPlane, capabilities?: ReadonlySet<Feature>): void {
  const skipped = new Set<string>();
  const needs: Needs = (...features) => {
    if (!capabilities || features.every((feature) => capabilities.has(feature))) return test;
    return (title) => void skipped.add(title);
  };
  describe(`ingress-nginx on ${name}`, () => {
    const made = fixture(start);
    describe("routing", () => routingContract(made, needs));
    describe("redirects", () => redirectsContract(made));
    describe("guards", () => {
      guardsContract(made, needs);
      tlsContract(made, needs);
    });
    describe("backends", () => backendsContract(made, needs));
    describe("next upstream", () => nextUpstreamContract(made, needs));
    describe("options", () => optionsContract(made, needs));
    describe("coverage", () => {
      coverageTest(skipped);
      optionsCoverageTest(skipped);
    });
  });
}
