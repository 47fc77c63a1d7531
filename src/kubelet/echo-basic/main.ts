// Stands for the image registry.k8s.io/gateway-api/echo-basic: the backend of the Gateway API's conformance tests. It tells
// what it was asked, over HTTP, WebSocket, gRPC, TCP or UDP.
import { readSettings } from "./settings.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const fail = (error: Error): void => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
};

async function start(): Promise<void> {
  const settings = readSettings(process.env);
  // Each kind loads what it needs, and no more.
  if (settings.mode === "http") (await import("./http.ts")).serveHttp(settings, say, fail);
  else if (settings.mode === "grpc") (await import("./grpc.ts")).serveGrpc(settings, say, fail);
  else if (settings.mode === "tcp") (await import("./tcp.ts")).serveTcp(settings, say, fail);
  else (await import("./udp.ts")).serveUdp(settings, say, fail);
  process.once("SIGTERM", () => process.exit(0));
}

start().catch(fail);
