import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { converge, remove, runContract, withRenewal, type Exposure } from "../../../src/loadbalancer/provider/index.ts";
import { createProvider as createClassic } from "../../../src/loadbalancer/aws/classic.ts";
import { createProvider } from "../../../src/loadbalancer/aws/index.ts";
import { freePort, runOrThrow, silentLogger, systemClock, systemCommands } from "../../../src/system/index.ts";
import { eventually } from "../../support/cluster.ts";
import { exposure as service, settle as settleThrough } from "../../support/exposures.ts";
import { venvOf } from "../../support/venv.ts";

// moto's server has AWS's API, and boto3, AWS's own client, reads back what was made. No packets are sent: moto has no data path.
const { python, install } = venvOf("aws", ["moto[ec2,elb,elbv2,sts,server]==5.2.5", "boto3==1.44.5"]);
const why = await install();
const secretAccessKey = "aws-correct-horse-battery";
const signal = new AbortController().signal;

const backend = (name: string, nodePort: number) => ({
  namespace: "ns",
  service: name,
  uid: `uid-${name}`,
  port: 80,
  targetPort: 8080,
  nodePort,
  endpoints: [],
});
describe.skipIf(why)(`AWS's API in moto's server${why ? ` (skipped: ${why})` : ""}`, { timeout: 300_000 }, () => {
  let moto: ChildProcess;
  let folder = "";
  let endpoint = "";
  let network: { vpc: string; subnets: string[] };

  /** What AWS's own client sees. */
  const boto = async (program: string) => {
    const text = [
      "import json, boto3",
      `new = lambda name: boto3.client(name, region_name="us-east-1", endpoint_url=${JSON.stringify(endpoint)}, aws_access_key_id="x", aws_secret_access_key="y")`,
      'elb, classic, ec2, iam = new("elbv2"), new("elb"), new("ec2"), new("iam")',
      program,
    ].join("\n");
    return JSON.parse(await runOrThrow(systemCommands, python, ["-c", text], { timeout: 120_000 })) as unknown;
  };
  const configOf = (more: object = {}) => {
    const keys = { accessKeyId: "AKIDEXAMPLE", secretAccessKey };
    return { region: "us-east-1", endpoint, ...network, pollMs: 20, timeoutMs: 60_000, ...keys, ...more };
  };
  const provider = (more: object = {}) => createProvider(configOf(more));
  const settle = async (work: () => ReturnType<typeof converge>) => {
    for (let tries = 0; tries < 50; tries++) {
      const result = await work();
      if (result.state === "done") return result;
      if (result.state === "failed") throw new Error(`${result.reason}: ${result.message}`);
      await sleep(result.again);
    }
    throw new Error("it does not come to rest");
  };
  const counts = () =>
    boto(
      'print(json.dumps([len(elb.describe_load_balancers()["LoadBalancers"]), len(elb.describe_target_groups()["TargetGroups"])]))',
    );

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fairlead-aws-"));
    const port = await freePort();
    endpoint = `http://127.0.0.1:${port}`;
    moto = spawn(python, ["-m", "moto.server", "-H", "127.0.0.1", "-p", String(port)], { stdio: "ignore" });
    await eventually("moto answers", async () => (await fetch(`${endpoint}/moto-api/data.json`)).ok || undefined, 120);
    network = (await boto(`
vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{i}.0/24", AvailabilityZone=f"us-east-1{'ab'[i]}")["Subnet"]["SubnetId"] for i in range(2)]
print(json.dumps({"vpc": vpc, "subnets": subnets}))`)) as typeof network;
  });
  afterAll(async () => {
    const ended = once(moto, "exit");
    moto.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true, force: true });
  });

  test.each(["Services", "Ingresses"] as const)("the contract is kept, cut off after every step: %s", async (of) => {
    const create = () => Promise.resolve(provider());
    const results = await runContract({ create, of, sleep: (ms) => sleep(ms), signal });
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    expect(await counts()).toEqual([0, 0]);
  });

  test("a Service is a Network Load Balancer, as AWS's own client reads it", async () => {
    const web = service({ sessionAffinity: "ClientIP", healthCheckNodePort: 32_000 });
    const { addresses } = await settle(() => converge(provider(), web, signal));
    expect(addresses).toEqual([{ hostname: expect.stringContaining("amazonaws.com") as string }]);
    const read = `
lb = elb.describe_load_balancers()["LoadBalancers"][0]
arn = lb["LoadBalancerArn"]
groups = {g["TargetGroupArn"]: g for g in elb.describe_target_groups(LoadBalancerArn=arn)["TargetGroups"]}
def group(l):
    g = groups[l["DefaultActions"][0]["TargetGroupArn"]]
    targets = sorted([t["Target"]["Id"], t["Target"]["Port"]] for t in elb.describe_target_health(TargetGroupArn=g["TargetGroupArn"])["TargetHealthDescriptions"])
    sticky = [a["Value"] for a in elb.describe_target_group_attributes(TargetGroupArn=g["TargetGroupArn"])["Attributes"] if a["Key"] == "stickiness.enabled"]
    return [g["Protocol"], g["TargetType"], g["HealthCheckProtocol"], g["HealthCheckPort"], g.get("HealthCheckPath"), sticky, targets]
print(json.dumps([lb["Type"], lb["Scheme"], sorted([[l["Port"], l["Protocol"], group(l)] for l in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]])]))`;
    const rest = (nodePort: number) => [
      "HTTP",
      "32000",
      "/healthz",
      ["true"],
      [
        ["10.0.0.1", nodePort],
        ["10.0.0.2", nodePort],
      ],
    ];
    expect(await boto(read)).toEqual([
      "network",
      "internal",
      [
        [53, "UDP", ["UDP", "ip", ...rest(30_053)]],
        [80, "TCP", ["TCP", "ip", ...rest(30_080)]],
      ],
    ]);
    expect(await converge(provider(), web, signal)).toMatchObject({ state: "done", steps: 0 });
    await settle(() => remove(provider(), web.key, signal));
    expect(await counts()).toEqual([0, 0]);
  });

  test("an Ingress is an Application Load Balancer; what someone has changed is put right", async () => {
    const [shop, blog] = [backend("shop", 30_001), backend("blog", 30_002)];
    const http = {
      rules: [
        { host: "a.example", path: "/exact", match: "Exact" as const, backend: blog },
        { host: "a.example", path: "/shop/", match: "Prefix" as const, backend: shop },
        { host: "", path: "/", match: "Prefix" as const, backend: blog },
      ],
      certificates: [],
    };
    const uploaded = `
made = iam.upload_server_certificate(ServerCertificateName="web", CertificateBody="x", PrivateKey="y")
print(json.dumps(made["ServerCertificateMetadata"]["Arn"]))`;
    const certificate = await boto(uploaded);
    const annotations = { "alb.ingress.kubernetes.io/certificate-arn": String(certificate) };
    const web = service({
      key: { ...service().key, uid: "u-2" },
      ports: [{ name: "http", protocol: "TCP", port: 80 }],
      http,
      annotations,
    });
    await settle(() => converge(provider(), web, signal));
    const read = `
arn = elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
ports = {g["TargetGroupArn"]: g["Port"] for g in elb.describe_target_groups()["TargetGroups"]}
def values(r):
    return [[c["Field"], c.get("Values") or (c.get("HostHeaderConfig") or c.get("PathPatternConfig"))["Values"]] for c in r["Conditions"]]
out = []
for l in sorted(elb.describe_listeners(LoadBalancerArn=arn)["Listeners"], key=lambda l: l["Port"]):
    rules = sorted(elb.describe_rules(ListenerArn=l["ListenerArn"])["Rules"], key=lambda r: (r["IsDefault"], r["Priority"]))
    out.append([l["Port"], l["Protocol"], [c["CertificateArn"] for c in l.get("Certificates", [])], [[r["Priority"], values(r), ports.get(r["Actions"][0].get("TargetGroupArn"), r["Actions"][0]["Type"])] for r in rules]])
print(json.dumps(out))`;
    const rules = [
      [
        "1",
        [
          ["host-header", ["a.example"]],
          ["path-pattern", ["/exact"]],
        ],
        30_002,
      ],
      [
        "2",
        [
          ["host-header", ["a.example"]],
          ["path-pattern", ["/shop", "/shop/*"]],
        ],
        30_001,
      ],
      ["3", [["path-pattern", ["/*"]]], 30_002],
      ["default", [], "fixed-response"],
    ];
    const wanted = [
      [80, "HTTP", [], rules],
      [443, "HTTPS", [certificate], rules],
    ];
    expect(await boto(read)).toEqual(wanted);
    expect(await converge(provider(), web, signal)).toMatchObject({ state: "done", steps: 0 });
    await boto(`
arn = elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
listeners = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
first = [r for r in elb.describe_rules(ListenerArn=listeners[0]["ListenerArn"])["Rules"] if r["Priority"] == "1"][0]
elb.delete_rule(RuleArn=first["RuleArn"])
elb.delete_listener(ListenerArn=listeners[1]["ListenerArn"])
group = elb.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.0.99", "Port": 1}])
print(1)`);
    await settle(() => converge(provider(), web, signal));
    expect(await boto(read)).toEqual(wanted);
    await settle(() => remove(provider(), web.key, signal));
    expect(await counts()).toEqual([0, 0]);
  });

  test("a Classic Load Balancer keeps the contract, as AWS's own client reads it, and drift is put right", async () => {
    const instances = (await boto(`
image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
made = ec2.run_instances(ImageId=image, MinCount=3, MaxCount=3, SubnetId=${JSON.stringify(network.subnets[0])})
print(json.dumps([one["InstanceId"] for one in made["Instances"]]))`)) as string[];
    const classic = (more: object = {}) => createClassic(configOf(more));
    const results = await runContract({
      create: () => Promise.resolve(classic()),
      sleep: (ms) => sleep(ms),
      signal,
      providerId: (node) => `aws:///us-east-1a/${instances[node - 1]}`,
    });
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    const balancers = 'len(classic.describe_load_balancers()["LoadBalancerDescriptions"])';
    expect(await boto(`print(json.dumps(${balancers}))`)).toBe(0);

    const web = service({
      ports: [
        { name: "http", protocol: "TCP", port: 80, nodePort: 30_080 },
        { name: "https", protocol: "TCP", port: 443, nodePort: 30_443 },
      ],
      targets: instances.slice(0, 2).map((id, i) => {
        return { node: `n${i}`, addresses: [`10.0.0.${i + 1}`], providerId: `aws:///us-east-1a/${id}` };
      }),
      healthCheckNodePort: 32_000,
    });
    const { addresses } = await settle(() => converge(classic(), web, signal));
    expect(addresses).toEqual([{ hostname: expect.stringContaining("elb.amazonaws.com") as string }]);
    const read = `
b = classic.describe_load_balancers()["LoadBalancerDescriptions"][0]
print(json.dumps([b["Scheme"], sorted(b["Subnets"]), sorted([l["Listener"]["Protocol"], l["Listener"]["LoadBalancerPort"], l["Listener"]["InstancePort"]] for l in b["ListenerDescriptions"]), b["HealthCheck"]["Target"], sorted(i["InstanceId"] for i in b["Instances"])]))`;
    const wanted = [
      "internal",
      [...network.subnets].sort(),
      [
        ["TCP", 80, 30_080],
        ["TCP", 443, 30_443],
      ],
      "HTTP:32000/healthz",
      instances.slice(0, 2).sort(),
    ];
    expect(await boto(read)).toEqual(wanted);
    expect(await converge(classic(), web, signal)).toMatchObject({ state: "done", steps: 0 });
    await boto(`
name = classic.describe_load_balancers()["LoadBalancerDescriptions"][0]["LoadBalancerName"]
classic.delete_load_balancer_listeners(LoadBalancerName=name, LoadBalancerPorts=[80])
classic.create_load_balancer_listeners(LoadBalancerName=name, Listeners=[{"Protocol": "TCP", "LoadBalancerPort": 81, "InstancePort": 1}])
classic.deregister_instances_from_load_balancer(LoadBalancerName=name, Instances=[{"InstanceId": ${JSON.stringify(instances[0])}}])
classic.register_instances_with_load_balancer(LoadBalancerName=name, Instances=[{"InstanceId": ${JSON.stringify(instances[2])}}])
print(1)`);
    await settle(() => converge(classic(), web, signal));
    expect(await boto(read)).toEqual(wanted);
    await settle(() => remove(classic(), web.key, signal));
    expect(await boto(`print(json.dumps(${balancers}))`)).toBe(0);
    const bare = await converge(classic(), service({ ports: web.ports }), signal);
    expect(bare).toMatchObject({ state: "failed", reason: "Refused", message: /spec\.providerID of AWS/ });
  });

  test("throttled, in need of a new token, busy and with answers lost: nothing is there twice, and nothing is left", async () => {
    const faults = { throttle: 0, expire: 0, busy: 0, lose: 0 };
    const met = new Set<string>();
    const front: Server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        const body = Buffer.concat(parts);
        const action = /Action=(\w+)/.exec(body.toString())?.[1] ?? "";
        const isWrite = !/^(Describe|Assume)/.test(action);
        const take = (name: keyof typeof faults) => {
          if (faults[name] <= 0 || action.startsWith("Assume")) return false;
          met.add(name);
          return faults[name]-- > 0;
        };
        const refuse = (status: number, code: string) => {
          response.writeHead(status, { "content-type": "text/xml" });
          response.end(`<ErrorResponse><Error><Code>${code}</Code><Message>no</Message></Error></ErrorResponse>`);
        };
        if (take("throttle")) return refuse(400, "Throttling");
        if (take("expire")) return refuse(403, "ExpiredToken");
        if (take("busy")) return refuse(503, "ServiceUnavailable");
        const isLost = isWrite && take("lose");
        const headers = Object.entries(request.headers).filter(([name]) => !/^(connection|content-length)$/.test(name));
        void fetch(endpoint, { method: "POST", body, headers: headers.map(([name, value]) => [name, String(value)]) })
          .then(async (answer) => {
            const text = await answer.text();
            if (isLost) return response.destroy();
            return response.writeHead(answer.status, { "content-type": "text/xml" }).end(text);
          })
          .catch(() => response.destroy());
      });
    });
    front.listen(0, "127.0.0.1");
    await once(front, "listening");
    try {
      const roleArn = "arn:aws:iam::123456789012:role/balancers";
      const url = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
      const create = () => Promise.resolve(provider({ roleArn, endpoint: url }));
      const one = withRenewal(await create(), { create, clock: systemClock, log: silentLogger });
      const web = service({ key: { ...service().key, uid: "u-3" } });
      Object.assign(faults, { throttle: 2, expire: 1, busy: 2, lose: 3 });
      const made = await settleThrough(() => converge(one, web, signal));
      expect(made.reasons).toEqual(expect.arrayContaining(["Throttled", "Unavailable"]));
      expect(met).toEqual(new Set(["throttle", "expire", "busy", "lose"]));
      expect(await counts()).toEqual([1, 2]);
      expect(await converge(provider(), web, signal)).toMatchObject({ state: "done", steps: 0 });
      Object.assign(faults, { throttle: 2, busy: 2, lose: 3 });
      await settleThrough(() => remove(one, web.key, signal));
      expect(await counts()).toEqual([0, 0]);
    } finally {
      front.closeAllConnections();
      front.close();
    }
  });

  test("a role is taken with keys, or with the token of a file", async () => {
    const roleArn = "arn:aws:iam::123456789012:role/balancers";
    await boto(`
iam.create_role(RoleName="balancers", AssumeRolePolicyDocument="{}")
print(1)`);
    const file = join(folder, "token");
    // A JSON Web Token as a cluster gives it; nobody here checks its signature.
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    await writeFile(file, `${part({ alg: "none" })}.${part({ sub: "system:serviceaccount:kube-system:fairlead" })}.x`);
    for (const more of [
      { roleArn },
      { roleArn, webIdentityTokenFile: file, accessKeyId: undefined, secretAccessKey: undefined },
    ]) {
      const one = provider(more);
      await settle(() => converge(one, service(), signal));
      await settle(() => remove(one, service().key, signal));
    }
    const missing = await converge(provider({ roleArn, webIdentityTokenFile: "/nowhere" }), service(), signal);
    expect(missing).toMatchObject({ state: "failed", reason: "Credentials" });
  });

  test("what cannot be is refused, and nothing is made", async () => {
    const refused = async (desired: Exposure, words: RegExp) => {
      const result = await converge(provider(), desired, signal);
      expect(result).toMatchObject({ state: "failed", reason: "Refused" });
      expect("message" in result ? result.message : "").toMatch(words);
    };
    const [first] = service().ports;
    await refused(
      service({ ports: [...service().ports, { ...(first as NonNullable<typeof first>), protocol: "UDP" }] }),
      /TCP and UDP on one port/,
    );
    const annotations = { "service.beta.kubernetes.io/aws-load-balancer-subnets": "x; rm" };
    await refused(service({ annotations }), /no id of a subnet/);
    const tls = { rules: [], certificates: [{ name: "s", hosts: [] }] };
    await refused(service({ http: tls }), /certificate-arn/);
    const elsewhere = provider({ subnets: ["subnet-nowhere"] });
    const result = await converge(elsewhere, service({ ports: [] }), signal);
    expect(result).toMatchObject({ state: "failed", reason: "Refused" });
    expect(await counts()).toEqual([0, 0]);
  });
});
