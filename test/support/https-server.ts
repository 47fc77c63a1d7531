import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { createAuthority, issueServer, type KeyPair } from "../../src/apiserver/pki/authority.ts";
import { systemClock } from "../../src/system/index.ts";

/** A server of HTTPS on 127.0.0.1 with a certificate of its own authority. */
export interface HttpsServer {
  readonly port: number;
  /** PEM of its authority, in base64: what a `caBundle` holds. */
  readonly caBundle: string;
  stop(): Promise<void>;
}

/** Starts a server whose certificate is for `hosts`. */
export async function startHttpsServer(
  hosts: readonly string[],
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  options: ServerOptions = {},
): Promise<HttpsServer> {
  const authority: KeyPair = await createAuthority("test server", systemClock);
  const pair = await issueServer(authority, { name: "server", hosts }, systemClock);
  const server = createServer({ ...pair, ...options }, answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    caBundle: Buffer.from(authority.cert).toString("base64"),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The body of a request as JSON. */
export async function readJson<T>(request: IncomingMessage): Promise<T> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString()) as T;
}

/** The objects that make `name` in `namespace` a Service of what listens on a port of this machine. */
export function serviceOf(name: string, namespace: string, port: number): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec: { ports: [{ name: https, port: 443 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-1, namespace: ${namespace}, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
ports: [{ name: https, port: ${port} }]
endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }]
`;
}
