// controller-runtime's own suites, as they are, against an API server of Fairlead's each: `npm run conformance:clients -- [suite ...]`.
// Needs Go. They are made for envtest, which is an API server without controllers; `USE_EXISTING_CLUSTER` is their own switch.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { root } from "./prepare.mjs";

const suites = [
  "pkg/builder",
  "pkg/cache",
  "pkg/client",
  "pkg/cluster",
  "pkg/controller",
  "pkg/controller/controllerutil",
  "pkg/envtest",
  "pkg/internal/controller",
  "pkg/internal/recorder",
  "pkg/manager",
  "pkg/metrics/filters",
  "pkg/source",
  "pkg/webhook",
];

/** What cannot pass, and why. */
const apart = {
  // Creating a pod gives its namespace the account `default`, which envtest's API server leaves out.
  "pkg/cache": "Should list serviceaccounts and find exactly one in namespace test-namespace-1",
};

const go = (args, options) =>
  spawnSync("go", args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], ...options });
const asked = process.argv.slice(2);
const unknown = asked.find((name) => !suites.includes(name));
if (unknown !== undefined) {
  console.error(`controller-runtime: there is no suite "${unknown}"; there are: ${suites.join(" ")}`);
  process.exit(2);
}

const module = "sigs.k8s.io/controller-runtime";
const [, version] = readFileSync(join(root, "test/clients/go/go.mod"), "utf8").match(/controller-runtime (v\S+)/) ?? [];
const found = go(["mod", "download", "-json", `${module}@${version}`], { cwd: join(root, "test/clients/go") });
if (found.status !== 0) {
  console.error(
    `controller-runtime: ${module}@${version} could not be downloaded: is there Go, and a proxy of its modules?`,
  );
  process.exit(2);
}
// The cache of modules is read-only, and the suites make files.
const work = join(root, ".cache/controller-runtime");
rmSync(work, { recursive: true, force: true });
mkdirSync(work, { recursive: true });
cpSync(JSON.parse(found.stdout).Dir, work, { recursive: true });
spawnSync("chmod", ["-R", "u+w", work]);

let failed = 0;
for (const suite of asked.length > 0 ? asked : suites) {
  const binary = join(work, "suite.test");
  const built = go(["test", "-c", "-o", binary, `./${suite}`], { cwd: work });
  if (built.status !== 0) {
    failed++;
    continue;
  }
  const server = spawn(process.execPath, [join(root, "fairlead"), "test-cluster", "--no-controllers"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const { kubeconfig } = JSON.parse(await firstLine(server.stdout));
  const skip = apart[suite];
  const run = spawnSync(binary, ["-ginkgo.no-color", ...(skip ? [`-ginkgo.skip=${skip}`] : [])], {
    cwd: join(work, suite),
    encoding: "utf8",
    env: { ...process.env, USE_EXISTING_CLUSTER: "true", KUBECONFIG: kubeconfig },
    maxBuffer: 256 << 20,
  });
  server.stdin.end();
  await new Promise((resolve) => server.once("exit", resolve));
  const summary = run.stdout.match(/^Ran .*|(?:SUCCESS!|FAIL!) .*/gm) ?? ["did not come to its end"];
  console.log(`${run.status === 0 ? "ok    " : "FAILED"} ${suite}: ${summary.join(" ")}`);
  if (run.status === 0) continue;
  failed++;
  console.log(run.stdout);
}
process.exitCode = failed === 0 ? 0 : 1;

async function firstLine(stream) {
  for await (const text of createInterface({ input: stream })) return text;
  throw new Error("the API server ended before it said where it listens");
}
