import { describe, test } from "vitest";
import { missingFor, startHaproxy } from "../../src/dataplane/index.ts";
import { capabilitiesOf, versionOf } from "../../src/dataplane/haproxy/capabilities.ts";
import { systemCommands } from "../../src/system/index.ts";
import { ingressNginxContract } from "./contract/index.ts";

const why = await missingFor("haproxy");

if (why === undefined) ingressNginxContract("haproxy", startHaproxy, capabilitiesOf(await versionOf(systemCommands)));
else describe.skip(`ingress-nginx on haproxy (skipped: ${why})`, () => test("contract", () => {}));
