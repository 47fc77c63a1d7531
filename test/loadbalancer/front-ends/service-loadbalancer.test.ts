import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { selfSigned } from "../../../src/dataplane/self-signed.ts";
import { resources } from "../../../src/kube/index.ts";
import { repository } from "../../support/lab.ts";
import { noVipLab, openVipLab, sleep, type VipLab } from "../../support/vip-lab.ts";

/** As one would write it for service-loadbalancer: HTTP by path and host on 8090, TCP 10000 above its port. */
const haproxyTemplate = `defaults
  timeout connect 5s
  timeout client 50s
  timeout server 50s
{{- range $i, $svc := .services.tcp }}
listen {{ $svc.Name }}
  bind :1{{ $svc.FrontendPort }}
  mode tcp
  {{- range $j, $ep := $svc.Ep }}
  server {{ $j }} {{ $ep }}
  {{- end }}
{{- end }}
frontend http
  bind :8090
  mode http
  {{- range $i, $svc := .services.http }}
  acl path_{{ $svc.Name }} path_beg /{{ $svc.Name }}
  {{- if $svc.Host }}
  acl host_{{ $svc.Name }} hdr(host) {{ $svc.Host }}
  use_backend {{ $svc.Name }} if path_{{ $svc.Name }} host_{{ $svc.Name }}
  {{- else }}
  use_backend {{ $svc.Name }} if path_{{ $svc.Name }}
  {{- end }}
  {{- end }}
{{- range $i, $svc := .services.http }}
backend {{ $svc.Name }}
  balance {{ or $svc.Algorithm $.defLbAlgorithm }}
  mode http
  http-request replace-path /{{ $svc.Name }}/?(.*) /\\1
  {{- if $svc.SessionAffinity }}
  stick-table type ip size 100k expire 30m
  stick on src
  {{- end }}
  {{- range $j, $ep := $svc.Ep }}
  server {{ $j }} {{ $ep }}
  {{- end }}
{{- end }}
`;

describe.skipIf(noVipLab)(`fairlead service-loadbalancer${noVipLab ? ` (${noVipLab})` : ""}`, () => {
  let lab: VipLab;
  let logs = "";
  const front = "10.9.0.1";

  beforeAll(async () => {
    lab = await openVipLab({ nodes: 1, addresses: ["10.9.0.190"] });
    await lab.client.create(resources.Namespace, { metadata: { name: "other" }, spec: {} });
    for (const [name, address] of [
      ["one", "10.9.0.210"],
      ["two", "10.9.0.211"],
    ] as const) {
      await lab.join(name, [address]);
      const http = lab.startOn(name, process.execPath, support("http-tell.mjs"), name, "0.0.0.0", "8080");
      await once(http.stdout ?? http, "data");
      const tcp = lab.startOn(name, process.execPath, support("tcp-tell.mjs"), name, "0.0.0.0", "3306");
      await once(tcp.stdout ?? tcp, "data");
    }
    const pem = join(lab.dir, "cert.pem");
    const { certificate, key } = selfSigned(Date.now(), ["www.example.com"]);
    await writeFile(pem, `${certificate}\n${key}`);
    const page = join(lab.dir, "page.html");
    await writeFile(page, "<p>nothing here</p>");
    const flags = ["--tcp-services=mysql:3306", "--http-port=80", `--ssl-cert=${pem}`, `--error-page=${page}`];
    const program = [join(repository, "fairlead"), "service-loadbalancer", "--kubeconfig", join(lab.dir, "kubeconfig")];
    const child = lab.startOn("node-1", process.execPath, ...program, ...flags);
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => (logs = `${logs}${String(chunk)}`.slice(-4000)));
  });
  afterAll(async () => {
    // The reload command has left it on its own.
    const balancer = Number(await readFile(join(lab?.dir ?? "", "haproxy.pid"), "utf8").catch(() => ""));
    if (balancer > 1) process.kill(balancer, "SIGKILL");
    await lab?.close();
  });

  const support = (file: string): string => join(repository, "test/support", file);

  async function service(
    key: string,
    pods: readonly string[],
    more: { port?: number; targetPort?: number; annotations?: Record<string, string>; spec?: object } = {},
  ): Promise<void> {
    const [namespace = "", name = ""] = key.split("/");
    const { port = 80, targetPort = 8080, annotations = {}, spec = {} } = more;
    const metadata = { namespace, name };
    await lab.client.create(resources.Service, {
      metadata: { ...metadata, annotations },
      spec: { ports: [{ port, targetPort }], ...spec },
    });
    await lab.client.create(resources.EndpointSlice, {
      metadata: { ...metadata, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "", port: targetPort, protocol: "TCP" }],
      endpoints: pods.map((address) => ({ addresses: [address] })),
    });
  }

  const curl = (url: string, ...flags: string[]): Promise<string> =>
    lab.on("client", "curl", "-sk", "-m", "10", ...flags, url).catch((error: unknown) => String(error));

  async function answers(url: string, wanted: RegExp, ...flags: string[]): Promise<string> {
    let last = "";
    for (let tries = 0; tries < 100; tries++) {
      last = await curl(url, ...flags);
      if (wanted.test(last)) return last;
      await sleep(150);
    }
    throw new Error(`${url} answers ${last}, not ${String(wanted)}\n${logs}`);
  }

  const both = ["10.9.0.210", "10.9.0.211"];

  test("the documented examples: by path, by port, by host, by HTTPS, by an expression", async () => {
    await service("default/nginxsvc", both);
    await service("default/mysql", ["10.9.0.210"], { port: 3306, targetPort: 3306 });
    await service("default/admin", ["10.9.0.211"], { port: 8081 });
    const annotated = (name: string, value: string) => ({ annotations: { [`serviceloadbalancer/lb.${name}`]: value } });
    await service("default/hosted", ["10.9.0.210"], annotated("host", "www.example.com"));
    await service("default/secured", ["10.9.0.210"], annotated("sslTerm", "true"));
    await service("default/matched", ["10.9.0.210"], annotated("aclMatch", "-i /test"));

    // The Service sees the rest of the path.
    await answers(`http://${front}/nginxsvc/a?b=c`, /^(?:one|two) 10\.9\.0\.1 \/a\?b=c$/m);
    await answers(`http://${front}/admin:8081`, /^two \S+ \/$/m);
    const asked = await lab.on("client", process.execPath, support("tcp-ask.mjs"), front, "3306");
    expect(asked).toBe('one ""\n');
    await answers(`http://${front}/hosted/x`, /^one www\.example\.com \/x$/m, "-H", "host: www.example.com");
    await answers(`https://${front}/secured/x`, /strict-transport-security: max-age=15768000[\s\S]*one \S+ \/x/i, "-i");
    await answers(`http://${front}/TEST/x`, /^one \S+ \/TEST\/x$/m);
    // Host and path, not host or path; HTTPS, and not in clear.
    expect(await curl(`http://${front}/hosted/x`)).toBe("<p>nothing here</p>");
    expect(await curl(`http://${front}/secured/x`)).toBe("<p>nothing here</p>");
  });

  test("clients stay with a pod only where the Service says so: by address, or by the cookie", async () => {
    const whoAnswers = async (path: string, ...flags: string[]): Promise<Set<string>> => {
      const found = new Set<string>();
      for (let i = 0; i < 6; i++) found.add((await curl(`http://${front}${path}`, ...flags)).split(" ")[0] ?? "");
      return found;
    };
    expect(await whoAnswers("/nginxsvc")).toEqual(new Set(["one", "two"]));
    await service("default/sticky", both, { spec: { sessionAffinity: "ClientIP" } });
    await service("default/cookied", both, { annotations: { "serviceloadbalancer/lb.cookie-sticky-session": "true" } });
    await answers(`http://${front}/sticky`, /^(?:one|two) /);
    expect(await whoAnswers("/sticky")).toHaveLength(1);
    const jar = join(lab.dir, "jar");
    await answers(`http://${front}/cookied`, /^(?:one|two) /, "-c", jar);
    expect(await whoAnswers("/cookied", "-b", jar)).toHaveLength(1);
  });

  test("nobody connects to a pod but clients: none is probed, and who is not ready is asked nothing", async () => {
    const counting = `let n = 0;
      const server = require("node:http").createServer((q, a) => a.end("connections " + n));
      server.on("connection", () => n++).listen(8070, "0.0.0.0", () => console.log("ready"));`;
    const child = lab.startOn("one", process.execPath, "-e", counting);
    await once(child.stdout ?? child, "data");
    await service("default/counted", ["10.9.0.210"], { port: 80, targetPort: 8070, spec: { ports: named("web") } });
    await answers(`http://${front}/counted`, /^connections \d+$/m);
    const before = Number((await curl(`http://${front}/counted`)).split(" ")[1]);
    await sleep(2_000);
    expect(Number((await curl(`http://${front}/counted`)).split(" ")[1])).toBeLessThanOrEqual(before + 1);

    await service("default/halfready", both);
    await answers(`http://${front}/halfready`, /^one /m);
    const where = { namespace: "default", name: "halfready" };
    const endpoints = [
      { addresses: ["10.9.0.210"], conditions: { ready: false } },
      { addresses: ["10.9.0.211"], conditions: { ready: true } },
    ];
    await lab.client.patch(resources.EndpointSlice, where, { type: "merge", body: { endpoints } });
    let run = 0;
    for (let tries = 0; tries < 200 && run < 8; tries++)
      run = (await curl(`http://${front}/halfready`)).startsWith("two ") ? run + 1 : 0;
    expect(run).toBe(8);
  });

  const named = (targetPort: string) => [{ port: 80, targetPort }];

  test("one name in two namespaces: both are reached", async () => {
    await service("default/web", ["10.9.0.210"]);
    await answers(`http://${front}/web`, /^one /);
    await service("other/web", ["10.9.0.211"]);
    await answers(`http://${front}/other/web`, /^two /);
    await answers(`http://${front}/default/web`, /^one /);
    await answers(`http://${front}/web`, /^one /);
    expect(await curl(`http://${front}:1936/`)).toContain("http://*/other/web  other/web:80  roundrobin");
  });

  test("another balancer, by a manifest with a template and a reload command", async () => {
    const file = (name: string): string => join(lab.dir, name);
    const manifest = {
      name: "haproxy",
      template: file("template.cfg"),
      config: file("haproxy.cfg"),
      reloadCmd: `haproxy -f ${file("haproxy.cfg")} -D -p ${file("haproxy.pid")} -sf $(cat ${file("haproxy.pid")} 2>/dev/null)`,
      algorithm: "leastconn",
    };
    await writeFile(file("loadbalancer.json"), JSON.stringify(manifest));
    await writeFile(file("template.cfg"), haproxyTemplate);
    const program = [join(repository, "fairlead"), "service-loadbalancer", "--kubeconfig", file("kubeconfig")];
    const flags = [`--cfg=${file("loadbalancer.json")}`, "--tcp-services=mysql:3306"];
    const dry = await lab.on("node-1", process.execPath, ...program, ...flags, "--dry");
    expect(dry).toMatch(/backend nginxsvc\n {2}balance leastconn/);
    const child = lab.startOn("node-1", process.execPath, ...program, ...flags, "--own-port=8091");
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => (logs = `${logs}${String(chunk)}`.slice(-4000)));
    await answers(`http://${front}:8090/nginxsvc/a?b=c`, /^(?:one|two) \S+ \/a\?b=c$/m);
    await answers(`http://${front}:8090/hosted/x`, /^one www\.example\.com \/x$/m, "-H", "host: www.example.com");
    await answers(`http://${front}:8091/readyz`, /^ok$/m);
    expect(await lab.on("client", process.execPath, support("tcp-ask.mjs"), front, "13306")).toBe('one ""\n');
    // A change is told to the running balancer.
    await service("default/later", ["10.9.0.211"]);
    await answers(`http://${front}:8090/later`, /^two /);
  });

  test("the last Service goes and takes its route along", async () => {
    for (const { metadata } of (await lab.client.list(resources.Service)).items)
      await lab.client.delete(resources.Service, { namespace: metadata.namespace ?? "", name: metadata.name });
    await answers(`http://${front}/web`, /404[\s\S]*nothing here/, "-i");
    for (const path of ["/nginxsvc", "/sticky", "/TEST/x"])
      expect(await curl(`http://${front}${path}`)).toBe("<p>nothing here</p>");
    // The other balancer's, too: a file without any Service is written as well.
    await answers(`http://${front}:8090/later`, /503/, "-o", "/dev/null", "-w", "%{http_code}");
    let asked = "";
    for (let tries = 0; tries < 50 && !asked.startsWith("error"); tries++)
      asked = await lab.on("client", process.execPath, support("tcp-ask.mjs"), front, "3306");
    expect(asked).toMatch(/^error ECONNREFUSED/);
  });
});
