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

/** What a data plane's program can not do, and why: tests of these say so instead of running. */
export interface Cannots {
  /** Trailers of HTTP/1.1 answers are lost. */
  readonly trailers?: string;
  /** A long request body stops once its answer has begun. */
  readonly duplex?: string;
  /** Ambiguous messages are not refused, but given the one meaning that RFC 9112 allows. Their names in `strictness.ts`. */
  readonly refuse?: readonly string[];
  /** A target with another authority than Host is refused. */
  readonly authority?: string;
  /** What an endpoint loses by closing an idle connection is not repeated: the client's connection is closed in the same way. */
  readonly lost?: string;
}

/** What every data plane does, tried over real sockets. A provider passes it with all that its capabilities promise. */
export function dataPlaneContract(name: string, start: StartDataPlane, cannot: Cannots = {}): void {
  describe(`data plane ${name}`, () => {
    const made = fixture(start);
    describe("routing", () => routingContract(made));
    describe("headers", () => headersContract(made));
    describe("streaming", () => streamingContract(made, cannot));
    describe("connections", () => connectionsContract(made, cannot));
    describe("upgrade", () => upgradeContract(made));
    describe("TLS", () => tlsContract(made, cannot));
    describe("strictness", () => strictnessContract(made, cannot));
  });
}
