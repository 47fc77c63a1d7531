import { describe, test } from "vitest";
import { missingFor, startNginx } from "../../src/dataplane/index.ts";
import { capabilities } from "../../src/dataplane/nginx/capabilities.ts";
import { ingressNginxContract } from "./contract/index.ts";

const why = await missingFor("nginx");

if (why === undefined) ingressNginxContract("nginx", startNginx, capabilities);
else describe.skip(`ingress-nginx on nginx (skipped: ${why})`, () => test("contract", () => {}));
