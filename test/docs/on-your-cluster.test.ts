import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import { eventually, printed } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository, type Running } from "../support/lab.ts";

// docs/on-your-cluster.md: its commands as they stand there, on the API of another process with the rights that the manifests give.
// Those with images (helm, kustomize) are tried in test/deploy.

const programs = clientPrograms();
const why = noKernel ?? (programs ? undefined : "kubectl is not installed: npm install");
const backendAt = "198.51.100.7";
const backend = `require("node:http").createServer((q, a) => a.end("served")).listen(8081, "${backendAt}")`;

const objects = {
  apiVersion: "v1",
  kind: "List",
  items: [
    { apiVersion: "v1", kind: "Node", metadata: { name: "worker-1" }, spec: { podCIDRs: ["10.42.0.0/24"] } },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "web", namespace: "default" },
      spec: { clusterIP: "10.96.0.80", ports: [{ port: 80, targetPort: 8081 }] },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: "web-1", namespace: "default", labels: { "kubernetes.io/service-name": "web" } },
      addressType: "IPv4",
      endpoints: [{ addresses: [backendAt] }],
      ports: [{ name: "", port: 8081 }],
    },
    {
      apiVersion: "networking.k8s.io/v1",
      kind: "Ingress",
      metadata: { name: "web", namespace: "default" },
      spec: { ingressClassName: "fairlead", defaultBackend: { service: { name: "web", port: { number: 80 } } } },
    },
  ],
};

/** Commands of the page in the order in which they stand there: lines of blocks, and what is named in the text. */
async function commandsOf(page: string): Promise<string[]> {
  const text = await readFile(join(repository, page), "utf8");
  return [...text.matchAll(/^(fairlead .*)$|`(fairlead proxy (?:status|--cleanup))`/gm)].map(
    ([, line, named]) => line ?? named ?? "",
  );
}

describe.skipIf(why)(`docs/on-your-cluster.md${why ? ` (${why})` : ""}`, () => {
  let lab: Lab;
  let api: Running;
  let echo: Running;
  let admin = "";
  const running: Running[] = [];

  /** A machine whose /run is its own, as another proxy may be there. */
  const start = (line: string): Running => {
    const enter = `mount -t tmpfs none /run && cd "$1" && ln -sfn "$2/examples" examples && exec "$2"/fairlead ${line.replace(/^fairlead /, "")}`;
    const one = lab.start("unshare", ["--mount", "sh", "-euc", enter, "sh", lab.dir, repository]);
    running.push(one);
    return one;
  };
  const kubectl = async (args: readonly string[], input?: string) =>
    printed(
      await lab.run(join(programs ?? "", "kubectl"), args, { env: { KUBECONFIG: admin }, ...(input ? { input } : {}) }),
    );
  const curl = async (...args: string[]) => (await lab.run("curl", ["-s", "--max-time", "5", ...args])).stdout;
  const ready = (url: string) =>
    eventually(
      url,
      async () => ((await lab.run("curl", ["-sf", "--max-time", "5", url])).code === 0 ? true : undefined),
      60,
    );

  /** A kubeconfig that may do what these manifests give, and nothing else. */
  async function rightsOf(name: string, part: "proxy" | "ingress", namespace: string): Promise<void> {
    for (const file of [
      ...(part === "ingress" ? ["namespace.yaml", "ingress-class.yaml"] : []),
      "service-account.yaml",
      "role.yaml",
    ]) {
      const text = await readFile(join(repository, "deploy/kustomize", part, file), "utf8");
      // Kustomize would put the namespace in.
      await kubectl(["apply", "-n", namespace, "-f", "-"], text);
    }
    const token = (await kubectl(["create", "token", "-n", namespace, `fairlead-${part}`])).trim();
    const config = JSON.parse(await kubectl(["config", "view", "--raw", "-o", "json"])) as {
      users: { user: object }[];
    };
    for (const one of config.users) one.user = { token };
    await writeFile(join(lab.dir, name), JSON.stringify(config));
  }

  beforeAll(async () => {
    lab = await openLab("root");
    echo = lab.start(process.execPath, ["-e", backend]);
    api = lab.start(process.execPath, [
      join(repository, "fairlead"),
      "test-cluster",
      "--dir",
      join(lab.dir, "api"),
      "--no-controllers",
    ]);
    admin = await eventually("the API", async () => /"kubeconfig":\s*"([^"]+)"/.exec(api.output())?.[1], 60);
    await kubectl(["create", "-f", "-"], JSON.stringify(objects));
    await kubectl([
      "patch",
      "node",
      "worker-1",
      "--subresource=status",
      "--type=merge",
      "-p",
      JSON.stringify({ status: { addresses: [{ type: "InternalIP", address: backendAt }] } }),
    ]);
    await rightsOf("proxy.conf", "proxy", "kube-system");
    await rightsOf("ingress.conf", "ingress", "fairlead");
  });
  afterAll(async () => {
    for (const one of [...running, echo, api]) await one?.stop();
    await lab?.close();
  });

  it("has these commands", async () => {
    expect(await commandsOf("docs/on-your-cluster.md")).toEqual([
      "fairlead proxy --kubeconfig proxy.conf --node worker-1",
      "fairlead proxy --cleanup",
      "fairlead proxy switch --to iptables",
      "fairlead ingress --kubeconfig ingress.conf --leader-elect-namespace fairlead --http-port 8080 --https-port 8443 --publish-address 192.0.2.10",
      "fairlead proxy --file examples/load-balancer",
      "fairlead proxy status",
    ]);
  });

  it("the proxy serves with a kubeconfig, changes its mode, tells how it is, and leaves nothing behind when it is told so", async () => {
    const [serve = "", cleanup = "", change = "", , files = "", status = ""] =
      await commandsOf("docs/on-your-cluster.md");
    // All in one: the socket on which it is told is in its /run.
    const script = `${serve} > proxy.log 2>&1 & proxy=$!
until curl -sf -o /dev/null --max-time 5 'http://127.0.0.1:10256/readyz?probe=datapath'; do kill -0 $proxy; sleep 0.2; done
curl -s --max-time 5 http://10.96.0.80/; echo
${change}
${status}
curl -s --max-time 5 http://10.96.0.80/; echo
kill $proxy; wait $proxy || true
curl -s --max-time 5 http://10.96.0.80/; echo
${cleanup}
nft list ruleset | grep -c KUBE- || true
${files} > files.log 2>&1 & proxy=$!
until curl -sf -o /dev/null --max-time 5 http://127.0.0.1:10256/readyz; do kill -0 $proxy; sleep 0.2; done
nft list map ip fairlead frontends
kill $proxy; wait $proxy || true
${cleanup}`;
    const enter = `mount -t tmpfs none /run && cd "$1" && ln -sfn "$2/examples" examples 
PATH="$2:$PATH"
${script}`;
    const { code, stdout, stderr } = await lab.run("unshare", [
      "--mount",
      "sh",
      "-euc",
      enter,
      "sh",
      lab.dir,
      repository,
    ]);
    const log = await readFile(join(lab.dir, "proxy.log"), "utf8");
    expect(code, `${stdout}\n${stderr}\n${log}`).toBe(0);
    expect(stdout.match(/^served$/gm), stdout).toHaveLength(3);
    expect(stdout).toContain("proxy: Services are served by iptables");
    expect(stdout).toMatch(/^proxy\s+iptables\s+\d+\s+in force$/m);
    expect(stdout).toMatch(/^0$/m);
    expect(stdout).toContain("192.0.2.1 . tcp . 5432");
    expect(log).not.toMatch(/"level":50|Forbidden/);
  });

  it("the Ingress controller serves with a kubeconfig and writes the address that it is given", async () => {
    const line = (await commandsOf("docs/on-your-cluster.md"))[3] ?? "";
    const controller = start(line);
    await ready("http://127.0.0.1:10254/readyz").catch((error: unknown) => {
      throw new Error(`${String(error)}: ${controller.output()}`);
    });
    const served = async () => ((await curl("http://127.0.0.1:8080/")) === "served" ? true : undefined);
    await eventually("the Ingress", served).catch(async (error: unknown) => {
      throw new Error(`${String(error)}: ${await curl("-i", "http://127.0.0.1:8080/")} ${controller.output()}`);
    });
    await eventually("its status", async () =>
      (await kubectl(["get", "ingress", "web", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"])) === "192.0.2.10"
        ? true
        : undefined,
    );
    expect(controller.output()).not.toMatch(/"level":50|Forbidden/);
  });
});
