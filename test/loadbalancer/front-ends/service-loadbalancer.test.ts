import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { selfSigned } from "../../../src/dataplane/self-signed.ts";
import { resources } from "../../../src/kube/index.ts";
import { repository } from "../../support/lab.ts";
import { noVipLab, openVipLab, sleep, type VipLab } from "../../support/vip-lab.ts";

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

  test("one name in two namespaces: both are reached", async () => {
    await service("default/web", ["10.9.0.210"]);
    await answers(`http://${front}/web`, /^one /);
    await service("other/web", ["10.9.0.211"]);
    await answers(`http://${front}/other/web`, /^two /);
    await answers(`http://${front}/default/web`, /^one /);
    await answers(`http://${front}/web`, /^one /);
    expect(await curl(`http://${front}:1936/`)).toContain("http://*/other/web  other/web:80  roundrobin");
  });

  test("the last Service goes and takes its route along", async () => {
    for (const { metadata } of (await lab.client.list(resources.Service)).items)
      await lab.client.delete(resources.Service, { namespace: metadata.namespace ?? "", name: metadata.name });
    await answers(`http://${front}/web`, /404[\s\S]*nothing here/, "-i");
    for (const path of ["/nginxsvc", "/sticky", "/TEST/x"])
      expect(await curl(`http://${front}${path}`)).toBe("<p>nothing here</p>");
    let asked = "";
    for (let tries = 0; tries < 50 && !asked.startsWith("error"); tries++)
      asked = await lab.on("client", process.execPath, support("tcp-ask.mjs"), front, "3306");
    expect(asked).toMatch(/^error ECONNREFUSED/);
  });
});
