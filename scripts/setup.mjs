// Everything that `npm run demo` and `npm test` need, installed by themselves. Can be repeated: does only what is missing.
// Usage: node scripts/setup.mjs [--no-system]
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { prepare } from "./prepare.mjs";

/**
 * Programs, the Debian packages of each, and what is off without it. `service`: what the package would start, and again at every
 * boot, on ports that are the user's; it is left off. `tests`: only tests and further subcommands need it.
 */
const programs = [
  { program: "nft", package: "nftables", without: "Services go through the userspace proxy instead of the kernel" },
  { program: "ip", package: "iproute2", without: "pods share the machine's network on loopback addresses" },
  {
    program: "conntrack",
    package: "conntrack",
    without: "UDP clients keep a removed endpoint until their flow times out",
  },
  {
    program: "iptables",
    package: "iptables",
    without: "a firewall that drops forwarded packets is not opened for pods",
  },
  {
    program: "etcd",
    package: "etcd-server",
    service: "etcd",
    tests: true,
    without: "the tests with a real etcd are skipped",
  },
  { program: "etcdctl", package: "etcd-client", tests: true, without: "nothing shows what is in an etcd by hand" },
  {
    program: "keepalived",
    package: "keepalived",
    service: "keepalived",
    tests: true,
    without: "`fairlead vip` does not start and its tests are skipped",
  },
  {
    program: "bird",
    package: "bird2",
    service: "bird",
    tests: true,
    without: "`fairlead bgp` does not start and its tests are skipped",
  },
  {
    program: "/usr/lib/frr/bgpd",
    package: "frr",
    service: "frr",
    tests: true,
    without: "`fairlead bgp --speaker frr` does not start and its tests are skipped",
  },
  {
    program: "haproxy",
    package: "haproxy",
    service: "haproxy",
    tests: true,
    without: "the data plane `haproxy` is not there and its tests are skipped",
  },
  {
    program: "nginx",
    package: "nginx libnginx-mod-http-lua libnginx-mod-stream libnginx-mod-stream-js",
    // nginx alone is often there.
    file: "/usr/lib/nginx/modules/ngx_stream_js_module.so",
    service: "nginx",
    tests: true,
    without: "the data plane `nginx` is not there and its tests are skipped",
  },
];

const say = (line) => console.error(`setup: ${line}`);

const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/sbin"];

function installed(program) {
  // Some packages have theirs in no PATH.
  return (program.startsWith("/") ? [""] : folders).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const isThere = ({ program, file }) => installed(program) && (file === undefined || existsSync(file));

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

/** While `work` runs, no package starts a service: Debian asks this file. One that is there already is the user's, and stays. */
function withoutServices(work) {
  const policy = "/usr/sbin/policy-rc.d";
  try {
    writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755, flag: "wx" });
  } catch (error) {
    if (error.code !== "EEXIST") say(`services of the packages may start: ${error.message}`);
    return work();
  }
  try {
    return work();
  } finally {
    rmSync(policy, { force: true });
  }
}

function installSystem({ tests }) {
  const missing = programs.filter(
    (p) => (tests || !p.tests) && !(installed(p.program) && (!p.file || existsSync(p.file))),
  );
  if (missing.length === 0) return;
  const isRoot = process.getuid?.() === 0;
  const isDebian = existsSync("/etc/debian_version") && installed("apt-get");
  const names = missing.flatMap((p) => p.package.split(" "));
  if (isRoot && isDebian) {
    say(`installing Debian packages: ${names.join(" ")}`);
    // A package that one Debian lacks does not keep out the others.
    withoutServices(() => aptInstall(names) || missing.forEach((p) => aptInstall(p.package.split(" "))));
    const services = missing.flatMap(({ service }) => service ?? []);
    if (services.length > 0 && existsSync("/run/systemd/system"))
      spawnSync("systemctl", ["--quiet", "disable", ...services], { stdio: "ignore" });
  }
  const why = !isRoot ? "not root" : isDebian ? "not installed" : "not Debian";
  for (const { program, package: name, without } of missing.filter((p) => !isThere(p))) {
    say(`off: ${program} (package ${name}, ${why}): ${without}`);
  }
}

/** Runs every step; without `tests` only what a cluster needs. Returns false when what cannot be done without (npm packages, the build) failed. */
export function setup({ system, tests = true }) {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    say(`Node ${process.versions.node} is too old: Fairlead needs 20.19 or newer`);
    return false;
  }
  if (system) installSystem({ tests });
  else say("Debian packages: left alone (--no-system)");
  return prepare(say);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  process.exitCode = setup({ system: !process.argv.includes("--no-system") }) ? 0 : 1;
}
