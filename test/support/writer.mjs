// Runs in a lab: creates ConfigMaps one after the other and prints the name of each that the API has acknowledged.
// Goes on when the API is away. Usage: node writer.mjs KUBECONFIG. SIGTERM ends it.
import { readFileSync } from "node:fs";
import { request as send } from "node:https";
import { parse } from "yaml";

const config = parse(readFileSync(process.argv[2] ?? "", "utf8"));
const { cluster } = config.clusters[0];
const { user } = config.users[0];
const decode = (text) => Buffer.from(text, "base64");
const { hostname, port } = new URL(cluster.server);
const options = {
  hostname,
  port,
  ca: decode(cluster["certificate-authority-data"]),
  cert: decode(user["client-certificate-data"]),
  key: decode(user["client-key-data"]),
  method: "POST",
  path: "/api/v1/namespaces/default/configmaps",
  headers: { "content-type": "application/json" },
  timeout: 5_000,
};

function create(name) {
  return new Promise((resolve) => {
    const request = send(options, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode === 201));
      response.on("error", () => resolve(false));
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
    request.end(JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { name } }));
  });
}

let ended = false;
process.once("SIGTERM", () => (ended = true));
for (let i = 0; !ended; i++) {
  if (await create(`written-${i}`)) process.stdout.write(`written-${i}\n`);
  else await new Promise((resolve) => setTimeout(resolve, 20));
}
process.exit(0);
