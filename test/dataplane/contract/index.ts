import { describe } from "vitest";
import type { StartDataPlane } from "../cluster.ts";
import { fixture } from "../suite.ts";
import { connectionsContract } from "./connections.ts";
import { headersContract } from "./headers.ts";
import { routingContract } from "./routing.ts";
import { strictnessContract } from "./strictness.ts";
import { streamingContract } from "./streaming.ts";
import { tlsContract } from "./tls.ts";
import { upgradeContract } from "./upgrade.ts";

/** What every data plane does, tried over real sockets. A provider passes it with all that its capabilities promise. */
export function dataPlaneContract(name: string, start: StartDataPlane): void {
  describe(`data plane ${name}`, () => {
    const made = fixture(start);
    describe("routing", () => routingContract(made));
    describe("headers", () => headersContract(made));
    describe("streaming", () => streamingContract(made));
    describe("connections", () => connectionsContract(made));
    describe("upgrade", () => upgradeContract(made));
    describe("TLS", () => tlsContract(made));
    describe("strictness", () => strictnessContract(made));
  });
}
