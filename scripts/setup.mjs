// Everything that `npm run demo` and `npm test` need, installed by themselves. Can be repeated: does only what is missing.
// Usage: node scripts/setup.mjs [--no-system]
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { prepare } from "./prepare.mjs";

/** Programs that the kernel data plane uses, the Debian package of each, and what is off without it. */
const programs = [
  { program: "nft", package: "nftables", without: "Services go through the userspace proxy instead of the kernel" },
  { program: "ip", package: "iproute2", without: "pods share the machine's network on loopback addresses" },
  {
    program: "conntrack",
    package: "conntrack",
    without: "UDP clients keep a removed endpoint until their flow times out",
  },
  { program: "etcd", package: "etcd-server", without: "the tests with a real etcd are skipped" },
  { program: "bird", package: "bird2", without: "`fairlead bgp` does not start and its tests are skipped" },
  { program: "keepalived", package: "keepalived", without: "`fairlead vip` does not start and its tests are skipped" },
  { program: "etcdctl", package: "etcd-client", without: "nothing shows what is in an etcd by hand" },
  {
    program: "nginx",
    package: "nginx libnginx-mod-http-lua libnginx-mod-stream",
    without: "the data plane `nginx` is not there and its tests are skipped",
  },
  {
    program: "iptables",
    package: "iptables",
    without: "a firewall that drops forwarded packets is not opened for pods",
  },
];

const say = (line) => console.error(`setup: ${line}`);

const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/sbin"];

function installed(program) {
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Installs Debian packages; the lists are fetched only when the install fails without. Returns whether it worked. */
function aptInstall(packages) {
  const quick = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=15", "-o", "Acquire::https::Timeout=15"];
  const run = (...args) =>
    spawnSync("apt-get", ["-qq", ...quick, ...args], {
      stdio: ["ignore", "ignore", "pipe"],
      timeout: 300_000,
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
  const install = () => run("install", "-y", "--no-install-recommends", ...packages);
  let result = install();
  if (result.status !== 0) {
    run("update");
    result = install();
  }
  if (result.status === 0) return true;
  const reason = String(result.stderr ?? "")
    .trim()
    .split("\n")
    .at(-1);
  say(`Debian packages could not be installed${reason ? `: ${reason}` : ""}; going on without`);
  return false;
}

function installSystem() {
  const missing = programs.filter((p) => !installed(p.program));
  if (missing.length === 0) return;
  const isRoot = process.getuid?.() === 0;
  const isDebian = existsSync("/etc/debian_version") && installed("apt-get");
  const names = missing.flatMap((p) => p.package.split(" "));
  if (isRoot && isDebian) {
    say(`installing Debian packages: ${names.join(" ")}`);
    if (aptInstall(names)) return;
  }
  const why = !isRoot ? "not root" : isDebian ? "not installed" : "not Debian";
  for (const { program, package: name, without } of missing) {
    say(`off: ${program} (package ${name}, ${why}): ${without}`);
  }
}

/** Runs every step. Returns false when what cannot be done without (npm packages, the build) failed. */
export function setup({ system }) {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    say(`Node ${process.versions.node} is too old: Fairlead needs 20.19 or newer`);
    return false;
  }
  if (system) installSystem();
  else say("Debian packages: left alone (--no-system)");
  return prepare(say);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  process.exitCode = setup({ system: !process.argv.includes("--no-system") }) ? 0 : 1;
}
