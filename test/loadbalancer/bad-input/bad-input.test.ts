import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { selfSigned } from "../../../src/dataplane/self-signed.ts";
import {
  findCondition,
  isStatus,
  resources,
  StatusError,
  type Condition,
  type KubeObject,
  type Resource,
  type Service,
} from "../../../src/kube/index.ts";
import { addressClaims, addressPools, assignedCondition, type AddressPool } from "../../../src/loadbalancer/index.ts";
import { repository } from "../../support/lab.ts";
import { holderOf, noVipLab, openVipLab, sleep, type VipLab } from "../../support/vip-lab.ts";
import {
  seed,
  wrongCertificates,
  wrongIngresses,
  wrongPools,
  wrongRequests,
  wrongRoutes,
  wrongServices,
  wrongVips,
} from "./cases.ts";

const tables = [wrongPools, wrongVips, wrongRequests, wrongServices, wrongRoutes, wrongIngresses, wrongCertificates];
const count = tables.reduce((sum, { length }) => sum + length, 0);
const namespace = "default";
const edge = "10.9.0.240";
const rancherEdge = "10.9.0.241";

// All front ends run at once as programs of their own. Everything wrong is written together, beside what is right; and each says what is wrong with what.
describe.skipIf(noVipLab)(`${count} wrong pools, ConfigMaps, annotations, certificates${noVipLab ?? ""}`, () => {
  let lab: VipLab;
  /** All that the programs have said. */
  let logs = "";
  /** What must be in no log, event or status. */
  const secrets = [seed("crt"), seed("key"), seed("pem"), seed("locked"), seed("f5"), seed("openstack")];
  const refusals = new Map<string, string>();
  let before: Awaited<ReturnType<typeof neighbours>>;

  beforeAll(async () => {
    lab = await openVipLab({ nodes: 1, addresses: ["10.9.0.100-10.9.0.119"], agent: "keepalived-vip" });
    await pool("others", { addresses: ["10.32.0.0/24"], namespaces: ["others"], autoAssign: false });
    await lab.join("edge", [edge]);
    await lab.join("rancher", [rancherEdge]);
    await lab.join("pod", ["10.9.0.210"]);
    const pod = lab.startOn("pod", process.execPath, join(repository, "test/support/http-tell.mjs"), "pod", "::", "80");
    await once(pod.stdout ?? pod, "data");
    for (const name of ["good", "twin"]) {
      await service(name, { ports: [{ port: 80, protocol: "TCP" }] });
      await lab.client.create(resources.EndpointSlice, {
        metadata: { namespace, name, labels: { "kubernetes.io/service-name": name } },
        addressType: "IPv4",
        ports: [{ name: "", port: 80, protocol: "TCP" }],
        endpoints: [{ addresses: ["10.9.0.210"] }],
      });
    }
    await service("datagrams", { ports: [{ port: 53, protocol: "UDP" }] });
    await service("named", { type: "ExternalName", externalName: "db.example" });
    for (const name of ["far", "stack"]) {
      await lab.client.create(resources.Namespace, { metadata: { name }, spec: {} });
      await lab.client.create(resources.Service, {
        metadata: { namespace: name, name: "good" },
        spec: { type: "NodePort", ports: [{ port: 80 }] },
      });
      await configMap("good", { "target-service-name": "good" }, name);
    }
    await lab.startAgent("node-1", "--services-configmap=default/vips", "--use-unicast=true", "--no-probe");
    start("edge", {}, "service-loadbalancer");
    start("rancher", {}, "lb-controller", "--provider=haproxy", `--publish-address=${rancherEdge}`);
    const range = { VIP_ALLOCATION_START: "10.9.0.180", VIP_ALLOCATION_END: "10.9.0.189" };
    const hp = ["hp-loadbalancer", "--no-probe", "--status-address=127.0.0.1:0", "--watch-namespace"];
    start("api", range, ...hp, namespace);
    // Nobody listens where they are sent to: what they say of it must not have the password.
    const f5 = { F5_HOST: "10.9.0.200", F5_USER: "admin", F5_PASSWORD: seed("f5") };
    start("api", { ...range, ...f5 }, ...hp, "far", "--backend=f5");
    const openstack = { OS_USERNAME: "admin", OS_PASSWORD: seed("openstack"), OS_TENANT_NAME: "a", OS_SUBNET_ID: "s" };
    const url = { OS_AUTH_URL: "http://10.9.0.200:5000/v3", OS_REGION_NAME: "r" };
    start("api", { ...openstack, ...url }, ...hp, "stack", "--backend=openstack-lbaasv2");

    await service("good-address", { type: "LoadBalancer", ports: [{ port: 80 }] });
    await configMap("good", { "target-service-name": "good" });
    await ingress("good", {}, ["good.example"]);
    await lab.client.create(resources.ConfigMap, { metadata: { namespace, name: "vips" }, data: rightVips });
    await holderOf(lab, "10.9.0.160");
    before = await neighbours();
    await writeAllThatIsWrong();
  });
  afterAll(async () => {
    await lab?.close();
  });

  const rightVips = { "10.9.0.160": "", "fd00--10": "default/good" };

  function start(where: string, env: Record<string, string>, ...args: string[]): void {
    const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const program = [process.execPath, join(repository, "fairlead"), ...args];
    listen(lab.startOn(where, "env", ...words, ...program, "--kubeconfig", join(lab.dir, "kubeconfig")));
  }
  function listen(child: ChildProcess): void {
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => (logs = `${logs}${String(chunk)}`.slice(-1_000_000)));
  }
  const service = (name: string, spec: object, annotations: Record<string, string> = {}) =>
    lab.client.create(resources.Service, { metadata: { namespace, name, annotations }, spec });
  const configMap = (name: string, data: Readonly<Record<string, string>>, where = namespace) =>
    lab.client.create(resources.ConfigMap, {
      metadata: { namespace: where, name, labels: { app: "loadbalancer" } },
      data,
    });
  const pool = (name: string, spec: unknown) =>
    lab.client.create(addressPools, { metadata: { name }, spec } as AddressPool);
  const ingress = (name: string, annotations: Record<string, string>, hosts: readonly string[], secretName?: string) =>
    lab.client.create(resources.Ingress, {
      metadata: { namespace, name, annotations },
      spec: {
        ingressClassName: "rancher",
        rules: hosts.map((host) => ({
          host,
          http: {
            paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: "good", port: { number: 80 } } } }],
          },
        })),
        ...(secretName === undefined ? {} : { tls: [{ hosts: [...hosts], secretName }] }),
      },
    });

  async function writeAllThatIsWrong(): Promise<void> {
    for (const [i, { spec }] of wrongPools.entries())
      await pool(`pool-${i}`, spec).catch((error: unknown) => {
        if (!(error instanceof StatusError)) throw error;
        refusals.set(`pool-${i}`, error.message);
      });
    const keys = Object.fromEntries(wrongVips.map(({ key, value }) => [key, value]));
    const found = await lab.client.get(resources.ConfigMap, { namespace, name: "vips" });
    await lab.client.update(resources.ConfigMap, { ...found, data: { ...rightVips, ...keys } });
    for (const [i, { data }] of wrongRequests.entries()) await configMap(`hp-${i}`, data);
    for (const [i, { annotations = {}, spec }] of wrongServices.entries())
      await service(`lb-${i}`, { type: "LoadBalancer", ports: [{ port: 80 }], ...spec }, { ...annotations });
    for (const [i, { annotations }] of wrongRoutes.entries())
      await service(`route-${i}`, { ports: [{ port: 80 }] }, { ...annotations });
    for (const [i, { annotations }] of wrongIngresses.entries())
      await ingress(`rancher-${i}`, { ...annotations }, [`r${i}.example`]);
    const [good, other] = [selfSigned(Date.now(), ["a.example"]), selfSigned(Date.now(), ["b.example"])];
    for (const { key } of [good, other]) {
      const body = key.split("\n").slice(1, -2);
      secrets.push(...body.filter((line) => line.length > 40));
    }
    for (const [i, { data }] of wrongCertificates.entries()) {
      const made = data(good, other);
      if (made)
        await lab.client.create(resources.Secret, {
          metadata: { namespace, name: `pair-${i}` },
          type: "kubernetes.io/tls",
          stringData: made,
        });
      await ingress(`pair-${i}`, {}, [`c${i}.example`], `pair-${i}`);
    }
  }

  /** Looks until it is as it should be, and tells the last look if it never is. */
  async function eventually<T>(look: () => Promise<T>, isGood: (seen: T) => boolean): Promise<T> {
    for (let tries = 0; ; tries++) {
      const seen = await look();
      if (isGood(seen)) return seen;
      if (tries > 200) throw new Error(`${JSON.stringify(seen)}\n${logs.slice(-3_000)}`);
      await sleep(100);
    }
  }

  let events: { readonly about: string; readonly text: string }[] = [];
  async function toldOf(kind: string, name: string, wanted: RegExp): Promise<void> {
    const look = async () => {
      const known = events.filter(({ about }) => about === `${kind} ${name}`);
      if (known.some(({ text }) => wanted.test(text))) return known;
      const { items } = await lab.client.list(resources.Event, { namespace });
      events = items.map(({ involvedObject, reason, message }) => ({
        about: `${involvedObject.kind ?? ""} ${involvedObject.name ?? ""}`,
        text: `${reason ?? ""} ${message ?? ""}`,
      }));
      return events.filter(({ about }) => about === `${kind} ${name}`);
    };
    await eventually(look, (seen) => seen.some(({ text }) => wanted.test(text)));
  }

  async function neighbours() {
    const good = (name: string) => lab.client.get(resources.Service, { namespace, name });
    const addressed = await eventually(
      () => good("good-address"),
      ({ status }) => status?.loadBalancer?.ingress?.[0]?.ip !== undefined,
    );
    const told = await eventually(
      () => lab.client.get(resources.ConfigMap, { namespace, name: "good" }),
      ({ data }) => data?.["status"] === "SUCCESS",
    );
    const served = await eventually(
      () => lab.client.get(resources.Ingress, { namespace, name: "good" }),
      ({ status }) => status?.loadBalancer?.ingress?.[0]?.ip === rancherEdge,
    );
    const states = await eventually(vipStates, (seen) => seen["10.9.0.160"]?.state === "Held");
    const { metadata, spec, status } = await lab.client.get(addressPools, { name: "lab" });
    const curl = (...args: string[]) => lab.on("client", "curl", "-s", "-m", "10", ...args).catch(String);
    const byPath = await eventually(
      () => curl(`http://${edge}/good/x`),
      (text) => text.startsWith("pod "),
    );
    const byHost = await eventually(
      () => curl("-H", "host: good.example", `http://${rancherEdge}/x`),
      (text) => text.startsWith("pod "),
    );
    return {
      address: [addressed.metadata.uid, addressed.status?.loadBalancer],
      told: [told.metadata.uid, told.data],
      ingress: [served.metadata.uid, served.status?.loadBalancer],
      vip: states["10.9.0.160"],
      held: await lab.holders("10.9.0.160"),
      pool: [metadata.uid, spec, findCondition(status?.conditions, "Valid")],
      byPath,
      byHost,
    };
  }

  async function vipStates(): Promise<Record<string, { state: string; reason?: string; message?: string }>> {
    const { metadata } = await lab.client.get(resources.ConfigMap, { namespace, name: "vips" });
    return JSON.parse(metadata.annotations?.["fairlead.dev/vip-status"] ?? "{}") as never;
  }

  test.each(wrongPools.map((one, i) => [one.what, i, one] as const))("pool: %s", async (_, i, { by, says }) => {
    if (by === "API") return expect(refusals.get(`pool-${i}`)).toMatch(says);
    expect(refusals.get(`pool-${i}`)).toBeUndefined();
    const look = async () =>
      findCondition((await lab.client.get(addressPools, { name: `pool-${i}` })).status?.conditions, "Valid");
    const valid = await eventually(look, (seen) => seen !== undefined);
    expect([valid?.status, valid?.reason]).toEqual(["False", "Invalid"]);
    expect(valid?.message).toMatch(says);
    expect(valid?.message).toMatch(/pool/);
  });

  test.each(wrongVips.map((one) => [one.key, one.value, one] as const))(
    "keepalived-vip: %s: %j",
    async (key, _, { reason, says }) => {
      const state = (await eventually(vipStates, (seen) => seen[key]?.reason === reason))[key];
      expect(["Invalid", "Waiting"]).toContain(state?.state);
      expect(state?.message).toMatch(says);
    },
  );

  test("keepalived-vip: and as events", () =>
    toldOf("ConfigMap", "vips", /^InvalidAddress data\[10\.4\.0\]: "10\.4\.0"/));

  test.each(wrongRequests.map((one, i) => [one.what, i, one] as const))("hp: %s", async (_, i, { says }) => {
    const look = async () =>
      (await lab.client.get(resources.ConfigMap, { namespace, name: `hp-${i}` })).data?.["status"] ?? "";
    const status = await eventually(look, (seen) => says.test(seen));
    expect(status).toMatch(/^ERROR : /);
  });

  test.each(wrongServices.map((one, i) => [one.what, i, one] as const))(
    "asking for an address: %s",
    async (_, i, { reason, says }) => {
      const look = async (): Promise<[Condition | undefined, Service]> => {
        const found = await lab.client.get(resources.Service, { namespace, name: `lb-${i}` });
        return [findCondition(found.status?.conditions, assignedCondition), found];
      };
      const [condition, { status }] = await eventually(look, ([seen]) => seen !== undefined);
      expect([condition?.status, condition?.reason]).toEqual(["False", reason]);
      expect(condition?.message).toMatch(says);
      expect(status?.loadBalancer?.ingress ?? []).toEqual([]);
      await toldOf("Service", `lb-${i}`, says);
    },
  );

  test.each(wrongRoutes.map((one, i) => [one.what, i, one] as const))("service-loadbalancer: %s", (_, i, { says }) =>
    toldOf("Service", `route-${i}`, says),
  );

  test.each(wrongIngresses.map((one, i) => [one.what, i, one] as const))("lb-controller: %s", (_, i, { says }) =>
    toldOf("Ingress", `rancher-${i}`, says),
  );

  test.each(wrongCertificates.map((one, i) => [one.what, i, one] as const))("certificate: %s", (_, i, { says }) =>
    toldOf("Ingress", `pair-${i}`, says),
  );

  test.each(["far", "stack"])("a load balancer that cannot be reached says so: %s", async (where) => {
    const look = async () =>
      (await lab.client.get(resources.ConfigMap, { namespace: where, name: "good" })).data?.["status"] ?? "";
    await eventually(look, (seen) => /^ERROR : .*(?:refused|reach|connect)/is.test(seen));
  });

  test("what is right beside it is as it was", async () => {
    expect(await neighbours()).toEqual(before);
  });

  test("no log, event or status has a password or a key", async () => {
    const kinds: readonly Resource[] = [
      resources.Event,
      resources.Service,
      resources.ConfigMap,
      resources.Ingress,
      resources.Node,
      resources.EndpointSlice,
      addressPools,
      addressClaims,
    ];
    const seen: string[] = [logs, await lab.log("node-1"), await lab.log("loadbalancer")];
    for (const kind of kinds) {
      const { items } = await lab.client.list<KubeObject>(kind).catch((error: unknown) => {
        throw isStatus(error, "NotFound") ? new Error(`${kind.kind} is not listed`) : error;
      });
      expect(items.length).toBeGreaterThan(0);
      seen.push(JSON.stringify(items));
    }
    expect(secrets.length).toBeGreaterThan(8);
    for (const secret of secrets) {
      const forms = [secret, Buffer.from(secret).toString("base64").replace(/=+$/, "").slice(0, -2)];
      for (const form of forms) expect(seen.map((text) => text.includes(form))).toEqual(seen.map(() => false));
    }
    console.log(
      `${count} wrong inputs told apart; ${seen.join("").length} characters of logs, events, statuses searched`,
    );
  });
});
