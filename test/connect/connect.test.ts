import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, type LabUser, noKernel, noUnprivileged, openLab } from "../support/lab.ts";

const why: Readonly<Record<LabUser, string | undefined>> = { root: noKernel, unprivileged: noUnprivileged };
const megabytes = randomBytes(10 << 20);
const checksum = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

/** `script` gives a program a terminal. */
const noScript = spawnSync("script", ["--version"]).status === 0 ? "" : " (skipped: needs script of util-linux)";

/** Processes of this machine whose command line has `text`. */
async function running(text: string): Promise<number> {
  let count = 0;
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (line.includes(text) && !line.includes("kubectl")) count++;
  }
  return count;
}

describe.each(["root", "unprivileged"] as const)("connections to pods, as %s", (user) => {
  describe.skipIf(why[user] !== undefined)(why[user] ?? "kubectl", () => {
    let lab: Lab;
    let cluster: TestCluster;
    const image = ["--image", "sleeper=sleep 100000", "--image", "shell=sh"];

    beforeAll(async () => {
      lab = await openLab(user);
      cluster = await upCluster(lab, image);
      printed(await cluster.kubectl(["run", "web", "--image=fairlead.dev/echo", "--port=8080"]));
      printed(await cluster.kubectl(["run", "sleeper", "--image=sleeper"]));
      printed(await cluster.kubectl(["expose", "pod", "web", "--port=80", "--target-port=8080"]));
      printed(await cluster.kubectl(["wait", "--for=condition=Ready", "pod/web", "pod/sleeper", "--timeout=30s"]));
    });

    afterAll(() => tearDown(lab, cluster));

    describe.each([
      ["WebSocket", "true"],
      ["SPDY", "false"],
    ])("%s", (name, flag) => {
      const env = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: flag, KUBECTL_PORT_FORWARD_WEBSOCKETS: flag };
      const connection = () => ({ ...env, KUBECONFIG: cluster.kubeconfig, HOME: lab.dir });
      const startKubectl = (args: readonly string[]) =>
        lab.start(join(clientPrograms() ?? "", "kubectl"), args, connection(), { input: true });
      const kubectl = (args: readonly string[], input?: string | Uint8Array) =>
        cluster.kubectl(args, { env, ...(input === undefined ? {} : { input }) });

      it("exec keeps the outputs apart and gives the exit code back", async () => {
        const result = await kubectl(["exec", "sleeper", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
        expect([result.code, result.stdout]).toEqual([7, "out\n"]);
        expect(result.stderr).toContain("err\n");
      });

      it("ten megabytes go in and come out as they are", async () => {
        const summed = await kubectl(["exec", "-i", "sleeper", "--", "md5sum"], megabytes);
        expect(summed.stdout).toContain(checksum(megabytes));
        const file = join(lab.dir, `out-${name}`);
        const back = await kubectl(
          ["exec", "-i", "sleeper", "--", "sh", "-c", `cat >${file}; base64 <${file}`],
          megabytes,
        );
        expect(checksum(Buffer.from(back.stdout, "base64"))).toBe(checksum(megabytes));
      });

      it("many commands at once", async () => {
        const codes = Array.from({ length: 8 }, (_, i) => i);
        const results = await Promise.all(
          codes.map((code) => kubectl(["exec", "sleeper", "--", "sh", "-c", `echo ${code}; exit ${code}`])),
        );
        expect(results.map(({ code, stdout }) => [code, stdout])).toEqual(codes.map((code) => [code, `${code}\n`]));
      });

      it("cp both ways, with odd names", async () => {
        const [here, there, back] = ["here", "there", "back"].map((one) => join(lab.dir, `${one}-${name}`)) as [
          string,
          string,
          string,
        ];
        await mkdir(join(here, "a b", "ü$x'y"), { recursive: true });
        await writeFile(join(here, "a b", "ü$x'y", "file name"), "content");
        printed(await kubectl(["cp", here, `sleeper:${there}`]));
        printed(await kubectl(["cp", `sleeper:${there}`, back]));
        expect(await readFile(join(back, "a b", "ü$x'y", "file name"), "utf8")).toBe("content");
      });

      it("a terminal", async () => {
        const program = clientPrograms();
        if (!program) throw new Error("kubectl is not installed: npm install");
        const words = `${program}/kubectl exec -it sleeper -- sh -c 'test -t 0 && stty size && exit 5'`;
        const result = await lab.run("script", ["-qec", words, "/dev/null"], {
          env: { ...env, KUBECONFIG: cluster.kubeconfig, HOME: lab.dir },
        });
        expect(result.stdout).toMatch(/\d+ \d+/);
        expect(result.code).toBe(5);
      });

      it("run -i gives input to a container and its output back", async () => {
        const words = ["run", `cat-${name.toLowerCase()}`, "--image=shell", "-i", "--rm", "--restart=Never", "--quiet"];
        const result = await kubectl([...words, "--command", "--", "sh", "-c", "read line; echo got $line"], "one\n");
        expect(result.stdout).toContain("got one");
      });

      it("attach joins a container that runs, a second time too, and gives it input", async () => {
        const pod = `talker-${name.toLowerCase()}`;
        const script = 'while read line; do [ "$line" = stop ] && exit 3; echo "got $line"; done';
        const overrides = { spec: { containers: [{ name: pod, image: "shell", args: ["-c", script], stdin: true }] } };
        const words = ["run", pod, "--image=shell", "--restart=Never", "--overrides", JSON.stringify(overrides)];
        printed(await kubectl(words));
        printed(await kubectl(["wait", "--for=condition=Ready", `pod/${pod}`, "--timeout=30s"]));
        const first = startKubectl(["attach", "-i", pod]);
        try {
          first.write("one\n");
          await eventually("it is answered", async () => first.output().includes("got one") || undefined);
        } finally {
          await first.stop();
        }
        const second = await kubectl(["attach", "-i", pod, "-c", pod], "two\nstop\n");
        expect(second.stdout).toContain("got two");
        expect(second.stdout).not.toContain("got one");
        await eventually("it has ended as it was told", async () => {
          const path = "{.status.containerStatuses[0].state.terminated.exitCode}";
          return (await kubectl(["get", "pod", pod, "-o", `jsonpath=${path}`])).stdout === "3" || undefined;
        });
      });

      it.skipIf(noScript !== "")(`attach has a terminal where both sides have one${noScript}`, async () => {
        const pod = `terminal-${name.toLowerCase()}`;
        const script = 'while read line; do [ "$line" = stop ] && exit 0; echo "$line: $(tty) $(stty size)"; done';
        const container = { name: pod, image: "shell", args: ["-c", script], stdin: true, tty: true };
        const overrides = JSON.stringify({ spec: { containers: [container] } });
        printed(await kubectl(["run", pod, "--image=shell", "--restart=Never", "--overrides", overrides]));
        printed(await kubectl(["wait", "--for=condition=Ready", `pod/${pod}`, "--timeout=30s"]));
        const program = join(clientPrograms() ?? "", "kubectl");
        const line = `stty rows 33 cols 101; exec ${program} attach -it ${pod}`;
        const session = lab.start("script", ["-qec", line, "/dev/null"], connection(), { input: true });
        try {
          await eventually("the terminal has the size of this one", async () => {
            session.write("where\n");
            return /where: \/dev\/pts\/\d+ 33 101/.test(session.output()) || undefined;
          });
          session.write("stop\n");
          await eventually("the pod has ended", async () => {
            const { stdout } = await kubectl(["get", "pod", pod, "-o", "jsonpath={.status.phase}"]);
            return stdout === "Succeeded" || undefined;
          });
        } finally {
          await session.stop();
        }
      });

      it("debug adds a container to a running pod", async () => {
        const container = `debug-${name.toLowerCase()}`;
        const words = [
          "debug",
          "sleeper",
          "--image=shell",
          `--container=${container}`,
          "--attach=false",
          "--profile=general",
        ];
        printed(await kubectl([...words, "--", "sh", "-c", "echo looking; sleep 1000"]));
        await eventually("the container says something", async () => {
          const { stdout } = await kubectl(["logs", "sleeper", "-c", container]);
          return stdout.includes("looking") || undefined;
        });
        const inside = await kubectl(["exec", "sleeper", "-c", container, "--", "echo", "inside"]);
        expect(inside.stdout).toBe("inside\n");
      });

      it("port-forward carries a thousand requests, twenty at once", async () => {
        const port = 18_080 + (flag === "true" ? 0 : 1);
        const forward = lab.start(
          join(clientPrograms() ?? "", "kubectl"),
          ["port-forward", "pod/web", `${port}:8080`],
          {
            ...env,
            KUBECONFIG: cluster.kubeconfig,
            HOME: lab.dir,
          },
        );
        try {
          await eventually("it listens", async () => forward.output().includes("Forwarding from") || undefined);
          const url = `http://127.0.0.1:${port}/?n=[1-1000]`;
          const words = [
            "-s",
            "--no-keepalive",
            "-Z",
            "--parallel-max",
            "20",
            "-w",
            "%{http_code}\n",
            "-o",
            "/dev/null",
            url,
          ];
          const { stdout } = await lab.run("curl", words, { timeout: 60_000 });
          expect(stdout.split("\n").filter((line) => line.endsWith("200"))).toHaveLength(1000);
        } finally {
          await forward.stop();
        }
      });

      it("a client that is killed leaves no command behind", async () => {
        const marker = `${user === "root" ? 8 : 9}${flag === "true" ? 1 : 2}77777`;
        const client = lab.start(join(clientPrograms() ?? "", "kubectl"), ["exec", "sleeper", "--", "sleep", marker], {
          ...env,
          KUBECONFIG: cluster.kubeconfig,
          HOME: lab.dir,
        });
        await eventually("it runs", async () => (await running(`sleep\0${marker}`)) > 0 || undefined);
        await client.stop();
        await eventually("it is gone", async () => (await running(`sleep\0${marker}`)) === 0 || undefined);
      });
    });

    it("kubectl proxy leads plain HTTP to the API: reads, writes, watches and what is behind Services", async () => {
      const proxy = cluster.startKubectl(["proxy", "--port=0"]);
      try {
        const address = await eventually("it listens", async () => /127\.0\.0\.1:\d+/.exec(proxy.output())?.[0]);
        const curl = async (...words: string[]): Promise<string> =>
          printed(await lab.run("curl", ["-s", "--max-time", "20", ...words]));
        expect(JSON.parse(await curl(`http://${address}/version`))).toMatchObject({ major: "1" });
        const maps = `http://${address}/api/v1/namespaces/default/configmaps`;
        const body = JSON.stringify({ metadata: { name: "by-proxy" }, data: { k: "v" } });
        const made = await curl("-H", "content-type: application/json", "-d", body, maps);
        expect(JSON.parse(made)).toMatchObject({ kind: "ConfigMap", data: { k: "v" } });
        const watched = await curl(`${maps}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name=by-proxy`);
        expect(JSON.parse(watched.split("\n")[0] ?? "")).toMatchObject({
          type: "ADDED",
          object: { metadata: { name: "by-proxy" } },
        });
        const page = await curl(`http://${address}/api/v1/namespaces/default/services/web/proxy/a/b?c=d`);
        expect(JSON.parse(page)).toMatchObject({ pod: "web", path: "/a/b?c=d" });
        // What upstream asks of the proxies: every method that a backend may be asked with.
        for (const method of ["DELETE", "OPTIONS", "PATCH", "POST", "PUT", "GET"])
          for (const target of ["pods/web:8080", "services/web"]) {
            const url = `http://${address}/api/v1/namespaces/default/${target}/proxy/with/${method}`;
            expect(JSON.parse(await curl("-X", method, url))).toMatchObject({ pod: "web", method });
            // Only who reads is sent on to the slash.
            const root = await curl("-X", method, `${url.replace(/\/with.*/, "")}?a=b`);
            if (method === "GET") expect(root).toBe("");
            else expect(JSON.parse(root)).toMatchObject({ method, path: "/?a=b" });
          }
        const code = await curl(
          "-o",
          "/dev/null",
          "-w",
          "%{http_code}",
          "-X",
          "POST",
          maps.replace("configmaps", "pods/web/exec"),
        );
        expect(code).toBe("403");
      } finally {
        await proxy.stop();
      }
    });

    it("proxies to pods, Services and nodes", async () => {
      const get = async (path: string): Promise<string> => printed(await cluster.kubectl(["get", "--raw", path]));
      const base = "/api/v1/namespaces/default";
      for (const target of ["pods/web:8080", "pods/web", "services/web", "services/http:web:80"]) {
        const answer = JSON.parse(await get(`${base}/${target}/proxy/some/path?a=b`)) as { path: string; pod: string };
        expect([target, answer.pod, answer.path]).toEqual([target, "web", "/some/path?a=b"]);
      }
      const node = printed(await cluster.kubectl(["get", "nodes", "-o", "name"])).trim();
      expect(await get(`/api/v1/nodes/${node.replace("node/", "")}/proxy/healthz`)).toBe("ok\n");
      const missing = await cluster.kubectl(["get", "--raw", `${base}/services/web:81/proxy/`]);
      expect(missing.stderr).toContain('no service port 81 found for service "web"');
    });

    it("top shows what nodes and pods use", async () => {
      expect(printed(await cluster.kubectl(["top", "node"]))).toMatch(/^NAME +CPU\(cores\).*\n\S+ +\d+m +\d+% +\d+Mi/);
      expect(printed(await cluster.kubectl(["top", "pod", "web"]))).toMatch(/web +\d+m +[1-9]\d*Mi/);
      const missing = await cluster.kubectl(["top", "pod", "none"]);
      expect(missing.stderr).toContain('podmetrics.metrics.k8s.io "default/none" not found');
    });

    it("the kubelet takes tokens, for what their owners may of the node: so metrics-server and Prometheus ask it", async () => {
      printed(await cluster.kubectl(["create", "serviceaccount", "scraper"]));
      printed(await cluster.kubectl(["create", "clusterrole", "scraper", "--verb=get", "--resource=nodes/metrics"]));
      const binding = ["clusterrolebinding", "scraper", "--clusterrole=scraper", "--serviceaccount=default:scraper"];
      printed(await cluster.kubectl(["create", ...binding]));
      const token = printed(await cluster.kubectl(["create", "token", "scraper"])).trim();
      const where =
        "{.items[0].status.addresses[?(@.type=='InternalIP')].address}:{.items[0].status.daemonEndpoints.kubeletEndpoint.Port}";
      const at = printed(await cluster.kubectl(["get", "nodes", "-o", `jsonpath=${where}`]));
      const curl = async (path: string, shown: string): Promise<string> =>
        printed(
          await lab.run("curl", [
            "-sk",
            "--max-time",
            "20",
            "-w",
            "%{http_code}",
            "-H",
            `authorization: ${shown}`,
            `https://${at}${path}`,
          ]),
        );
      expect(await curl("/metrics/resource", `Bearer ${token}`)).toMatch(/^node_cpu_usage_seconds_total [^]*200$/m);
      expect(await curl("/stats/summary", `Bearer ${token}`)).toMatch(
        /^Forbidden \(user=system:serviceaccount:default:scraper, verb=get, resource=nodes, subresource\(s\)=\[stats\]\)\n403$/,
      );
      expect(await curl("/metrics/resource", `Bearer ${token.slice(0, -3)}`)).toBe("Unauthorized\n401");
      expect(await curl("/metrics/resource", "Basic YTpi")).toBe("Unauthorized\n401");
    });

    it("resizes a pod in place", async () => {
      printed(
        await cluster.kubectl([
          "run",
          "sized",
          "--image=sleeper",
          "--overrides",
          JSON.stringify({
            spec: { containers: [{ name: "sized", image: "sleeper", resources: { requests: { cpu: "10m" } } }] },
          }),
        ]),
      );
      const patch = JSON.stringify({
        spec: { containers: [{ name: "sized", resources: { requests: { cpu: "20m" } } }] },
      });
      await eventually("it runs", async () => {
        const { stdout } = await cluster.kubectl(["get", "pod", "sized", "-o", "jsonpath={.status.phase}"]);
        return stdout === "Running" || undefined;
      });
      printed(await cluster.kubectl(["patch", "pod", "sized", "--subresource=resize", "--patch", patch]));
      await eventually("the status says so", async () => {
        const words = ["get", "pod", "sized", "-o", "jsonpath={.status.containerStatuses[0].resources.requests.cpu}"];
        return (await cluster.kubectl(words)).stdout === "20m" || undefined;
      });
    });
  });
});
