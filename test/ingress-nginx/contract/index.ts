import { describe } from "vitest";
import type { StartDataPlane } from "../../dataplane/cluster.ts";
import { fixture } from "../../dataplane/suite.ts";
import { backendsContract } from "./backends.ts";
import { guardsContract } from "./guards.ts";
import { redirectsContract } from "./redirects.ts";
import { routingContract } from "./routing.ts";
import { tlsContract } from "./tls.ts";

/** What ingress-nginx's annotations mean, for every data plane that says it can do them. */
export function ingressNginxContract(name: string, start: StartDataPlane): void {
  describe(`ingress-nginx on ${name}`, () => {
    const made = fixture(start);
    describe("routing", () => routingContract(made));
    describe("redirects", () => redirectsContract(made));
    describe("guards", () => guardsContract(made));
    describe("tls", () => tlsContract(made));
    describe("backends", () => backendsContract(made));
  });
}
