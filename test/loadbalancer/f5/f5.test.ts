import { spawnSync } from "node:child_process";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Service } from "../../../src/kube/index.ts";
import { freePort } from "../../../src/system/index.ts";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../../support/cluster.ts";
import { type Lab, noKernel, noUnprivileged, openLab, repository, type Running } from "../../support/lab.ts";
import { load } from "../../support/load.ts";

// The BIG-IP is a contract server (server.mjs): it holds every declaration against F5's own schema, and a real HAProxy does what was declared.
const user = noKernel ? "unprivileged" : "root";
const noHaproxy = spawnSync("haproxy", ["-v"]).error ? "needs haproxy" : undefined;
const why = noHaproxy ?? (noKernel && noUnprivileged);
const password = "bigip-secret";

interface State {
  readonly tenants: Record<string, Record<string, { constants?: { name: string } }>>;
  readonly writes: number;
  readonly invalid: readonly unknown[];
  readonly icontrol: { readonly partitions: readonly string[]; readonly virtual: readonly { readonly name: string }[] };
}

describe.skipIf(why)(
  `F5 by AS3 and by iControl: Service, declaration, data path, pod${why ? ` (skipped: ${why})` : ""}`,
  () => {
    let lab: Lab;
    let cluster: TestCluster;
    let server: Running;
    let controller: Running;
    let url = "";
    let config = "";

    const kubectl = async (...args: string[]) => printed(await cluster.kubectl(args));
    const service = async (name: string) => JSON.parse(await kubectl("get", "service", name, "-o", "json")) as Service;
    const ask = async (method: string, path: string, body?: object, of = url) => {
      const script = `const r = await fetch(${JSON.stringify(of + path)}, { method: "${method}", body: ${JSON.stringify(body ? JSON.stringify(body) : null)} ?? undefined }); console.log(await r.text())`;
      return printed(await lab.run(process.execPath, ["--input-type=module", "-e", script]));
    };
    const state = async () => JSON.parse(await ask("GET", "/_test/state")) as State;
    const mode = (body: object) => ask("POST", "/_test/mode", body);
    const configure = (api: string) => {
      const of = { url, api, username: "admin", password, addresses: ["127.99.0.10-127.99.0.12"], pollMs: 50 };
      return writeFile(config, JSON.stringify({ cluster: "lab", providers: [{ module: "f5", config: of }] }));
    };
    const startController = () => {
      const words = ["loadbalancer", "--no-probe", "--kubeconfig", cluster.kubeconfig, "--config", config];
      words.push("--status-address", "127.0.0.1:10258");
      controller = lab.start(process.execPath, [join(repository, "fairlead"), ...words]);
    };
    const addressOf = (name: string) =>
      eventually(
        `Service ${name} is ready`,
        async () => {
          const { status } = await service(name);
          const ready = status?.conditions?.find(({ type }) => type === "fairlead.dev/LoadBalancerReady");
          if (ready?.status === "True") return status?.loadBalancer?.ingress?.[0]?.ip;
          throw new Error(`${ready?.reason}: ${ready?.message} ${controller.output().slice(-500)}`);
        },
        60,
      );
    const expose = async (name: string, port: number, more: object = {}) => {
      const ports = [{ name: "http", port, targetPort: 8_080 }];
      const spec = {
        type: "LoadBalancer",
        loadBalancerClass: "fairlead.dev/f5",
        selector: { app: "web" },
        ports,
        ...more,
      };
      const file = join(lab.dir, `${name}.json`);
      await writeFile(file, JSON.stringify({ apiVersion: "v1", kind: "Service", metadata: { name }, spec }));
      await kubectl("apply", "-f", file);
    };
    const answers = (address: string, port: number) =>
      eventually(
        `${address}:${port} answers`,
        async () => {
          const { ok, failures } = await load(lab, { url: `http://${address}:${port}/`, count: 10 });
          if (ok !== 10) throw new Error(JSON.stringify(failures[0]));
          return true;
        },
        90,
      );

    beforeAll(async () => {
      lab = await openLab(user);
      cluster = await upCluster(lab);
      const port = await freePort();
      url = `http://127.0.0.1:${port}`;
      const folder = join(lab.dir, "bigip");
      await mkdir(folder);
      await chmod(folder, 0o777);
      const program = join(repository, "test/loadbalancer/f5/server.mjs");
      server = lab.start(process.execPath, [program, String(port), folder]);
      config = join(lab.dir, "providers.json");
      await configure("as3");
      await eventually("the BIG-IP answers", () => state());
      await kubectl("create", "deployment", "web", "--image=fairlead.dev/echo", "--port=8080", "--replicas=2");
      await kubectl("rollout", "status", "deployment/web", "--timeout=90s");
      startController();
    });
    afterAll(async () => {
      await controller?.stop();
      await server?.stop();
      await tearDown(lab, cluster);
    });

    it("a request reaches pods by the address that the BIG-IP has; the second look writes nothing", async () => {
      await expose("web", 7_080);
      const address = await addressOf("web");
      expect(address).toBe("127.99.0.10");
      await answers(address, 7_080);
      const figures = await ask("GET", "/metrics", undefined, "http://127.0.0.1:10258");
      expect(figures).toMatch(
        /fairlead_provider_call_duration_seconds_count\{provider="f5",call="apply",outcome="done"\} \d/,
      );
      expect(await ask("GET", "/readyz", undefined, "http://127.0.0.1:10258")).toBe("ok\n\n");
      const { writes, invalid } = await state();
      expect(invalid).toEqual([]);
      await controller.stop();
      startController();
      await expose("again", 7_080);
      expect(await addressOf("again")).toBe("127.99.0.11");
      expect(await addressOf("web")).toBe(address);
      expect((await state()).writes).toBe(writes + 1);
    });

    it("busy, lost answers, failures and ended tokens: it ends as it should, and a neighbour is never touched", async () => {
      const failing = async (fault: object, name: string, port: number) => {
        await mode(fault);
        await kubectl(
          "patch",
          "service",
          name,
          "--type=merge",
          "-p",
          JSON.stringify({ spec: { ports: [{ name: "http", port, targetPort: 8_080 }] } }),
        );
        await answers(await addressOf(name), port);
        await answers("127.99.0.11", 7_080);
      };
      await failing({ busy: 2 }, "web", 7_081);
      await failing({ lose: 1 }, "web", 7_082);
      await failing({ fail: 1 }, "web", 7_083);
      await failing({ partial: 1 }, "web", 7_084);
      await failing({ revoke: true }, "web", 7_085);
      const { tenants, invalid } = await state();
      expect(invalid).toEqual([]);
      expect(Object.keys(tenants)).toEqual(["fairlead_lab"]);
      const applications = Object.values(tenants["fairlead_lab"] ?? {}).flatMap(
        ({ constants }) => constants?.name ?? [],
      );
      expect(applications.sort()).toEqual(["again", "web"]);
      expect(controller.output()).not.toContain(password);
    });

    it("what cannot be is refused in the condition, and nothing is made", async () => {
      const reason = (name: string) =>
        eventually(`Service ${name} says why`, async () => {
          const { status } = await service(name);
          return status?.conditions?.find(({ status: is }) => is === "False");
        });
      await expose("ranges", 90, { loadBalancerSourceRanges: ["10.0.0.0/8"] });
      expect(await reason("ranges")).toMatchObject({
        reason: "Refused",
        message: expect.stringContaining("loadBalancerSourceRanges") as string,
      });
      await expose("taken", 91, { loadBalancerIP: "127.99.0.11" });
      expect(await reason("taken")).toMatchObject({
        reason: "Refused",
        message: expect.stringContaining("belongs to Service default/again") as string,
      });
      await kubectl("delete", "service", "ranges", "taken", "--timeout=60s");
    });

    it("the last Service takes its tenant along", async () => {
      await kubectl("delete", "service", "web", "again", "--timeout=60s");
      expect((await state()).tenants).toEqual({});
    });

    it("the same by iControl REST: to a pod, over a change of the port, and nothing is left", async () => {
      await controller.stop();
      await configure("icontrol");
      startController();
      await expose("web", 7_180);
      const address = await addressOf("web");
      await answers(address, 7_180);
      await mode({ busy: 1, quirk: 1 });
      const ports = [{ name: "http", port: 7_181, targetPort: 8_080 }];
      await kubectl("patch", "service", "web", "--type=merge", "-p", JSON.stringify({ spec: { ports } }));
      await answers(address, 7_181);
      const { icontrol, invalid } = await state();
      expect(invalid).toEqual([]);
      expect(icontrol.virtual.map(({ name }) => name)).toEqual([expect.stringMatching(/_tcp_7181$/)]);
      await kubectl("delete", "service", "web", "--timeout=60s");
      expect((await state()).icontrol.partitions).toEqual(["Common"]);
      expect(controller.output()).not.toContain(password);
    });

    it("`fairlead hp-loadbalancer --backend f5`: a ConfigMap is told its address, by the calls of 2016; the Service goes first, and nothing is left", async () => {
      await controller.stop();
      const env = ["VIP_ALLOCATION_START=127.99.0.20", "VIP_ALLOCATION_END=127.99.0.29", `F5_HOST=${url}`];
      env.push("F5_USER=admin", `F5_PASSWORD=${password}`);
      const words = ["hp-loadbalancer", "--backend", "f5", "--kubeconfig", cluster.kubeconfig, "--no-probe"];
      words.push("--status-address", "127.0.0.1:10258");
      controller = lab.start("env", [...env, process.execPath, join(repository, "fairlead"), ...words]);
      await kubectl("expose", "deployment", "web", "--name=coffee-svc", "--port=7281", "--target-port=8080");
      const data = ["--from-literal=namespace=default", "--from-literal=target-service-name=coffee-svc"];
      await kubectl("create", "configmap", "coffee", ...data);
      await kubectl("label", "configmap", "coffee", "app=loadbalancer");
      const told = (wanted: RegExp) =>
        eventually(
          `the ConfigMap says ${String(wanted)}`,
          async () => {
            const text = await kubectl("get", "configmap", "coffee", "-o", "jsonpath={.data.status} {.data.bind-ip}");
            if (wanted.test(text)) return true;
            throw new Error(`${text} ${controller.output().slice(-800)}`);
          },
          60,
        );
      await told(/^SUCCESS 127\.99\.0\.20$/);
      await answers("127.99.0.20", 7_281);
      const { icontrol, invalid, tenants } = await state();
      expect([invalid, tenants]).toEqual([[], {}]);
      expect(icontrol.virtual.map(({ name }) => name)).toEqual([expect.stringMatching(/_tcp_7281$/)]);
      await kubectl("delete", "service", "coffee-svc");
      await told(/^ERROR : Service default\/coffee-svc does not exist/);
      await eventually("nothing is left", async () =>
        (await state()).icontrol.partitions.join() === "Common" ? true : undefined,
      );
      expect(controller.output()).not.toContain(password);
    });
  },
);
