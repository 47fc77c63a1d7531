// The Gateway API's own conformance suite, unchanged, against `fairlead up`. Here a cut of it that takes little time;
// `npm run conformance` runs it whole and writes its reports to docs/conformance/.
import { access, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { runOrThrow, systemCommands } from "../../src/system/index.ts";
import { missing } from "../clients/toolchains.ts";
import { eventually, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository } from "../support/lab.ts";

const folder = join(repository, "test/conformance/go");
const cache = join(repository, ".cache", "conformance");
const reports = join(repository, "docs/conformance");
const whole = process.env["FAIRLEAD_CONFORMANCE"] === "whole";
const why = noKernel ?? (await missing("go", ["version"], "apt-get install golang-go, or see go.dev"));
const version = (JSON.parse(await readFile(join(repository, "package.json"), "utf8")) as { version: string }).version;

/** Which data plane is tried; `npm run conformance -- --dataplane NAME`. */
const dataplane = process.env["FAIRLEAD_DATAPLANE"] ?? "embedded";

/** What each data plane claims. */
const claimed: Readonly<Record<string, readonly string[]>> = {
  embedded: ["GATEWAY-HTTP", "GATEWAY-GRPC", "GATEWAY-TLS", "GATEWAY-TCP", "GATEWAY-UDP"],
  haproxy: ["GATEWAY-HTTP", "GATEWAY-GRPC", "GATEWAY-TCP"],
  nginx: ["GATEWAY-HTTP", "GATEWAY-GRPC", "GATEWAY-TLS", "GATEWAY-TCP", "GATEWAY-UDP"],
};
const profiles = claimed[dataplane] ?? [];

/** What a test of the suite waits for is often that nothing happens; these take most of its time. */
const slow = [
  "BackendTLSPolicy",
  "BackendTLSPolicySANValidation",
  "GatewayHTTPListenerIsolation",
  "GatewayTLSBackendClientCertificate",
  "GRPCRouteWeight",
  "HTTPRouteRequestPercentageMirror",
  "ListenerSetAllowedRoutesNamespaces",
  "TCPRouteMultipleRoutesAttachment",
  "TCPRouteParentRefPortAndSectionName",
  "TCPRouteWeightedRouting",
  "UDPRouteMultipleRoutesAttachment",
  "UDPRouteParentRefPortAndSectionName",
  "UDPRouteWeightedRouting",
];

interface Report {
  readonly profiles: readonly {
    readonly name: string;
    readonly core: { readonly result: string; readonly failedTests?: readonly string[] };
    readonly extended?: {
      readonly result: string;
      readonly failedTests?: readonly string[];
      readonly unsupportedFeatures?: readonly string[];
    };
  }[];
}

async function goProgram(name: string, build: readonly string[]): Promise<string> {
  await mkdir(cache, { recursive: true });
  const program = join(cache, name);
  await runOrThrow(
    systemCommands,
    "go",
    build.map((word) => (word === "OUT" ? program : word)),
    {
      timeout: 1_500_000,
    },
  );
  return program;
}

describe.skipIf(why)(`Gateway API v1.6.1 conformance${why ? ` (skipped: ${why})` : ""}`, () => {
  let suite: string;
  let lab: Lab;
  let cluster: TestCluster;

  beforeAll(async () => {
    suite = await goProgram("suite", ["test", "-C", folder, "-c", "-o", "OUT", "."]);
    lab = await openLab("root");
    const dns = `${process.execPath} ${join(repository, "test/conformance/dns-whoami.mjs")}`;
    cluster = await upCluster(lab, ["--dataplane", dataplane, "--image", `registry.k8s.io/coredns/coredns=${dns}`]);
    await eventually("the class says what it can do", async () => {
      const { stdout } = await cluster.kubectl([
        "get",
        "gatewayclass",
        "fairlead",
        "-o",
        "jsonpath={.status.supportedFeatures}",
      ]);
      return stdout.includes("HTTPRoute") || undefined;
    });
  }, 1_800_000);

  afterAll(() => tearDown(lab, cluster));

  /** Runs the suite and answers what failed: its own report counts parallel tests before they have ended. */
  async function run(
    name: string,
    more: readonly string[],
  ): Promise<{ failed: string[]; passed: number; report: Report }> {
    const path = join(lab.dir, `${name}.yaml`);
    const flags = [
      "--gateway-class=fairlead",
      `--conformance-profiles=${profiles.join()}`,
      "--usable-address=10.97.0.200",
      "--unusable-address=203.0.113.77",
      "--organization=fairlead",
      "--project=fairlead",
      "--url=https://fairlead.dev",
      `--version=v${version}`,
      "--contact=maintainers@fairlead.dev",
      `--mode=${dataplane}`,
      `--report-output=${path}`,
      ...more,
    ];
    const args = ["-test.run", "^TestConformance$", "-test.v", "-test.timeout", "40m", ...flags];
    const { stdout, stderr } = await lab.run(suite, args, {
      timeout: 2_400_000,
      env: { KUBECONFIG: cluster.kubeconfig },
    });
    await writeFile(join(cache, `${name}.log`), stdout + stderr);
    const lines = (verdict: string): string[] =>
      [...stdout.matchAll(new RegExp(`^ {4}--- ${verdict}: TestConformance/(\\S+)`, "gm"))].map(
        ([, test = ""]) => test,
      );
    const report = parse(await readFile(path, "utf8")) as Report;
    return { failed: lines("FAIL"), passed: lines("PASS").length, report };
  }

  it.skipIf(whole)("all but its slowest tests pass, in all five profiles", { timeout: 600_000 }, async () => {
    const { failed, passed, report } = await run("cut", [`--skip-tests=${slow.join()}`]);
    expect(failed).toEqual([]);
    expect(passed).toBeGreaterThan(dataplane === "embedded" ? 110 : 60);
    expect(report.profiles.map(({ name }) => name).sort()).toEqual([...profiles].sort());
  });

  it.runIf(whole)("the standard channel: every test passes", { timeout: 2_400_000 }, async () => {
    const { failed, report } = await run("standard", []);
    expect(failed).toEqual([]);
    await keep("standard", report);
  });

  // Only there is something more to be tested.
  it.runIf(whole && dataplane === "embedded")(
    "the experimental channel: every test passes, and no feature is missing",
    { timeout: 2_400_000 },
    async () => {
      const module = await systemCommands.run("go", [
        "-C",
        folder,
        "list",
        "-m",
        "-f",
        "{{.Dir}}",
        "sigs.k8s.io/gateway-api",
      ]);
      const definitions = join(module.stdout.trim(), "config/crd/experimental");
      await access(definitions);
      const applied = await cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-k", definitions]);
      expect(applied.code, applied.stderr).toBe(0);
      await eventually("the class says that there is more", async () => {
        const { stdout } = await cluster.kubectl([
          "get",
          "gatewayclass",
          "fairlead",
          "-o",
          "jsonpath={.status.supportedFeatures}",
        ]);
        return stdout.includes("HTTPRouteRetry") || undefined;
      });
      const { failed, report } = await run("experimental", []);
      expect(failed).toEqual([]);
      expect(report.profiles.flatMap(({ extended }) => extended?.unsupportedFeatures ?? [])).toEqual([]);
      await keep("experimental", report);
    },
  );

  /** Keeps a report as the suite wrote it. */
  async function keep(channel: string, report: Report): Promise<void> {
    expect(
      report.profiles.every(({ core, extended }) => core.result === "success" && extended?.result !== "failure"),
    ).toBe(true);
    await mkdir(reports, { recursive: true });
    const text = await readFile(join(lab.dir, `${channel}.yaml`), "utf8");
    await writeFile(join(reports, `${channel}-v${version}-${dataplane}-report.yaml`), text);
  }
});
