// How long after Rancher has moved a load balancer its Ingress's status says so: where Rancher pushes, and where it is asked. The baseline
// is what lb-controller did: it asked every 30 s.
// Usage: npm run bench:rancher -- [--moves 20] [--polls 3] [--json]
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { createFakeClient, createInformers } from "../src/client/index.ts";
import { resources } from "../src/kube/index.ts";
import { startProviderController } from "../src/loadbalancer/provider/index.ts";
import { createProvider } from "../src/loadbalancer/rancher/index.ts";
import { silentLogger, systemClock } from "../src/system/index.ts";
import type * as RancherServer from "../test/loadbalancer/rancher/server.mjs";
import { createReport, quantile } from "./support/report.ts";

const { values } = parseArgs({
  options: {
    moves: { type: "string", default: "20" },
    polls: { type: "string", default: "3" },
    json: { type: "boolean", default: false },
  },
});
const report = createReport(values.json);
const contractServer = pathToFileURL(join(process.cwd(), "test/loadbalancer/rancher/server.mjs")).href;
const { accessKey, createRancher, secretKey } = (await import(contractServer)) as typeof RancherServer;
const lbControllerPolls = 30_000;

for (const version of ["v2-beta", "v1"]) {
  await measure(`${version}, pushed`, { versions: [version] }, Number(values.moves), 2_000);
  await measure(`${version}, asked`, { versions: [version], push: false }, Number(values.polls), 30_000);
}
process.exit(0);

async function measure(name: string, mode: object, moves: number, most: number): Promise<void> {
  const rancher = createRancher();
  Object.assign(rancher.mode, mode);
  rancher.mirror([{ namespace: "shop", name: "web", uid: "uid-web", addresses: ["10.0.0.1"] }]);
  rancher.server.listen(0, "127.0.0.1");
  await once(rancher.server, "listening");
  const url = `http://127.0.0.1:${(rancher.server.address() as AddressInfo).port}/v1/projects/1a5`;

  const client = createFakeClient();
  const where = { namespace: "shop", name: "web" };
  client.put(resources.IngressClass, { metadata: { name: "rancher" }, spec: { controller: "fairlead.dev/rancher" } });
  client.put(resources.Service, {
    metadata: { ...where, uid: "uid-web" },
    spec: { type: "ClusterIP", ports: [{ port: 80, targetPort: 8080 }] },
  });
  const backend = { service: { name: "web", port: { number: 80 } } };
  client.put(resources.Ingress, {
    metadata: { ...where, uid: "uid-ingress" },
    spec: {
      ingressClassName: "rancher",
      rules: [{ host: "web.example", http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }],
    },
  });
  const stop = new AbortController();
  const options = { signal: stop.signal, log: silentLogger, clock: systemClock };
  const provider = createProvider({ url, accessKey, secretKey, pollMs: 50 });
  const informers = createInformers(client, options);
  const running = startProviderController({ client, informers, provider, cluster: "bench", ...options });
  const has = async (address: string) => {
    for (;;) {
      const { status } = await client.get(resources.Ingress, where);
      if (status?.loadBalancer?.ingress?.[0]?.ip === address) return;
      await pause(1);
    }
  };
  await has("127.98.0.1");
  const isPushed = !("push" in mode);
  while (isPushed && rancher.state().subscribers === 0) await pause(10);

  const took: number[] = [];
  for (let i = 0; i < moves; i++) {
    const address = `127.98.0.${2 + (i % 2)}`;
    // Asking goes on in its own time: moves are spread over it.
    if (!isPushed) await pause(Math.round((20_000 * i) / moves));
    const begin = performance.now();
    rancher.move(address);
    await has(address);
    took.push(performance.now() - begin);
  }
  const figure = { unit: "ms", baseline: lbControllerPolls, against: "lb-controller", goal: { most } };
  report({ name: `${name}: a move is in the status, p50`, value: quantile(took, 0.5), ...figure });
  report({ name: `${name}: the longest of ${moves}`, value: Math.max(...took), ...figure });
  // A controller that stops takes nothing away.
  const before = JSON.stringify((await client.get(resources.Ingress, where)).status);
  const { log } = rancher.state();
  const writes = log.length;
  stop.abort();
  await running.stopped;
  const after = JSON.stringify((await client.get(resources.Ingress, where)).status);
  const changes = rancher.state().log.length - writes + (before === after ? 0 : 1);
  report({ name: `${name}: writes of a controller that stops`, value: changes, unit: "", goal: { most: 0 } });
  await rancher.close();
}
