import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, type LabUser, noKernel, noUnprivileged, openLab, repository } from "../support/lab.ts";
import { mixinSelectors, seriesOf } from "./mixin.ts";
import { expectDocumented } from "./page.ts";

const ours =
  /^(fairlead|kubeproxy|apiserver|aggregator|workqueue|rest_client|kubernetes|authentication|authorization|etcd|leader_election|nginx_ingress_controller)_/;

interface ScrapeConfig {
  readonly job_name: string;
  readonly scheme?: string;
  readonly static_configs: readonly { readonly targets: readonly string[] }[];
  readonly tls_config?: Readonly<Record<"ca_file" | "cert_file" | "key_file", string>>;
}

/** Asks as Prometheus would, from inside the lab. */
const client = `
const { request } = await import(process.argv[1].startsWith("https:") ? "node:https" : "node:http");
const { readFileSync } = await import("node:fs");
const [ca, cert, key] = process.argv.slice(2).map((path) => readFileSync(path));
request(process.argv[1], { ca, cert, key }, (answer) => {
  process.stderr.write(String(answer.statusCode));
  answer.pipe(process.stdout);
}).on("error", (error) => { process.stderr.write(error.code); process.exitCode = 1; }).end();
`;

const users = [
  ["root", noKernel],
  ["unprivileged", noUnprivileged],
] as const;

describe.each(users)("metrics of a cluster of user %s", (user: LabUser, reason) => {
  describe.skipIf(reason)(reason ? `(skipped: ${reason})` : "as docs/metrics.md has them", () => {
    let lab: Lab;
    let cluster: TestCluster | undefined;
    let page: string;

    const ask = async (url: string, ...files: string[]): Promise<{ status: number; body: string }> => {
      const args = ["--input-type=module", "-e", client, url, ...files];
      const { stdout, stderr } = await lab.run(process.execPath, args);
      return { status: Number(stderr), body: stdout };
    };

    const scrape = async (job: string): Promise<string> => {
      const [, yaml = ""] = /```yaml\n([\s\S]*?)```/.exec(page) ?? [];
      const { scrape_configs: configs } = parse(yaml) as { scrape_configs: ScrapeConfig[] };
      const config = configs.find(({ job_name: name }) => name === job);
      const { ca_file: ca, cert_file: cert, key_file: key } = config?.tls_config ?? {};
      const files = [ca, cert, key].flatMap((path) => path?.replace("~/.fairlead", cluster?.dir ?? "") ?? []);
      const target = config?.static_configs[0]?.targets[0] ?? "";
      const { status, body } = await ask(`${config?.scheme ?? "http"}://${target}/metrics`, ...files);
      expect(status).toBe(200);
      return body;
    };

    const compare = (text: string, heading: string, prefixes = ours) => expectDocumented(page, text, heading, prefixes);

    beforeAll(async () => {
      page = await readFile(join(repository, "docs/metrics.md"), "utf8");
      lab = await openLab(user);
      // What is audited is counted where there is a policy.
      const policy = join(lab.dir, "audit.yaml");
      await writeFile(policy, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{ level: Metadata }]\n");
      const log = join(lab.dir, "audit.log");
      cluster = await upCluster(lab, ["--audit-policy-file", policy, "--audit-log-path", log]);
    });
    afterAll(() => tearDown(lab, cluster));

    it("the API server serves what the page says, as the page says it is scraped", async () => {
      const text = await scrape("fairlead");
      compare(text, "API server");
      expect(text).toMatch(/^process_resident_memory_bytes \d+$/m);
      expect(text).toMatch(/^nodejs_version_info\{/m);
      expect(text).toMatch(/^apiserver_storage_objects\{resource="nodes"\} 1$/m);
      expect(text).toMatch(/^workqueue_adds_total\{name="endpointslice"\} [1-9]/m);
      const raw = printed(await (cluster as TestCluster).kubectl(["get", "--raw", "/metrics"]));
      compare(raw, "API server");
    });

    it("what kubernetes-mixin's rules and dashboards ask for is there", async () => {
      const { kubectl } = cluster as TestCluster;
      const service = join(lab.dir, "apiservice.yaml");
      const spec =
        "{ group: mixin.example.com, version: v1, groupPriorityMinimum: 100, versionPriority: 100, service: { namespace: default, name: none } }";
      await writeFile(
        service,
        `{ apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: { name: v1.mixin.example.com }, spec: ${spec} }`,
      );
      printed(await kubectl(["create", "-f", service]));
      printed(await kubectl(["create", "service", "clusterip", "mixin", "--tcp=80"]));
      printed(await kubectl(["get", "services,namespaces", "--all-namespaces"]));
      printed(await kubectl(["get", "configmaps"]));
      await eventually("each selector finds a series", async () => {
        const text = await scrape("fairlead");
        const missing = mixinSelectors.filter((selector) => seriesOf(text, selector).length === 0);
        if (missing.length > 0) throw new Error(`nothing is found by ${missing.join(" and ")}`);
        return true;
      });
      printed(await kubectl(["delete", "-f", service]));
      expect(seriesOf('a_total{x="1"} 2', 'a_total{x!~"1|2"}')).toEqual([]);
    });

    it("the certificate of the page can scrape and nothing else", async () => {
      const files = ["ca.crt", "monitoring.crt", "monitoring.key"].map((name) => join(cluster?.dir ?? "", "pki", name));
      expect((await ask("https://127.0.0.1:6443/metrics", ...files)).status).toBe(200);
      expect((await ask("https://127.0.0.1:6443/api/v1/namespaces/default/secrets", ...files)).status).toBe(403);
      const [ca = ""] = files;
      expect((await ask("https://127.0.0.1:6443/metrics", ca)).status).toBe(403);
    });

    it("the proxy serves what the page says, and its mode and health", async () => {
      const { kubectl } = cluster as TestCluster;
      printed(await kubectl(["create", "deployment", "web", "--image=fairlead.dev/echo", "--port=8080"]));
      printed(await kubectl(["expose", "deployment", "web"]));
      printed(await kubectl(["rollout", "status", "deployment/web", "--timeout=60s"]));
      const text = await eventually("the change is in force and told", async () => {
        const found = await scrape("fairlead-proxy");
        return /^kubeproxy_network_programming_duration_seconds_count\{ip_family="IPv4"\} [1-9]/m.test(found)
          ? found
          : undefined;
      });
      compare(text, "Proxy");
      expect(text).toMatch(/^kubeproxy_sync_proxy_rules_duration_seconds_count\{ip_family="IPv4"\} [1-9]/m);
      const mode = user === "root" ? "nftables" : "userspace";
      expect(await ask("http://127.0.0.1:10249/proxyMode")).toEqual({ status: 200, body: mode });
      const { status, body } = await ask("http://127.0.0.1:10256/healthz");
      expect({ status, ...(JSON.parse(body) as object) }).toMatchObject({ status: 200, nodeEligible: true });
      expect((await ask("http://127.0.0.1:10256/livez")).status).toBe(200);
    });

    it("the kubelet serves what the page says of itself, its probes, its containers and their claims", async () => {
      const { kubectl } = cluster as TestCluster;
      const claim = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
      const probe = { httpGet: { port: 8080 }, periodSeconds: 1 };
      const spec = {
        containers: [
          {
            name: "c",
            image: "fairlead.dev/echo",
            readinessProbe: probe,
            livenessProbe: { ...probe, httpGet: { port: 1 }, failureThreshold: 1000 },
            resources: { limits: { cpu: "100m" } },
            volumeMounts: [{ name: "data", mountPath: "/fairlead-test" }],
          },
        ],
        volumes: [{ name: "data", persistentVolumeClaim: { claimName: "measured" } }],
      };
      const objects = [
        { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: { name: "measured" }, spec: claim },
        { apiVersion: "v1", kind: "Pod", metadata: { name: "measured" }, spec },
      ];
      const items = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
      printed(await kubectl(["apply", "-f", "-"], { input: items }));
      printed(await kubectl(["wait", "--for=condition=ready", "pod/measured", "--timeout=60s"]));
      const raw = async (path: string): Promise<string> =>
        printed(await kubectl(["get", "--raw", `/api/v1/nodes/node-1/proxy/metrics${path}`]));
      const text = await eventually("each probe has been asked", async () => {
        const all = (await Promise.all(["", "/cadvisor", "/probes"].map(raw))).join("");
        return /^prober_probe_total\{probe_type="Liveness",.*result="failed"/m.test(all) ? all : undefined;
      });
      compare(text, "Kubelet", /^(kubelet|prober|container|machine|cadvisor)_/);
      expect(text).toMatch(/^kubelet_running_pods [1-9]/m);
      expect(text).toMatch(/^kubelet_runtime_operations_total\{operation_type="start_container"\} [1-9]/m);
      const own = '{container="c",namespace="default",pod="measured"}';
      expect(seriesOf(text, `container_memory_working_set_bytes${own}`)).toHaveLength(1);
      expect(seriesOf(text, `container_cpu_usage_seconds_total${own}`)).toHaveLength(1);
      expect(text).toMatch(
        /^kubelet_volume_stats_capacity_bytes\{namespace="default",persistentvolumeclaim="measured"\} [1-9]/m,
      );
      const network = text.match(/^container_network_receive_bytes_total\{.*pod="measured".*\} [1-9]\d*$/gm) ?? [];
      expect(network.length > 0).toBe(user === "root");
      printed(await kubectl(["delete", "pod/measured", "pvc/measured", "--timeout=60s"]));
      expect(await raw("/cadvisor")).not.toContain('pod="measured"');
      expect(await raw("/probes")).not.toContain('pod="measured"');
    });
  });
});
