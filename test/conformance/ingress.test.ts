// The Ingress conformance suite (kubernetes-sigs/ingress-controller-conformance), unchanged, against `fairlead up`: only by
// `npm run conformance:ingress`, as it takes a quarter of an hour, nearly all of it waiting.
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runOrThrow, systemCommands } from "../../src/system/index.ts";
import { tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, openLab, repository } from "../support/lab.ts";
import { tellProgress } from "./progress.ts";

/** A copy of the suite's repository; without one there is nothing to run. */
const source = process.env["FAIRLEAD_INGRESS_SUITE"];
const dataplane = process.env["FAIRLEAD_DATAPLANE"] ?? "embedded";
const reports = join(repository, "docs/conformance");

/** A report of cucumber, as far as it is read. */
type CucumberReport = readonly {
  readonly name: string;
  readonly elements: readonly {
    readonly name: string;
    readonly steps: readonly { readonly result: { readonly status: string; readonly error_message?: string } }[];
  }[];
}[];

describe.skipIf(source === undefined)("the Ingress conformance suite", () => {
  let lab: Lab;
  let cluster: TestCluster;
  let suite = "";

  beforeAll(async () => {
    if (source === undefined) return;
    const cache = join(repository, ".cache/ingress-conformance");
    await mkdir(cache, { recursive: true });
    const echo = join(cache, "echo");
    suite = join(cache, "suite");
    const build = (...args: string[]) =>
      runOrThrow(systemCommands, "go", ["-C", source, ...args], { timeout: 900_000 });
    console.log("builds the suite");
    await build("build", "-o", echo, "./images/echoserver");
    await build("test", "-c", "-o", suite, ".");
    const deployment = await readFile(join(source, "test/kubernetes/deployment.go"), "utf8");
    const [, image = ""] = deployment.match(/EchoContainer = "([^"]+)"/) ?? [];
    lab = await openLab("root");
    cluster = await upCluster(lab, ["--dataplane", dataplane, "--image", `${image}=${echo}`]);
  }, 1_200_000);

  afterAll(() => tearDown(lab, cluster));

  it("passes", { timeout: 3_600_000 }, async () => {
    expect(existsSync(suite)).toBe(true);
    const out = join(lab.dir, "reports");
    await mkdir(out);
    const waits = ["-wait-time-for-ingress-status", "10s", "-wait-time-for-ready", "2m"];
    const flags = ["-ingress-class", "fairlead", ...waits, "-format", "cucumber"];
    // It looks for its features where it is started.
    const there = ["-C", source ?? "", suite];
    const over = new AbortController();
    const telling = tellProgress(cluster, over.signal);
    const run = await lab
      .run("env", [...there, ...flags, "-output-directory", out, "-test.timeout", "50m"], {
        timeout: 3_300_000,
        env: { KUBECONFIG: cluster.kubeconfig },
      })
      .finally(() => over.abort());
    await telling;
    const lines: string[] = [];
    const failed: string[] = [];
    for (const file of (await readdir(out)).sort()) {
      const text = await readFile(join(out, file), "utf8");
      if (text === "") throw new Error(`${file} is empty: ${run.stdout}${run.stderr}`);
      const report = JSON.parse(text) as CucumberReport;
      for (const { name, elements } of report) {
        const bad = elements.filter(({ steps }) => steps.some(({ result }) => result.status !== "passed"));
        for (const each of bad) {
          const why =
            each.steps.find(({ result }) => result.error_message)?.result.error_message ?? "not every step ran";
          failed.push(`${name}: ${each.name}: ${why}`);
        }
        lines.push(
          `| ${name} | ${basename(file, ".feature-report.json")} | ${elements.length - bad.length} | ${bad.length} |`,
        );
      }
    }
    console.log(lines.join("\n"));
    expect(failed).toEqual([]);
    expect(run.code, run.stdout + run.stderr).toBe(0);
    const head = [
      `# Ingress conformance, ${dataplane}`,
      "",
      "| feature | file | scenarios passed | failed |",
      "| --- | --- | --- | --- |",
    ];
    await writeFile(join(reports, `ingress-${dataplane}.md`), `${[...head, ...lines].join("\n")}\n`);
  });
});
