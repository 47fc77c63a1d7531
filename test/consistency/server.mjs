// One API server as a process of its own, which a test may kill. Usage: node server.mjs DIST CONFIG, where CONFIG is JSON:
// { pki, port, lmdb } or { pki, port, etcd: [URL, ...] }. Prints "ready" when it answers.
import { setMaxListeners } from "node:events";
import { pathToFileURL } from "node:url";

const [dist = "", text = "{}"] = process.argv.slice(2);
const load = (room) => import(new URL(`${room}/index.js`, `${pathToFileURL(dist).href}/`).href);
const [api, { openEtcdStore, openLmdbStore }, { silentLogger, systemClock: clock }] = await Promise.all([
  load("apiserver"),
  load("store"),
  load("system"),
]);
const { pki: directory, port, lmdb, etcd } = JSON.parse(text);
const stop = new AbortController();
const { signal } = stop;
setMaxListeners(0, signal);
const store = lmdb
  ? await openLmdbStore({ path: lmdb })
  : await openEtcdStore({ endpoints: etcd, root: "/registry/", prefix: "/registry/" });
const pki = await api.openPki(directory, clock);
const server = api.createApiServer({
  store,
  clock,
  log: silentLogger,
  signal,
  serviceCidrs: ["127.96.0.0/24"],
  nodePortRange: { first: 30_000, last: 30_199 },
  advertise: { address: "127.0.0.1", port },
  allowLoopback: true,
  kubelet: { open: () => Promise.reject(new Error("there is no kubelet")) },
});
const names = { name: "kube-apiserver", hosts: ["127.0.0.1"] };
const served = await api.serveHttps(server.handler, {
  host: "127.0.0.1",
  port,
  ...(await pki.server(`apiserver-${port}`, names)),
  clientCa: pki.ca,
  authenticator: server.authenticator,
  signal,
  log: silentLogger,
});
await server.ready;
process.stdout.write("ready\n");
process.on("SIGTERM", () => stop.abort());
await Promise.all([server.stopped, served.stopped]);
await store.close();
