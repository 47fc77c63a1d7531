// An API server as a process of its own, on an address that others reach. Usage: node vip-api.mjs DIST CONFIG, where CONFIG is JSON:
// { host, port, dir, six }: `six` gives Services addresses of both families. Writes DIR/kubeconfig and prints "ready" when it answers. SIGTERM ends it.
import { setMaxListeners } from "node:events";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [dist = "", text = "{}"] = process.argv.slice(2);
const load = (room) => import(new URL(`${room}/index.js`, `${pathToFileURL(dist).href}/`).href);
const [api, { openLmdbStore }, { silentLogger, systemClock: clock }] = await Promise.all([
  load("apiserver"),
  load("store"),
  load("system"),
]);
const { host, port, dir, six } = JSON.parse(text);
const stop = new AbortController();
const { signal } = stop;
setMaxListeners(0, signal);
const store = await openLmdbStore({ path: join(dir, "store"), noFsync: true });
const pki = await api.openPki(join(dir, "pki"), clock);
const client = await pki.client("admin", { user: "admin", groups: ["system:masters"] });
const server = api.createApiServer({
  store,
  clock,
  log: silentLogger,
  signal,
  serviceCidrs: six ? ["10.96.0.0/16", "fd00:96::/112"] : ["10.96.0.0/16"],
  advertise: { address: host, port },
  kubelet: { open: () => Promise.reject(new Error("there is no kubelet")) },
});
const served = await api.serveHttps(server.handler, {
  host,
  port,
  ...(await pki.server("apiserver", { name: "kube-apiserver", hosts: [host, "kube-apiserver"] })),
  clientCa: pki.ca,
  authenticator: server.authenticator,
  signal,
  log: silentLogger,
});
await server.ready;
const config = { cluster: "lab", server: `https://${host}:${port}`, ca: pki.ca, user: "admin", client };
await api.writeKubeconfig(join(dir, "kubeconfig"), config);
process.stdout.write("ready\n");
process.on("SIGTERM", () => stop.abort());
await Promise.all([server.stopped, served.stopped]);
await store.close();
process.exit(0);
