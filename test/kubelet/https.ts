import { request } from "node:https";
import { resources } from "../../src/kube/index.ts";
import type { TestNode } from "./cluster.ts";
import type { KeyPair } from "./pki.ts";

/** GET at the kubelet's own API; as an administrator unless told otherwise. */
export async function kubeletGet(
  node: TestNode,
  path: string,
  client: KeyPair | "anonymous" = node.pki.admin,
): Promise<{ status: number; body: string }> {
  const { status } = await node.client.get(resources.Node, { name: "n1" });
  const port = status?.daemonEndpoints?.kubeletEndpoint?.Port;
  return new Promise((resolve, reject) => {
    const options = {
      host: "127.0.0.1",
      port,
      path,
      ca: node.pki.ca,
      agent: false,
      ...(client === "anonymous" ? {} : client),
    };
    const asked = request(options, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", reject);
    });
    asked.on("error", reject);
    asked.end();
  });
}
