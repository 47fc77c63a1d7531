import { describe, test } from "vitest";
import { missingFor, startHaproxy } from "../../src/dataplane/index.ts";
import { dataPlaneContract } from "./contract/index.ts";

const why = await missingFor("haproxy");

if (why === undefined)
  dataPlaneContract("haproxy", startHaproxy, {
    refuse: ["Content-Length and Transfer-Encoding", "Transfer-Encoding and Content-Length", "a folded line"],
    authority: "HAProxy refuses a target whose authority is not Host",
    lost: "to repeat it HAProxy keeps a copy of every request, which costs a third of its speed",
  });
else describe.skip(`data plane haproxy (skipped: ${why})`, () => test("contract", () => {}));
