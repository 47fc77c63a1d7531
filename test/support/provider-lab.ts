import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LoadBalancerIngress, Service } from "../../src/kube/index.ts";
import { eventually, printed, type TestCluster } from "./cluster.ts";
import { type Lab, repository, type Running } from "./lab.ts";
import { load } from "./load.ts";

/** A cluster with `fairlead loadbalancer` beside it, for a provider whose other side is a contract server at `url`. */
export interface ProviderLab<State> {
  kubectl(...args: string[]): Promise<string>;
  /** Sends JSON to the contract server. */
  post(path: string, body: object): Promise<void>;
  state(): Promise<State>;
  /** Starts the controller; `output()` is of the last one. */
  startController(): void;
  stopController(): Promise<void>;
  output(): string;
  /** Applies a Service of the provider's class that leads to `app: web`. */
  expose(name: string, port: number, more?: object): Promise<void>;
  /** Of a Service whose load balancer is as it is asked for. */
  addressOf(name: string): Promise<LoadBalancerIngress>;
  /** Ten requests in a row are answered; from `client`, or the lab itself. */
  answers(address: string, port: number): Promise<boolean>;
}

export function providerLab<State>(options: {
  readonly lab: Lab;
  readonly cluster: TestCluster;
  readonly url: string;
  readonly loadBalancerClass: string;
  /** Of `fairlead loadbalancer --config`. */
  readonly config: string;
  readonly client?: Lab;
}): ProviderLab<State> {
  const { lab, cluster, url, loadBalancerClass, config, client = lab } = options;
  let controller: Running | undefined;
  const kubectl = async (...args: string[]) => printed(await cluster.kubectl(args));
  const ask = async (path: string, init: object) => {
    const script = `console.log(await (await fetch(${JSON.stringify(url + path)}, ${JSON.stringify(init)})).text())`;
    return printed(await lab.run(process.execPath, ["--input-type=module", "-e", script]));
  };
  const output = () => controller?.output() ?? "";
  return {
    kubectl,
    output,
    post: async (path, body) => void (await ask(path, { method: "POST", body: JSON.stringify(body) })),
    state: async () => JSON.parse(await ask("/_test/state", {})) as State,
    startController() {
      const words = ["loadbalancer", "--no-probe", "--kubeconfig", cluster.kubeconfig, "--config", config];
      controller = lab.start(process.execPath, [join(repository, "fairlead"), ...words]);
    },
    stopController: async () => controller?.stop(),
    async expose(name, port, more = {}) {
      const ports = [{ name: "http", port, targetPort: 8_080 }];
      const spec = { type: "LoadBalancer", loadBalancerClass, selector: { app: "web" }, ports, ...more };
      const file = join(lab.dir, `${name}.json`);
      await writeFile(file, JSON.stringify({ apiVersion: "v1", kind: "Service", metadata: { name }, spec }));
      await kubectl("apply", "-f", file);
    },
    addressOf: (name) =>
      eventually(
        `Service ${name} is ready`,
        async () => {
          const { status } = JSON.parse(await kubectl("get", "service", name, "-o", "json")) as Service;
          const ready = status?.conditions?.find(({ type }) => type === "fairlead.dev/LoadBalancerReady");
          if (ready?.status === "True") return status?.loadBalancer?.ingress?.[0];
          throw new Error(`${ready?.reason}: ${ready?.message} ${output().slice(-500)}`);
        },
        60,
      ),
    answers: (address, port) =>
      eventually(
        `${address}:${port} answers`,
        async () => {
          const { ok, failures } = await load(client, { url: `http://${address}:${port}/`, count: 10 });
          if (ok !== 10)
            throw new Error(`${JSON.stringify(failures[0])} ${(await ask("/_test/state", {})).slice(-600)}`);
          return true;
        },
        60,
      ),
  };
}
