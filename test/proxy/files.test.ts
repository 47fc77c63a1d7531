import { mkdir, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually, printed } from "../support/cluster.ts";
import { type Lab, type LabUser, noKernel, noUnprivileged, openLab, repository, type Running } from "../support/lab.ts";

const users: readonly (readonly [LabUser, string | undefined])[] = [
  ["root", noKernel],
  ["unprivileged", noUnprivileged],
];
const backend = (at: number) =>
  `require("node:http").createServer((q, a) => a.end("backend ${at}")).listen(${at}, "127.0.0.1")`;

const manifest = (to: number) => `
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  clusterIP: 127.96.0.80
  ports: [{ port: 8080 }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web-1, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ port: ${to} }]
endpoints: [{ addresses: [127.0.0.1] }]
`;

describe.each(users)("fairlead proxy --file as %s", (user, reason) => {
  describe.skipIf(reason)(reason ? `(skipped: ${reason})` : "without a cluster", () => {
    let lab: Lab;
    let running: Running[] = [];
    const program = join(repository, "fairlead");
    const proxyArguments = (path: string) => [program, "proxy", "--file", path, "--control-socket", join(lab.dir, "s")];
    const curl = async (url: string): Promise<string> =>
      printed(await lab.run("curl", ["--silent", "--show-error", "--max-time", "3", url]));
    const answers = (what: string) =>
      eventually(what, async () => ((await curl("http://127.96.0.80:8080/")) === what ? true : undefined));

    beforeEach(async () => {
      lab = await openLab(user);
      running = [8081, 8082].map((at) => lab.start(process.execPath, ["-e", backend(at)]));
    });
    afterEach(async () => {
      await Promise.all(running.map((one) => one.stop()));
      await lab.close();
    });

    test("a folder is served, and followed through every way of changing it", async () => {
      const folder = join(lab.dir, "services");
      await mkdir(folder, { mode: 0o755 });
      const file = join(folder, "web.yaml");
      await writeFile(file, manifest(8081));
      const proxy = lab.start(process.execPath, proxyArguments(folder));
      running.push(proxy);
      await answers("backend 8081");

      // In place, and by a rename.
      await writeFile(file, manifest(8082));
      await answers("backend 8082");
      await writeFile(`${file}.new`, manifest(8081));
      await rename(`${file}.new`, file);
      await answers("backend 8081");

      // A wrong file keeps what was; others are followed meanwhile.
      await writeFile(file, manifest(70_000));
      await eventually("the fault to be told", async () =>
        proxy.output().includes('document 2: EndpointSlice \\"web-1\\": ports[0].port: Invalid value: 70000')
          ? true
          : undefined,
      );
      expect(await curl("http://127.96.0.80:8080/")).toBe("backend 8081");
      await writeFile(join(folder, "more.yaml"), manifest(8082).replaceAll("web", "more").replace("0.80", "0.81"));
      await eventually("the other file", async () =>
        (await curl("http://127.96.0.81:8080/")) === "backend 8082" ? true : undefined,
      );
      expect(await curl("http://127.96.0.80:8080/")).toBe("backend 8081");
      await writeFile(file, manifest(8082));
      await answers("backend 8082");
    });

    test("a link that is set to another folder is followed, as in a mounted ConfigMap", async () => {
      const versions = join(lab.dir, "mounted");
      for (const path of [versions, join(versions, "1"), join(versions, "2")]) await mkdir(path, { mode: 0o755 });
      await writeFile(join(versions, "1/web.yaml"), manifest(8081));
      await writeFile(join(versions, "2/web.yaml"), manifest(8082));
      await symlink("1", join(versions, "..data"));
      await symlink("..data/web.yaml", join(versions, "web.yaml"));
      running.push(lab.start(process.execPath, proxyArguments(versions)));
      await answers("backend 8081");
      await symlink("2", join(versions, "..data.new"));
      await rename(join(versions, "..data.new"), join(versions, "..data"));
      await answers("backend 8082");
    });

    test("what is wrong at the start ends it with one line, and a second proxy is told of the first", async () => {
      const file = join(lab.dir, "web.yaml");
      await writeFile(file, manifest(0));
      const wrong = await lab.run(process.execPath, proxyArguments(file));
      expect(wrong).toMatchObject({ code: 16, stdout: "" });
      expect(wrong.stderr).toBe(
        `error: ${file}, document 2: EndpointSlice "web-1": ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive\n`,
      );
      await writeFile(file, manifest(8081));
      running.push(lab.start(process.execPath, proxyArguments(file)));
      await answers("backend 8081");
      const second = await lab.run(process.execPath, proxyArguments(file));
      expect(second).toMatchObject({ code: 13, stdout: "" });
      expect(second.stderr).toMatch(/^error: a proxy answers at .* already: end it first/);
    });
  });
});
