import { describe, test } from "vitest";
import { missingFor, startHaproxy } from "../../src/dataplane/index.ts";
import { capabilities } from "../../src/dataplane/haproxy/capabilities.ts";
import { ingressNginxContract } from "./contract/index.ts";

const why = await missingFor("haproxy");

if (why === undefined) ingressNginxContract("haproxy", startHaproxy, capabilities);
else describe.skip(`ingress-nginx on haproxy (skipped: ${why})`, () => test("contract", () => {}));
