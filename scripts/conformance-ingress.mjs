// The Ingress conformance suite: `npm run conformance:ingress -- [--dataplane embedded|haproxy|nginx] [--suite FOLDER]`.
// FOLDER is a clone of github.com/kubernetes-sigs/ingress-controller-conformance; without it the one it was last tried with is fetched.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./prepare.mjs";

const origin = "https://github.com/kubernetes-sigs/ingress-controller-conformance";
const commit = "f91a7996369a1b76e5e058f78da2285026178b59";

const { values } = parseArgs({
  options: { dataplane: { type: "string", default: "embedded" }, suite: { type: "string" } },
});
const suite = values.suite === undefined ? join(root, ".cache/ingress-conformance/source") : resolve(values.suite);
if (values.suite === undefined && !existsSync(suite)) cloneSuite();
if (!existsSync(join(suite, "features"))) {
  console.error(`conformance: ${suite} is no clone of ${origin}; give one with --suite FOLDER`);
  process.exit(2);
}
const args = ["node_modules/vitest/vitest.mjs", "run", "--project", "system", "test/conformance/ingress.test.ts"];
const { status } = spawnSync(process.execPath, args, {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, FAIRLEAD_INGRESS_SUITE: suite, FAIRLEAD_DATAPLANE: values.dataplane },
});
process.exitCode = status ?? 1;

function cloneSuite() {
  const git = (...words) => spawnSync("git", words, { stdio: "inherit" });
  git("clone", "--quiet", origin, suite);
  git("-C", suite, "checkout", "--quiet", commit);
}
