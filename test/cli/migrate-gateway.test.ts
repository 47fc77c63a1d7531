// What `fairlead migrate ingress-nginx --to gateway-api` writes is taken by an API server, and requests fare by it as by the Ingresses.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { selfSigned } from "../dataplane/certificates.ts";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab } from "../support/lab.ts";

const prefix = "nginx.ingress.kubernetes.io/";
const services = ["web", "api", "next"];

const backend = (name: string) => ({ service: { name, port: { number: 8080 } } });
const path = (value: string, name: string, pathType = "Prefix") => ({ path: value, pathType, backend: backend(name) });

function ingress(
  name: string,
  host: string,
  annotations: Readonly<Record<string, string>>,
  paths: readonly ReturnType<typeof path>[],
  tls?: string,
): object {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: {
      name,
      namespace: "shop",
      annotations: Object.fromEntries(Object.entries(annotations).map(([key, value]) => [prefix + key, value])),
    },
    spec: {
      ingressClassName: "nginx",
      ...(tls === undefined ? {} : { tls: [{ hosts: [host], secretName: tls }] }),
      rules: [{ host, http: { paths } }],
    },
  };
}

const ingresses = [
  ingress("web", "web.test", {}, [path("/", "web"), path("/api", "api"), path("/only", "next", "Exact")]),
  ingress("rewrite", "rewrite.test", { "rewrite-target": "/$2" }, [
    path("/v1(/|$)(.*)", "api", "ImplementationSpecific"),
  ]),
  ingress("moved", "moved.test", { "permanent-redirect": "https://new.test/there" }, [path("/", "web")]),
  ingress("secure", "secure.test", {}, [path("/", "web")], "pair"),
  ingress(
    "fields",
    "fields.test",
    { "configuration-snippet": 'more_set_headers "X-Own: 1";', "upstream-vhost": "inner.test" },
    [path("/", "web")],
  ),
  ingress("wild", "*.wild.test", { "from-to-www-redirect": "false" }, [path("/", "api")]),
];

const asked = [
  "http://web.test/",
  "http://web.test/api/x?y=z",
  "http://web.test/apis",
  "http://web.test/only",
  "http://web.test/only/not",
  "http://rewrite.test/v1/users?a=b",
  "http://rewrite.test/v1",
  "http://rewrite.test/v2",
  "http://moved.test/x",
  "http://secure.test/a?b=c",
  "https://secure.test/a?b=c",
  "http://fields.test/",
  "http://one.wild.test/",
  "http://nobody.test/",
];

/** Asks for each URL at an address, in the lab: status, where it leads, and which Service saw which path and host. */
const client = `
const { ip, ports, asked } = JSON.parse(process.argv[1]);
const modules = { "http:": require("http"), "https:": require("https") };
const ask = (text) => new Promise((resolve) => {
  const url = new URL(text);
  const options = { host: ip, port: ports[url.protocol], path: url.pathname + url.search, headers: { host: url.hostname },
    servername: url.hostname, rejectUnauthorized: false, agent: false };
  modules[url.protocol].get(options, (response) => {
    let body = "";
    response.on("data", (chunk) => (body += chunk));
    response.on("end", () => {
      // Only endpoints answer with JSON; redirects and refusals are of the data plane.
      const seen = /json/.test(response.headers["content-type"]) ? JSON.parse(body) : {};
      const pod = seen.pod && seen.pod.split("-")[0];
      resolve([text, response.statusCode, response.headers.location, response.headers["x-own"], pod, seen.path, seen.headers && seen.headers.host]);
    });
  }).on("error", (error) => resolve([text, error.code]));
});
(async () => { const all = []; for (const each of asked) all.push(await ask(each)); console.log(JSON.stringify(all)); })();
`;

describe.skipIf(noKernel)(`objects of migrate${noKernel ? ` (skipped: ${noKernel})` : ""}`, () => {
  let lab: Lab | undefined;
  let cluster: TestCluster | undefined;
  afterEach(async () => {
    await tearDown(lab, cluster);
    lab = cluster = undefined;
  });

  test("they are valid, and requests fare as by the Ingresses", { timeout: 120_000 }, async () => {
    const at = (lab = await openLab("root"));
    const up = (cluster = await upCluster(at));
    const { kubeconfig } = up;
    const kubectl: TestCluster["kubectl"] = (...words) => up.kubectl(...words);
    const fairlead: TestCluster["fairlead"] = (...words) => up.fairlead(...words);
    const apply = async (name: string, text: string): Promise<void> => {
      const file = join(at.dir, name);
      await writeFile(file, text);
      printed(await kubectl(["apply", "-f", file]));
    };
    const list = (items: readonly object[]): string => JSON.stringify({ apiVersion: "v1", kind: "List", items });
    const pair = selfSigned(["secure.test"]);
    const data = Object.fromEntries(
      Object.entries(pair).map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
    );
    await apply(
      "objects.json",
      list([
        { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } },
        {
          apiVersion: "networking.k8s.io/v1",
          kind: "IngressClass",
          metadata: { name: "nginx" },
          spec: { controller: "fairlead.dev/ingress-nginx" },
        },
        {
          apiVersion: "v1",
          kind: "Secret",
          type: "kubernetes.io/tls",
          metadata: { name: "pair", namespace: "shop" },
          data,
        },
        ...services.flatMap(workload),
        ...ingresses,
      ]),
    );
    for (const name of services)
      printed(await kubectl(["rollout", "status", `deployment/${name}`, "-n", "shop", "--timeout=60s"]));
    interface Reached {
      readonly ip: string;
      readonly ports: Readonly<Record<string, number>>;
    }
    const fares = async ({ ip, ports }: Reached): Promise<unknown[]> =>
      JSON.parse(
        printed(await at.run(process.execPath, ["-e", client, JSON.stringify({ ip, ports, asked })])),
      ) as unknown[];
    const byIngress = await eventually("the Ingresses have an address", async () => {
      const { status } = JSON.parse(
        printed(await kubectl(["get", "ingress", "secure", "-n", "shop", "-o", "json"])),
      ) as {
        status: { loadBalancer?: { ingress?: { ip: string; ports?: { port: number }[] }[] } };
      };
      const [entry] = status.loadBalancer?.ingress ?? [];
      if (!entry) return undefined;
      const [http = 80, https = 443] = (entry.ports ?? []).map(({ port }) => port);
      return { ip: entry.ip, ports: { "http:": http, "https:": https } };
    });
    const before = await eventually("every Ingress is served", async () => {
      const all = (await fares(byIngress)) as [string, number][];
      return all.every(([url, status]) => status < 400 || /nobody|v2/.test(url)) ? all : undefined;
    });

    const made = await fairlead([
      "migrate",
      "ingress-nginx",
      "--kubeconfig",
      kubeconfig,
      "--to",
      "gateway-api",
      "--gateway",
      "shop/edge",
    ]);
    expect(made.stderr).toContain("0 routes are left out");
    printed(await kubectl(["delete", "ingress", "--all", "-n", "shop"]));
    await apply("gateway.yaml", made.stdout);
    const byGateway = await eventually("the Gateway has an address", async () => {
      const { status } = JSON.parse(printed(await kubectl(["get", "gateway", "edge", "-n", "shop", "-o", "json"]))) as {
        status?: { addresses?: { value: string }[] };
      };
      const [address] = status?.addresses ?? [];
      return address && { ip: address.value, ports: { "http:": 80, "https:": 443 } };
    });
    await eventually("the Gateway serves as the Ingresses did", async () => {
      expect(await fares(byGateway)).toEqual(before);
      return true;
    });
  });
});

function workload(name: string): object[] {
  const labels = { app: name };
  const container = { name: "echo", image: "fairlead.dev/echo", ports: [{ containerPort: 8080 }] };
  return [
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name, namespace: "shop" },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [container] } },
      },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name, namespace: "shop" },
      spec: { selector: labels, ports: [{ port: 8080 }] },
    },
  ];
}
