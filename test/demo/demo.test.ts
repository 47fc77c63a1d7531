import { existsSync } from "node:fs";
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { CommandResult } from "../../src/system/index.ts";
import { eventually } from "../support/cluster.ts";
import { type Lab, type LabUser, noKernel, noUnprivileged, openLab, repository } from "../support/lab.ts";

const ways = [
  "ClusterIP",
  "NodePort",
  "NodePort UDP",
  "LoadBalancer",
  "Ingress HTTP",
  "Ingress HTTPS",
  "Headless",
  "Headless SRV",
  "ExternalName",
];

describe("fairlead demo", () => {
  let lab: Lab | undefined;

  afterEach(async () => {
    await lab?.close();
    lab = undefined;
  });

  /** `path` is what the demo has for PATH: it may find fewer programs than there are. */
  const demo = (at: Lab, path = process.env["PATH"] ?? ""): Promise<CommandResult> => {
    const words = [join(repository, "fairlead"), "demo", "--once", "--dir", join(at.dir, "demo")];
    return at.run("env", [`PATH=${path}`, process.execPath, ...words]);
  };

  const expectAllWays = ({ code, stdout, stderr }: CommandResult) => {
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    for (const way of ways) expect(stdout).toMatch(new RegExp(`^${way} {2,}`, "m"));
    expect(stdout).not.toMatch(/FAILED/);
  };

  const users: readonly [LabUser, string | undefined][] = [
    ["root", noKernel],
    ["unprivileged", noUnprivileged],
  ];
  for (const [user, why] of users) {
    it.skipIf(why)(`with --once succeeds twice in a row as ${user}${why ? ` (skipped: ${why})` : ""}`, async () => {
      lab = await openLab(user);
      expectAllWays(await demo(lab));
      expectAllWays(await demo(lab));
    });
  }

  it("stays up without --once, and cleans up when it is ended", async () => {
    lab = await openLab(noKernel ? "unprivileged" : "root");
    const dir = join(lab.dir, "demo");
    const running = lab.start(process.execPath, [join(repository, "fairlead"), "demo", "--dir", dir]);
    await eventually(
      "the demo says what to try",
      async () => /stays up until Ctrl-C/.exec(running.output()) ?? undefined,
      90,
    );
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const status = await lab.run(process.execPath, [join(repository, "fairlead"), "status", "--dir", dir]);
    expect(status.stdout).toMatch(/^shop +service\/storefront +LoadBalancer /m);
    expect(status.stdout).not.toMatch(/not reachable/);
    await running.stop();
    expect(existsSync(dir)).toBe(false);
  });

  it("with --once succeeds without any program of Debian's, and names what is off", async () => {
    lab = await openLab(noKernel ? "unprivileged" : "root");
    const bin = join(lab.dir, "bin");
    await mkdir(bin);
    await symlink(process.execPath, join(bin, "node"));
    const result = await demo(lab, bin);
    expectAllWays(result);
    expect(result.stdout + result.stderr).toMatch(/kernel data plane \(nftables\): off/);
  });
});
