import { readFileSync } from "node:fs";

/** The Kubernetes API that is served. */
const kubernetes = { major: "1", minor: "35", patch: "0" };

let info: object | undefined;

/** `/version`. */
export function versionInfo(): object {
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

/** The package stands two folders up from the sources as well as from what is built of them. */
function ownVersion(): string {
  const file = new URL("../../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
