// What someone would write by hand to proxy to one backend, and nothing more: HAProxy, nginx, Caddy; and the backend itself.
// `-telling`: the same, and endpoints are told what Fairlead tells them of the client.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../../src/system/index.ts";

export type ByHand = "backend" | "haproxy" | "nginx" | "caddy" | `${"haproxy" | "nginx"}-telling`;

/** A program that listens, with all processes that it started. */
export interface Target {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

const nginx = (directory: string, http: string): string => `pid ${directory}/nginx.pid; daemon off; worker_processes 1;
error_log stderr error;
events { worker_connections 4096; multi_accept on; }
http { access_log off; keepalive_requests 1000000; ${http} }
`;

type Configuration = (directory: string, port: number, backend: number) => string;

const nginxProxy =
  (fields: string): Configuration =>
  (directory, port, backend) =>
    nginx(
      directory,
      `upstream web { server 127.0.0.1:${backend}; keepalive 512; keepalive_requests 1000000; }
server { listen 127.0.0.1:${port}; server_name bench.test;
location / { proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; ${fields} } }`,
    );

const haproxyProxy =
  (fields: readonly string[]): Configuration =>
  (_directory, port, backend) =>
    `global
  nbthread 1
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  option forwardfor
frontend web
  bind 127.0.0.1:${port}
${fields.map((field) => `  http-request set-header ${field}\n`).join("")}  default_backend web
backend web
  server one 127.0.0.1:${backend}
`;

const configurations: Readonly<Record<ByHand, Configuration>> = {
  backend: (directory, port) =>
    nginx(directory, `server { listen 127.0.0.1:${port}; location / { return 200 "hello world\\n"; } }`),
  nginx: nginxProxy(""),
  "nginx-telling": nginxProxy(
    `proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Forwarded-Port $server_port;
proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Request-ID $request_id;`,
  ),
  haproxy: haproxyProxy([]),
  "haproxy-telling": haproxyProxy([
    "X-Forwarded-Proto http",
    "X-Forwarded-Host %[req.hdr(host)]",
    "X-Forwarded-Port %[dst_port]",
    "X-Real-IP %[src]",
    "X-Request-ID %[uuid()]",
  ]),
  caddy: (_directory, port, backend) => `{
  admin off
  auto_https off
}
http://bench.test:${port} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${backend}
}
`,
};

const commands: Readonly<Record<ByHand, (file: string, directory: string) => [string, ...string[]]>> = {
  backend: (file, directory) => ["nginx", "-p", directory, "-c", file],
  nginx: (file, directory) => ["nginx", "-p", directory, "-c", file],
  "nginx-telling": (file, directory) => ["nginx", "-p", directory, "-c", file],
  haproxy: (file) => ["haproxy", "-db", "-f", file],
  "haproxy-telling": (file) => ["haproxy", "-db", "-f", file],
  caddy: (file) => ["caddy", "run", "--config", file, "--adapter", "caddyfile"],
};

/** Starts a program with its minimal configuration and waits until it listens. */
export async function startByHand(name: ByHand, backend = 0): Promise<Target> {
  const directory = await mkdtemp(join(tmpdir(), `fairlead-${name}-`));
  const port = await freePort();
  const file = join(directory, "configuration");
  await writeFile(file, configurations[name](directory, port, backend));
  const [program, ...args] = commands[name](file, directory);
  // One core for each, as the others have by their configuration.
  const child = spawn(program, args, {
    stdio: ["ignore", "ignore", "ignore"],
    env: { ...process.env, HOME: directory, GOMAXPROCS: "1" },
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await listening(port, child, program);
  return {
    name,
    port,
    pid: child.pid ?? 0,
    async stop() {
      child.kill("SIGTERM");
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function listening(port: number, child: ChildProcess, program: string): Promise<void> {
  let failed: Error | undefined;
  child.once("error", (error) => (failed = error));
  for (let i = 0; i < 1_000; i++) {
    if (failed) throw failed;
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`);
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${program} does not listen`);
}
