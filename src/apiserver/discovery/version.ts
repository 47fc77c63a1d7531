import { readFileSync } from "node:fs";
import type { Metrics } from "../../system/index.ts";

/** The Kubernetes API that is served. */
const kubernetes = { major: "1", minor: "35", patch: "0" };

/** What `/version` says, as apimachinery's `version.Info`. */
export type VersionInfo = Readonly<
  Record<
    | "major"
    | "minor"
    | "gitVersion"
    | "gitCommit"
    | "gitTreeState"
    | "buildDate"
    | "goVersion"
    | "compiler"
    | "platform",
    string
  >
>;

let info: VersionInfo | undefined;

/** `/version`. */
export function versionInfo(): VersionInfo {
  info ??= {
    major: kubernetes.major,
    minor: kubernetes.minor,
    gitVersion: `v${kubernetes.major}.${kubernetes.minor}.${kubernetes.patch}+fairlead-${ownVersion()}`,
    gitCommit: "",
    gitTreeState: "clean",
    buildDate: "1970-01-01T00:00:00Z",
    goVersion: `node-${process.version}`,
    compiler: "v8",
    platform: `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`,
  };
  return info;
}

/** The same as a figure, as alerts about mixed versions read it. */
export function tellOfVersion(metrics: Metrics): void {
  const names = ["major", "minor", "git_version", "git_commit", "git_tree_state", "build_date", "go_version"];
  const is = versionInfo();
  const parts = [is.major, is.minor, is.gitVersion, is.gitCommit, is.gitTreeState, is.buildDate, is.goVersion];
  metrics
    .gauge("kubernetes_build_info", "Always 1; the labels are what /version says.", [...names, "compiler", "platform"])(
      ...parts,
      is.compiler,
      is.platform,
    )
    .set(1);
}

/** The package stands two folders up from the sources as well as from what is built of them. */
function ownVersion(): string {
  const file = new URL("../../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
