import { spawnSync } from "node:child_process";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EndpointSlice, Ingress, Service } from "../../../src/kube/index.ts";
import { freePort } from "../../../src/system/index.ts";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../../support/cluster.ts";
import { type Lab, noKernel, noUnprivileged, openLab, repository, type Running } from "../../support/lab.ts";
import { load } from "../../support/load.ts";
import { accessKey, secretKey, type RancherState } from "./server.mjs";

// Rancher is a contract server (server.mjs); a real HAProxy does what was declared.
const user = noKernel ? "unprivileged" : "root";
const needs = ["haproxy", "openssl"].find((name) => spawnSync(name, ["-v"]).error);
const why = needs ? `needs ${needs}` : noKernel && noUnprivileged;

describe.skipIf(why)(`Rancher: Ingress, Cattle API, data path, pod${why ? ` (skipped: ${why})` : ""}`, () => {
  let lab: Lab;
  let cluster: TestCluster;
  let server: Running;
  let controller: Running;
  let url = "";
  let config = "";

  const kubectl = async (...args: string[]) => printed(await cluster.kubectl(args));
  const json = async <T>(...args: string[]) => JSON.parse(await kubectl("get", ...args, "-o", "json")) as T;
  const script = async (text: string) => printed(await lab.run(process.execPath, ["--input-type=module", "-e", text]));
  const post = (path: string, body: object) =>
    script(
      `await fetch(${JSON.stringify(url + path)}, { method: "POST", body: ${JSON.stringify(JSON.stringify(body))} })`,
    );
  const state = async () =>
    JSON.parse(
      await script(`console.log(await (await fetch(${JSON.stringify(`${url}/_test/state`)})).text())`),
    ) as RancherState;
  const apply = async (object: { metadata: { name: string } }) => {
    const file = join(lab.dir, `${object.metadata.name}.json`);
    await writeFile(file, JSON.stringify(object));
    await kubectl("apply", "-f", file);
  };
  const startController = () => {
    const words = ["loadbalancer", "--no-probe", "--kubeconfig", cluster.kubeconfig, "--config", config];
    controller = lab.start(process.execPath, [join(repository, "fairlead"), ...words]);
  };
  const expose = (name: string, annotations: Record<string, string>, more: object = {}) => {
    const backend = { service: { name: "web", port: { number: 80 } } };
    const paths = [{ path: "/", pathType: "Prefix", backend }];
    const spec = { ingressClassName: "rancher", rules: [{ host: `${name}.example`, http: { paths } }], ...more };
    return apply({
      apiVersion: "networking.k8s.io/v1",
      kind: "Ingress",
      metadata: { name, annotations },
      spec,
    } as unknown as Ingress);
  };
  const addresses = async (name: string) =>
    ((await json<Ingress>("ingress", name)).status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip);
  const hasAddress = (name: string, address: string, seconds = 60) =>
    eventually(
      `Ingress ${name} has ${address}`,
      async () => {
        const found = await addresses(name);
        if (found.join() === address) return true;
        throw new Error(`${found.join()} ${controller.output().slice(-800)}`);
      },
      seconds,
    );
  const answers = (host: string, address: string, port: number) =>
    eventually(
      `${host} answers at ${address}:${port}`,
      async () => {
        const { ok, failures } = await load(lab, { url: `http://${address}:${port}/`, host, count: 10 });
        if (ok !== 10) throw new Error(JSON.stringify(failures[0]));
        return true;
      },
      60,
    );
  /** As Rancher's own agent does: it learns of Services and their pods. */
  const mirror = async () => {
    const { items } = await json<{ items: Service[] }>("services");
    const slices = await json<{ items: EndpointSlice[] }>("endpointslices");
    const services = items.map(({ metadata: { name, uid, namespace } }) => ({
      namespace,
      name,
      uid,
      addresses: slices.items
        .filter(({ metadata }) => metadata.labels?.["kubernetes.io/service-name"] === name)
        .flatMap(({ endpoints }) => (endpoints ?? []).flatMap((one) => one.addresses)),
    }));
    if (services.find(({ name }) => name === "web")?.addresses.length !== 2) return undefined;
    await post("/_test/services", services);
    return true;
  };

  beforeAll(async () => {
    lab = await openLab(user);
    cluster = await upCluster(lab);
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const folder = join(lab.dir, "rancher");
    await mkdir(folder);
    await chmod(folder, 0o777);
    server = lab.start(process.execPath, [
      join(repository, "test/loadbalancer/rancher/server.mjs"),
      String(port),
      folder,
    ]);
    config = join(lab.dir, "providers.json");
    const of = { url, accessKey, secretKey, pollMs: 50 };
    await writeFile(config, JSON.stringify({ cluster: "lab", providers: [{ module: "rancher", config: of }] }));
    await eventually("Rancher answers", () => state());
    await kubectl("create", "deployment", "web", "--image=fairlead.dev/echo", "--port=8080", "--replicas=2");
    await kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080");
    await kubectl("rollout", "status", "deployment/web", "--timeout=90s");
    await apply({
      apiVersion: "networking.k8s.io/v1",
      kind: "IngressClass",
      metadata: { name: "rancher" },
      spec: { controller: "fairlead.dev/rancher" },
    } as { metadata: { name: string } });
    await eventually("Rancher knows the pods", mirror);
    startController();
  });
  afterAll(async () => {
    await controller?.stop();
    await server?.stop();
    await tearDown(lab, cluster);
  });

  it("a request reaches pods through Rancher's load balancer, by port rules", async () => {
    await expose("shop", { "http.port": "7080" });
    await hasAddress("shop", "127.98.0.1");
    await answers("shop.example", "127.98.0.1", 7080);
    const { balancers, invalid } = await state();
    expect(invalid).toEqual([]);
    expect(balancers).toMatchObject([
      { name: "default-rancherlb-shop", body: { lbConfig: { portRules: [{ hostname: "shop.example" }] } } },
    ]);
  });

  it("a load balancer that moves changes the Ingress's status: Rancher pushes", async () => {
    await eventually("the controller listens", async () => ((await state()).subscribers > 0 ? true : undefined), 60);
    await post("/_test/move", { host: "127.98.0.2" });
    // It looks by itself only every 20 s.
    await hasAddress("shop", "127.98.0.2", 15);
    await answers("shop.example", "127.98.0.2", 7080);
  });

  it("TLS by a Secret, which appears in no log", async () => {
    const [key, certificate] = [join(lab.dir, "tls.key"), join(lab.dir, "tls.crt")];
    const subject = ["-subj", "/CN=safe.example", "-addext", "subjectAltName=DNS:safe.example"];
    const made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", certificate];
    printed(await lab.run("openssl", [...made, ...subject]));
    await kubectl("create", "secret", "tls", "safe", `--cert=${certificate}`, `--key=${key}`);
    await expose("safe", { "http.port": "7180", "https.port": "7443" }, { tls: [{ secretName: "safe" }] });
    await hasAddress("safe", "127.98.0.2");
    const text = `
      import { request } from "node:https";
      const options = { host: "127.98.0.2", port: 7443, servername: "safe.example", headers: { host: "safe.example" }, rejectUnauthorized: false };
      const call = request(options, (answer) => console.log(answer.statusCode, answer.socket.getPeerCertificate().subject.CN) ?? answer.resume());
      call.on("error", (error) => console.log(error.message)).end();`;
    await eventually(
      "TLS answers",
      async () => ((await script(text)).trim() === "200 safe.example" ? true : undefined),
      60,
    );
    expect(controller.output()).not.toMatch(/PRIVATE KEY/);
    expect(controller.output()).not.toContain(secretKey);
  });

  const nothingIsLeft = () =>
    eventually("nothing is left", async () => {
      const { balancers, certificates } = await state();
      return balancers.length + certificates.length === 0 ? true : undefined;
    });

  it("a stopped controller wipes nothing; what was deleted meanwhile goes with the next start", async () => {
    await controller.stop();
    expect(await addresses("shop")).toEqual(["127.98.0.2"]);
    await answers("shop.example", "127.98.0.2", 7080);
    await kubectl("delete", "ingress", "shop", "safe", "--wait=false");
    startController();
    await kubectl("wait", "--for=delete", "ingress/shop", "ingress/safe", "--timeout=60s");
    await nothingIsLeft();
  });

  it("on v1 the same Ingress is service links, and goes with all that was made", async () => {
    await controller.stop();
    await post("/_test/mode", { versions: ["v1"] });
    startController();
    await expose("old", { "http.port": "7280" });
    await hasAddress("old", "127.98.0.2");
    await answers("old.example", "127.98.0.2", 7280);
    const { balancers, invalid } = await state();
    expect(invalid).toEqual([]);
    const found = balancers.find(({ name }) => name === "default-rancherlb-old");
    expect(found?.links).toMatchObject([{ ports: ["old.example=8080"] }]);
    await kubectl("delete", "ingress", "old", "--timeout=60s");
    await nothingIsLeft();
  });

  it("`fairlead lb-controller --provider rancher`: Ingresses of its class, with scale, scheduling labels and stickiness", async () => {
    await controller.stop();
    await post("/_test/mode", { versions: ["v2-beta"] });
    const env = [`CATTLE_URL=${url}`, `CATTLE_ACCESS_KEY=${accessKey}`, `CATTLE_SECRET_KEY=${secretKey}`];
    const port = await freePort();
    const flags = ["--provider=rancher", "--kubeconfig", cluster.kubeconfig, `--health-port=${port}`];
    controller = lab.start("env", [...env, process.execPath, join(repository, "fairlead"), "lb-controller", ...flags]);
    const annotations = {
      "kubernetes.io/ingress.class": "rancher",
      "http.port": "7380",
      scale: "2",
      "io.rancher.scheduler.affinity.host_label": "in=lb",
      "io.rancher.stickiness.policy": "name: policy\ncookie: JSESSIONID\nmode: insert",
    };
    await expose("edge", annotations, { ingressClassName: undefined });
    await hasAddress("edge", "127.98.0.2");
    await answers("edge.example", "127.98.0.2", 7380);
    const { balancers, invalid } = await state();
    expect(invalid).toEqual([]);
    expect(balancers.find(({ name }) => name === "default-rancherlb-edge")?.body).toMatchObject({
      scale: 2,
      launchConfig: { labels: { "io.rancher.scheduler.affinity:host_label": "in=lb" } },
      lbConfig: { stickinessPolicy: { cookie: "JSESSIONID", mode: "insert" } },
    });
    expect(controller.output()).not.toContain(secretKey);
    await kubectl("delete", "ingress", "edge", "--timeout=60s");
    await nothingIsLeft();
  });
});
