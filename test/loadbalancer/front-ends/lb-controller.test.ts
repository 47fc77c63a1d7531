import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { selfSigned } from "../../../src/dataplane/self-signed.ts";
import { type Ingress, resources } from "../../../src/kube/index.ts";
import { repository } from "../../support/lab.ts";
import { noVipLab, openVipLab, sleep, type VipLab } from "../../support/vip-lab.ts";

// Provider haproxy, the documented examples of lb-controller with live traffic. Provider rancher: test/loadbalancer/rancher.
describe.skipIf(noVipLab)(`fairlead lb-controller${noVipLab ? ` (${noVipLab})` : ""}`, () => {
  let lab: VipLab;
  let logs = "";
  let child: ChildProcess;
  const front = "10.9.0.1";
  const support = (file: string): string => join(repository, "test/support", file);

  function start(): void {
    const program = [join(repository, "fairlead"), "lb-controller", "--kubeconfig", join(lab.dir, "kubeconfig")];
    child = lab.startOn("node-1", process.execPath, ...program, "--provider=haproxy", `--publish-address=${front}`);
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => (logs = `${logs}${String(chunk)}`.slice(-4000)));
  }

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
    }
    await service("default/nginx-service", ["10.9.0.210", "10.9.0.211"]);
    await service("default/nginx-service1", ["10.9.0.210"]);
    await service("other/nginx-service", ["10.9.0.211"]);
    start();
  });
  afterAll(async () => {
    await lab?.close();
  });

  async function service(key: string, pods: readonly string[]): Promise<void> {
    const [namespace = "", name = ""] = key.split("/");
    await lab.client.create(resources.Service, {
      metadata: { namespace, name },
      spec: { ports: [{ port: 80, targetPort: 8080 }] },
    });
    await lab.client.create(resources.EndpointSlice, {
      metadata: { namespace, name, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "", port: 8080, protocol: "TCP" }],
      endpoints: pods.map((address) => ({ addresses: [address] })),
    });
  }

  const backend = (name: string) => ({ service: { name, port: { number: 80 } } });
  const rule = (host: string, path: string | undefined, name: string) => {
    const one = { ...(path === undefined ? {} : { path }), pathType: "ImplementationSpecific", backend: backend(name) };
    return { host, http: { paths: [one] } };
  };
  async function ingress(key: string, annotations: Record<string, string>, spec: Ingress["spec"]): Promise<void> {
    const [namespace = "", name = ""] = key.split("/");
    await lab.client.create(resources.Ingress, { metadata: { namespace, name, annotations }, spec });
  }
  const secret = (name: string, host: string) => {
    const { certificate, key } = selfSigned(Date.now(), [host]);
    const base64 = (text: string) => Buffer.from(text).toString("base64");
    return {
      metadata: { namespace: "default", name },
      type: "kubernetes.io/tls",
      data: { "tls.crt": base64(certificate), "tls.key": base64(key) },
    };
  };

  const curl = (url: string, ...flags: string[]): Promise<string> =>
    lab.on("client", "curl", "-sk", "-m", "10", ...flags, url).catch((error: unknown) => String(error));
  const as = (host: string): string[] => ["-H", `host: ${host}`];

  async function answers(url: string, wanted: RegExp, ...flags: string[]): Promise<string> {
    let last = "";
    for (let tries = 0; tries < 100; tries++) {
      last = await curl(url, ...flags);
      if (wanted.test(last)) return last;
      await sleep(150);
    }
    throw new Error(`${url} answers ${last}, not ${String(wanted)}\n${logs}`);
  }
  async function statusOf(key: string, wanted: unknown): Promise<void> {
    const [namespace = "", name = ""] = key.split("/");
    let found: unknown;
    for (let tries = 0; tries < 100; tries++) {
      found = (await lab.client.get(resources.Ingress, { namespace, name })).status?.loadBalancer?.ingress ?? [];
      if (JSON.stringify(found) === JSON.stringify(wanted)) return;
      await sleep(150);
    }
    expect(found).toEqual(wanted);
  }
  async function told(name: string, wanted: RegExp): Promise<void> {
    let last: string[] = [];
    for (let tries = 0; tries < 100; tries++) {
      const { items } = await lab.client.list(resources.Event, { namespace: "default" });
      const found = items as unknown as {
        involvedObject?: { name?: string };
        regarding?: { name?: string };
        message?: string;
        note?: string;
      }[];
      last = found
        .filter(({ involvedObject, regarding }) => (involvedObject ?? regarding)?.name === name)
        .map(({ message, note }) => message ?? note ?? "");
      if (last.some((one) => wanted.test(one))) return;
      await sleep(150);
    }
    throw new Error(`events of ${name}: ${last.join(" | ")}\n${logs}`);
  }

  test("the documented examples: a port of its own, hosts, paths, several Services, a default Service", async () => {
    await ingress(
      "default/custom-port",
      { "http.port": "99" },
      { rules: [rule("foo.bar.com", "/foo", "nginx-service1")] },
    );
    await ingress("default/host-only", {}, { rules: [rule("only.bar.com", undefined, "nginx-service1")] });
    await ingress(
      "default/multiple",
      {},
      { rules: [rule("foo.bar.com", "/foo", "nginx-service"), rule("bar.foo.com", "/bar", "nginx-service1")] },
    );
    await ingress("default/default-service", { "http.port": "90" }, { defaultBackend: backend("nginx-service1") });
    await answers(`http://${front}:99/foo/x`, /^one foo\.bar\.com \/foo\/x$/m, ...as("foo.bar.com"));
    await answers(`http://${front}/any`, /^one only\.bar\.com \/any$/m, ...as("only.bar.com"));
    await answers(`http://${front}/foo`, /^(?:one|two) /, ...as("foo.bar.com"));
    await answers(`http://${front}/bar`, /^one /, ...as("bar.foo.com"));
    await answers(`http://${front}:90/whatever`, /^one \S+ \/whatever$/m);
    // Host and path, and the beginning of a path whatever its case, as HAProxy compared it there.
    expect(await curl(`http://${front}/FOOD`, ...as("foo.bar.com"))).toMatch(/^(?:one|two) /);
    expect(await curl(`http://${front}/bar`, "-o", "/dev/null", "-w", "%{http_code}", ...as("foo.bar.com"))).toBe(
      "404",
    );
    await statusOf("default/custom-port", [{ ip: front, ports: [{ port: 99, protocol: "TCP" }] }]);
    await statusOf("default/multiple", [{ ip: front, ports: [{ port: 80, protocol: "TCP" }] }]);
  });

  test("of another class it is not touched, and one that is wrong harms only itself", async () => {
    await ingress(
      "default/foreign",
      { "kubernetes.io/ingress.class": "nginx" },
      { rules: [rule("no.bar.com", "/", "nginx-service")] },
    );
    await ingress(
      "default/wrong",
      { "io.rancher.stickiness.policy": "colour: blue", config: "global\n maxconnrate 60", "http.port": "x" },
      { rules: [rule("wrong.bar.com", "/", "nginx-service")] },
    );
    await told("wrong", /http\.port.*whole number from 1 to 65535/);
    await told("wrong", /"colour" is unknown/);
    await told("wrong", /"global: maxconnrate 60": not taken over/);
    for (const host of ["no.bar.com", "wrong.bar.com"])
      expect(await curl(`http://${front}/`, "-o", "/dev/null", "-w", "%{http_code}", ...as(host))).toBe("404");
    expect(await curl(`http://${front}/any`, ...as("only.bar.com"))).toMatch(/^one /);
    await statusOf("default/foreign", []);
  });

  test("clients stay with a pod by the cookie of the policy, and by their address with `balance source`", async () => {
    const policy = "name: policy\ncookie: JSESSIONID\nmode: insert\nindirect: true\nnocache: true";
    await ingress(
      "default/sticky",
      { "io.rancher.stickiness.policy": policy },
      { rules: [rule("sticky.bar.com", "/", "nginx-service")] },
    );
    await ingress(
      "default/source",
      { config: "defaults\n balance source" },
      { rules: [rule("source.bar.com", "/", "nginx-service")] },
    );
    const whoAnswers = async (host: string, ...flags: string[]): Promise<Set<string>> => {
      const found = new Set<string>();
      for (let i = 0; i < 6; i++)
        found.add((await curl(`http://${front}/`, ...as(host), ...flags)).split(" ")[0] ?? "");
      return found;
    };
    const jar = join(lab.dir, "jar");
    await answers(`http://${front}/`, /^(?:one|two) /, ...as("sticky.bar.com"), "-c", jar);
    await answers(`http://${front}/`, /^(?:one|two) /, ...as("source.bar.com"));
    expect(await curl(`http://${front}/`, ...as("sticky.bar.com"), "-i")).toMatch(/set-cookie: JSESSIONID=/i);
    expect(await whoAnswers("sticky.bar.com", "-b", jar)).toHaveLength(1);
    expect(await whoAnswers("source.bar.com")).toHaveLength(1);
  });

  test("TLS: each name its certificate, the first for others, and a Secret that changes is served", async () => {
    await lab.client.create(resources.Secret, secret("a", "a.bar.com"));
    await lab.client.create(resources.Secret, secret("b", "b.bar.com"));
    await ingress(
      "default/tls",
      { "allow.http": "false", "https.port": "8443" },
      {
        rules: [rule("a.bar.com", "/", "nginx-service1"), rule("b.bar.com", "/", "nginx-service1")],
        tls: [
          { hosts: ["a.bar.com"], secretName: "a" },
          { hosts: ["b.bar.com"], secretName: "b" },
        ],
      },
    );
    const subject = (host: string) =>
      [`https://${host}:8443/`, "--resolve", `${host}:8443:${front}`, "-v", "--stderr", "-"] as const;
    const names = async (host: string, wanted: RegExp) => {
      const [url, ...flags] = subject(host);
      return answers(url, wanted, ...flags);
    };
    const shown = async (host: string): Promise<string> =>
      lab.on(
        "client",
        "sh",
        "-c",
        `echo | openssl s_client -connect ${front}:8443 -servername ${host} 2>/dev/null | openssl x509 -noout -ext subjectAltName -fingerprint`,
      );
    await names("a.bar.com", /one a\.bar\.com/);
    await names("b.bar.com", /one b\.bar\.com/);
    expect(await shown("a.bar.com")).toContain("DNS:a.bar.com");
    expect(await shown("b.bar.com")).toContain("DNS:b.bar.com");
    const before = await shown("elsewhere.test");
    expect(before).toContain("DNS:a.bar.com");
    // Not in clear: allow.http is false.
    expect(await curl(`http://${front}/`, "-o", "/dev/null", "-w", "%{http_code}", ...as("a.bar.com"))).toBe("404");
    const { data } = secret("a", "a.bar.com");
    await lab.client.patch(resources.Secret, { namespace: "default", name: "a" }, { type: "merge", body: { data } });
    let now = before;
    for (let tries = 0; tries < 100 && now === before; tries++) {
      await sleep(100);
      now = await shown("a.bar.com");
    }
    expect(now).not.toBe(before);
    expect(logs).not.toContain("PRIVATE KEY");
  });

  test("one name in two namespaces; pods that move are followed", async () => {
    await ingress("other/host-only", {}, { rules: [rule("other.bar.com", "/", "nginx-service")] });
    await answers(`http://${front}/`, /^two /, ...as("other.bar.com"));
    const endpoints = [{ addresses: ["10.9.0.210"] }];
    await lab.client.patch(
      resources.EndpointSlice,
      { namespace: "other", name: "nginx-service" },
      { type: "merge", body: { endpoints } },
    );
    await answers(`http://${front}/`, /^one /, ...as("other.bar.com"));
    expect(await curl(`http://${front}/any`, ...as("only.bar.com"))).toMatch(/^one /);
  });

  test("a stop wipes no status; the last Ingress takes its port along", async () => {
    child.kill("SIGTERM");
    await once(child, "exit");
    await statusOf("default/custom-port", [{ ip: front, ports: [{ port: 99, protocol: "TCP" }] }]);
    start();
    await answers(`http://${front}:99/foo/x`, /^one /, ...as("foo.bar.com"));
    for (const { metadata } of (await lab.client.list(resources.Ingress)).items)
      await lab.client.delete(resources.Ingress, { namespace: metadata.namespace ?? "", name: metadata.name });
    for (const port of [80, 99, 90])
      await answers(`http://${front}:${port}/`, /Failed to connect|Couldn't connect|Connection refused/i, "-S");
    await answers(`http://${front}:10241/healthz`, /^ok$/m);
  });
});
