// Runs in a lab: reads {base, kubeconfig?, requests:[{method, path, headers, body (base64)}]} as JSON from standard
// input, sends them one after the other with the client certificate, and prints [{status, body}] as JSON.
import { readFileSync } from "node:fs";
import { request as send } from "node:https";
import { parse } from "yaml";

const { kubeconfig, requests } = JSON.parse(readFileSync(0, "utf8"));
const config = parse(readFileSync(kubeconfig, "utf8"));
const { cluster } = config.clusters[0];
const { user } = config.users[0];
const decode = (text) => Buffer.from(text, "base64");
const identity = {
  ca: decode(cluster["certificate-authority-data"]),
  cert: decode(user["client-certificate-data"]),
  key: decode(user["client-key-data"]),
};

function exchange({ method, path, headers = {}, body, anonymous }) {
  const { hostname, port } = new URL(cluster.server);
  const content = body === undefined ? undefined : decode(body);
  const tls = anonymous ? { ca: identity.ca } : identity;
  // Without a length Node.js sends the body of a DELETE bare.
  const length = content === undefined ? {} : { "content-length": content.length };
  return new Promise((resolve) => {
    const request = send(
      { ...tls, hostname, port, method, path, headers: { ...headers, ...length }, agent: false },
      (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () => resolve({ status: response.statusCode, body: Buffer.concat(chunks).toString() }));
      },
    );
    request.on("error", (error) => resolve({ status: 0, body: String(error) }));
    request.end(content);
  });
}

const answers = [];
for (const request of requests) answers.push(await exchange(request));
process.stdout.write(JSON.stringify(answers));
