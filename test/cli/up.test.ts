import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { lanName } from "../../src/cli/lan.ts";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository } from "../support/lab.ts";
import { load } from "../support/load.ts";
import { applyShop, waysIn } from "../support/shop.ts";

const user = noKernel ? "unprivileged" : "root";

/** Network namespaces of the cluster's further nodes. */
async function nodesOf(lab: Lab, { dir }: TestCluster): Promise<string[]> {
  const names = printed(await lab.run("ip", ["netns", "list"])).split("\n");
  return names.filter((name) => name.startsWith(`fairlead-node-${lanName(dir)}-`));
}

describe("fairlead up and down", () => {
  let lab: Lab | undefined;
  let cluster: TestCluster | undefined;

  afterEach(async () => {
    await tearDown(lab, cluster);
    lab = cluster = undefined;
  });

  const fairlead = (at: Lab, ...args: string[]) => at.run(process.execPath, [join(repository, "fairlead"), ...args]);

  it("says in one line with a stable exit code that the directory is in use, and harms nobody", async () => {
    lab = await openLab(user);
    cluster = await upCluster(lab);
    const pid = await cluster.pid();
    const again = await fairlead(lab, "up", "--dir", cluster.dir);
    expect(again).toMatchObject({ code: 13, stdout: "" });
    expect(again.stderr).toMatch(/^error: Fairlead already runs on .*: stop it with `fairlead down`.*\n$/);
    expect(await cluster.pid()).toBe(pid);
  });

  it("refuses a second cluster on the same network, by name", async () => {
    lab = await openLab(user);
    cluster = await upCluster(lab);
    const other = await fairlead(lab, "up", "--dir", join(lab.dir, "other"), "--api-port", "7443");
    expect(other.code).toBe(13);
    expect(other.stderr).toMatch(/another Fairlead cluster uses/);
    printed(await cluster.kubectl(["get", "nodes"]));
  });

  it("says that the API's port is in use, and leaves nothing behind", async () => {
    lab = await openLab(user);
    const holder = lab.start(process.execPath, [
      "-e",
      'require("node:net").createServer().listen(6443, () => console.log("on"))',
    ]);
    await eventually("the port is taken", async () => holder.output().includes("on") || undefined);
    const dir = join(lab.dir, "cluster");
    const result = await fairlead(lab, "up", "--detach", "--dir", dir);
    await holder.stop();
    expect(result.code).toBe(10);
    expect(result.stderr).toMatch(/error: port 6443 .* is in use by another program: choose another with --api-port/);
    expect(await readdir(dir)).not.toContain("fairlead.pid");
  });

  it("keeps its hands off a damaged store, and says which file it is", async () => {
    lab = await openLab(user);
    cluster = await upCluster(lab);
    const value = randomBytes(40_000).toString("base64");
    await writeFile(join(lab.dir, "value"), value);
    printed(await cluster.kubectl(["create", "configmap", "large", `--from-file=${join(lab.dir, "value")}`]));
    await cluster.down();
    const sound = join(cluster.dir, "store");
    const data = await readFile(join(sound, "data.mdb"));
    const at = data.indexOf(value.slice(20_000, 20_100));
    expect(at).toBeGreaterThan(0);
    const changed = (change: (copy: Buffer) => void) => {
      const copy = Buffer.from(data);
      change(copy);
      return copy;
    };
    const damages: Readonly<Record<string, Buffer | undefined>> = {
      "no store": Buffer.from("not a store"),
      "nothing is left in it": Buffer.alloc(0),
      "it is not there": undefined,
      "its end is missing": data.subarray(0, 40_000),
      "its first page": changed((copy) => copy.fill(0, 0, 4096)),
      "its second page": changed((copy) => copy.fill(0, 4096, 8192)),
      "pages of its tables": changed((copy) => copy.fill(0, 8192, 200_000)),
      "a byte of a value": changed((copy) => (copy[at] = (copy[at] ?? 0) ^ 1)),
    };
    for (const [what, bytes] of Object.entries(damages)) {
      if (bytes) await writeFile(join(sound, "data.mdb"), bytes);
      else await rm(join(sound, "data.mdb"));
      const { code, stderr } = await fairlead(lab, "up", "--dir", cluster.dir);
      const last = stderr.trim().split("\n").at(-1) ?? "";
      expect({ what, code, last }).toEqual({
        what,
        code: 12,
        last: expect.stringMatching(/^error: .*nothing was changed; .*/),
      });
      expect(last).toContain(sound);
      const after = await readFile(join(sound, "data.mdb")).catch(() => undefined);
      expect([what, after?.equals(bytes ?? Buffer.alloc(0))]).toEqual([what, bytes ? true : undefined]);
      expect(await readdir(cluster.dir)).not.toContain("fairlead.pid");
    }
    await writeFile(join(sound, "data.mdb"), data);
    await cluster.up();
    expect(printed(await cluster.kubectl(["get", "cm", "large", "-o", "jsonpath={.data.value}"]))).toBe(value);
  });

  it("keeps its hands off a damaged write-ahead log too, and loses nothing of a sound one", async () => {
    lab = await openLab(user);
    cluster = await upCluster(lab);
    const store = join(cluster.dir, "store");
    /** What is not in the tables yet: the log of the newest use. */
    const newestLog = async () => {
      const both = ["wal-0", "wal-1"].map(async (name) => ({ name, bytes: await readFile(join(store, name)) }));
      const [a, b] = (await Promise.all(both)) as [{ name: string; bytes: Buffer }, { name: string; bytes: Buffer }];
      const generation = (bytes: Buffer) => (bytes.length < 12 ? -1 : bytes.readUIntBE(6, 6));
      return generation(a.bytes) > generation(b.bytes) ? a : b;
    };
    // The log goes to the tables by the megabyte. Two of the maps are to be in it, and it far from full.
    const values: string[] = [];
    const isEarlyIn = (log: Buffer, value: string) => {
      const at = log.indexOf(value.slice(0, 100));
      return at > 0 && at < 500_000;
    };
    for (let settled = false; !settled;) {
      const value = randomBytes(30_000).toString("base64");
      await writeFile(join(lab.dir, "value"), value);
      const name = `map-${values.push(value)}`;
      printed(await cluster.kubectl(["create", "configmap", name, `--from-file=${join(lab.dir, "value")}`]));
      const { bytes } = await newestLog();
      settled = values.length > 1 && values.slice(-2).every((one) => isEarlyIn(bytes, one));
    }
    process.kill(await cluster.pid(), "SIGKILL");
    const { name, bytes: log } = await newestLog();
    const file = join(store, name);
    const followed = log.indexOf((values.at(-2) ?? "").slice(0, 100));
    const flipped = (at: number) => {
      const copy = Buffer.from(log);
      copy[at] = (copy[at] ?? 0) ^ 1;
      return copy;
    };
    const damages: Readonly<Record<string, Buffer>> = {
      "its header": flipped(8),
      "an acknowledged write that others follow": flipped(followed + 5000),
      "no log at all": Buffer.from("not a log"),
    };
    for (const [what, bytes] of Object.entries(damages)) {
      await writeFile(file, bytes);
      const { code, stderr } = await fairlead(lab, "up", "--dir", cluster.dir);
      const last = stderr.trim().split("\n").at(-1) ?? "";
      const told = expect.stringMatching(/^error: .*nothing was changed; .*/) as string;
      expect({ what, code, last }).toEqual({ what, code: 12, last: told });
      expect([what, last]).toEqual([what, expect.stringContaining(file)]);
      expect([what, (await readFile(file)).equals(bytes)]).toEqual([what, true]);
    }
    await writeFile(file, log);
    await cluster.up();
    for (const [i, value] of values.entries())
      expect(printed(await cluster.kubectl(["get", "cm", `map-${i + 1}`, "-o", "jsonpath={.data.value}"]))).toBe(value);
  });

  it.each([
    [["up", "--api-port", "none"], 2, /--api-port/],
    [["up", "--config", "/nowhere.yaml"], 16, /--config/],
    [["up", "-f", "/nowhere"], 16, /"\/nowhere" does not exist/],
    [["up", "--dir", "/proc/none"], 16, /--dir/],
    [["status", "--dir", "/nowhere"], 14, /no cluster/],
    [["down", "--dir", "/nowhere"], 14, /no cluster/],
    [["store", "check", "--dir", "/nowhere"], 16, /no store/],
    [["sail"], 2, /unknown command 'sail'/],
  ])("%j ends with %i", async (args, code, text) => {
    lab = await openLab(user);
    const result = await fairlead(lab, ...args);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr).toMatch(text);
  });

  it("applies manifests and reads a configuration file", async () => {
    lab = await openLab(user);
    const app = join(lab.dir, "app");
    await mkdir(app);
    const objects = ["a", "b"].map(
      (name) => `{apiVersion: v1, kind: ConfigMap, metadata: {name: ${name}}, data: {k: "1"}}`,
    );
    await writeFile(join(app, "maps.yaml"), objects.join("\n---\n"));
    await writeFile(join(lab.dir, "config.yaml"), `files: [${app}]\napiPort: 7443\n`);
    cluster = await upCluster(lab, ["--config", join(lab.dir, "config.yaml")]);
    expect(cluster.said).toContain("https://127.0.0.1:7443");
    const names = printed(await cluster.kubectl(["get", "cm", "-o", "name"]));
    expect(names.split("\n")).toEqual(expect.arrayContaining(["configmap/a", "configmap/b"]));
  });

  it("brings everything back after down and up, and starts the pods again", async () => {
    lab = await openLab(user);
    cluster = await upCluster(lab);
    printed(await cluster.kubectl(["create", "deployment", "web", "--image=fairlead.dev/echo", "--replicas=2"]));
    printed(await cluster.kubectl(["rollout", "status", "deployment/web", "--timeout=60s"]));
    await cluster.down();
    await cluster.up();
    printed(await cluster.kubectl(["rollout", "status", "deployment/web", "--timeout=60s"]));
  });

  describe.skipIf(noKernel)(`with root${noKernel ? ` (skipped: ${noKernel})` : ""}`, () => {
    it("takes out of the network all that it has put in", async () => {
      lab = await openLab("root");
      const at = lab;
      const look = async () => ({
        links: printed(await at.run("ip", ["-br", "link"])),
        routes: printed(await at.run("ip", ["-4", "route", "show", "table", "all"])),
        tables: printed(await at.run("nft", ["list", "tables"])),
      });
      const before = await look();
      cluster = await upCluster(lab, ["--nodes", "2"]);
      await applyShop(cluster);
      expect(await look()).not.toEqual(before);
      expect(await nodesOf(lab, cluster)).toHaveLength(1);
      await cluster.down();
      expect(await look()).toEqual(before);
      expect(await nodesOf(lab, cluster)).toEqual([]);
    });

    it("has nodes of its own beside another cluster of several nodes, and takes none of the other's away", async () => {
      lab = await openLab("root");
      const other = await openLab("root");
      cluster = await upCluster(lab, ["--nodes", "2"]);
      const beside = await upCluster(other, ["--nodes", "2"]);
      try {
        const ready = ["wait", "node", "--all", "--for=condition=Ready", "--timeout=60s"];
        for (const each of [cluster, beside]) expect(printed(await each.kubectl(ready))).toContain("node/node-2");
        process.kill(await cluster.pid(), "SIGKILL");
        await cluster.up();
        await beside.down();
        expect(await nodesOf(other, beside)).toEqual([]);
        expect(await nodesOf(lab, cluster)).toHaveLength(1);
        printed(await cluster.kubectl(ready));
      } finally {
        await tearDown(other, beside).catch(() => {});
      }
    });

    it("leaves no kernel rows in the way when it comes back in userspace mode after a kill", async () => {
      lab = await openLab("root");
      const tables = async (at: Lab) => printed(await at.run("nft", ["list", "tables"]));
      const kernel = await upCluster(lab);
      cluster = kernel;
      await applyShop(kernel);
      expect(await tables(lab)).toContain("table ip fairlead\n");
      process.kill(await kernel.pid(), "SIGKILL");
      cluster = await upCluster(lab, ["--proxy-mode", "userspace"]);
      expect(await tables(lab)).not.toContain("table ip fairlead\n");
      const { ClusterIP } = await waysIn(cluster);
      const ask = "fetch(process.argv[1]).then((answer) => process.exit(answer.ok ? 0 : 1))";
      printed(await lab.run(process.execPath, ["-e", ask, ClusterIP!.url], { timeout: 10_000 }));
    });

    it("leads traffic from every way in to the pods of three nodes", async () => {
      lab = await openLab("root");
      cluster = await upCluster(lab, ["--nodes", "3"]);
      await applyShop(cluster);
      const nodes = printed(
        await cluster.kubectl(["get", "pods", "-n", "shop", "-o", "jsonpath={.items[*].spec.nodeName}"]),
      );
      expect(new Set(nodes.split(" "))).toEqual(new Set(["node-1", "node-2", "node-3"]));
      for (const way of Object.values(await waysIn(cluster))) {
        const { failures, byPod } = await load(lab, { ...way, count: 60 });
        expect(failures).toEqual([]);
        expect(Object.keys(byPod)).toHaveLength(3);
      }
      const web = printed(await cluster.kubectl(["get", "pods", "-n", "shop", "-l", "app=storefront", "-o", "name"]));
      for (const pod of web.trim().split("\n")) {
        expect(printed(await cluster.kubectl(["logs", "-n", "shop", pod]))).toContain("answers HTTP");
      }
    });
  });
});
