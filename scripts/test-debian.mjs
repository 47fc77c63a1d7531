// The suites of data planes and addresses with the programs of another Debian release, in a folder of its own (root, debootstrap):
// `npm run test:debian -- [--release trixie] [--folder FOLDER] [test files]`. The folder stays, so that the next run is quick.
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./prepare.mjs";

const packages =
  "haproxy nginx-light libnginx-mod-http-lua libnginx-mod-stream libnginx-mod-stream-js libnginx-mod-http-js keepalived bird2 frr conntrack curl openssl nftables iptables iproute2 iputils-ping procps socat apache2-utils ca-certificates";
const suites =
  "test/dataplane test/ingress-nginx test/differential test/loadbalancer/vip test/loadbalancer/bgp test/acme".split(
    " ",
  );

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    release: { type: "string", default: "trixie" },
    folder: { type: "string" },
    mirror: { type: "string", default: "http://deb.debian.org/debian" },
  },
});
const folder = resolve(values.folder ?? join(tmpdir(), `fairlead-debian-${values.release}`));
const done = join(folder, "complete");

if (process.getuid?.() !== 0) fail("it needs root: a root folder of its own, and network namespaces");
if (!existsSync(done)) build();
mkdirSync(join(folder, "repository"), { recursive: true });
copyFileSync(process.execPath, join(folder, "usr/bin/node"));
// Mounts are seen by nobody else, and gone with the last process.
const inside = `
folder=$1 repository=$2; shift 2
mount --make-rprivate / && mount --bind "$folder" "$folder"
for each in proc sys dev tmp run; do mount --rbind /$each "$folder/$each"; done
mount --bind "$repository" "$folder/repository"
exec chroot "$folder" sh -c 'cd /repository && exec node node_modules/vitest/vitest.mjs run --project system "$@"' sh "$@"`;
const files = positionals.length > 0 ? positionals : suites;
process.exitCode = run("unshare", ["--mount", "sh", "-c", inside, "sh", folder, root, ...files]);

function build() {
  if (run("debootstrap", ["--version"]) !== 0) fail("debootstrap is not installed: apt-get install debootstrap");
  const must = (program, args) => {
    if (run(program, args) !== 0) fail(`${program} failed; ${folder} is not complete`);
  };
  must("debootstrap", ["--variant=minbase", values.release, folder, values.mirror]);
  // No package starts a service of the machine.
  const policy = join(folder, "usr/sbin/policy-rc.d");
  writeFileSync(policy, "#!/bin/sh\nexit 101\n");
  chmodSync(policy, 0o755);
  const install = `apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends ${packages}`;
  must("chroot", [folder, "sh", "-c", install]);
  writeFileSync(done, `${packages}\n`);
}

function run(program, args) {
  const { status } = spawnSync(program, args, { cwd: root, stdio: "inherit" });
  return status ?? 1;
}

function fail(why) {
  console.error(`test:debian: ${why}`);
  process.exit(2);
}
