// The Gateway API's conformance suite as a whole: `npm run conformance -- [--dataplane embedded|haproxy|nginx] [-t NAME]`.
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";
import { root } from "./prepare.mjs";

const { values } = parseArgs({
  options: { dataplane: { type: "string", default: "embedded" }, t: { type: "string", short: "t" } },
});
const { status } = spawnSync(
  process.execPath,
  [
    "node_modules/vitest/vitest.mjs",
    "run",
    "--project",
    "system",
    "test/conformance",
    ...(values.t ? ["-t", values.t] : []),
  ],
  {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, FAIRLEAD_CONFORMANCE: "whole", FAIRLEAD_DATAPLANE: values.dataplane },
  },
);
process.exitCode = status ?? 1;
