import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runOrThrow, systemCommands } from "../../../src/system/index.ts";
import { podIp, podPort } from "./objects.ts";

const haproxyPort = 9090;

/** Requests a second, by way and kind. */
export interface Throughput {
  readonly keptAlive: number;
  readonly newConnections: number;
}

export interface Backends {
  readonly haproxy: string;
  readonly haproxyCpu: () => number;
  close(): void;
}

/** nginx as the pods of a Service, and haproxy in TCP mode before the same pods. */
export async function startBackends(endpoints: number): Promise<Backends> {
  const dir = mkdtempSync(join(tmpdir(), "fairlead-bench-"));
  const nginx = `daemon off; worker_processes 1; pid ${dir}/pid; error_log /dev/null;
events { worker_connections 8192; }
http { access_log off; keepalive_requests 1000000; server { listen ${podPort} backlog=4096 reuseport; return 200 "hello\\n"; } }\n`;
  const servers = Array.from({ length: endpoints }, (_, k) => `  server s${k} ${podIp(k)}:${podPort}\n`).join("");
  const haproxy = `global
  nbthread 1
  maxconn 8192
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind 127.0.0.1:${haproxyPort} backlog 4096
  default_backend b
backend b
${servers}`;
  writeFileSync(join(dir, "nginx.conf"), nginx);
  writeFileSync(join(dir, "haproxy.cfg"), haproxy);
  const children: ChildProcess[] = [
    spawn("nginx", ["-e", "/dev/null", "-c", join(dir, "nginx.conf")], { stdio: "ignore" }),
    spawn("haproxy", ["-db", "-f", join(dir, "haproxy.cfg")], { stdio: "ignore" }),
  ];
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  for (const child of children) if (child.exitCode !== null) throw new Error(`${child.spawnfile} did not start`);
  const [, proxy] = children;
  return {
    haproxy: `127.0.0.1:${haproxyPort}`,
    haproxyCpu: () => cpuOf(proxy?.pid ?? 0),
    close() {
      for (const child of children) child.kill("SIGTERM");
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Milliseconds of a process's time so far. */
export function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** wrk with 64 connections against an address, for some seconds each way. */
export async function measureThroughput(target: string, seconds: number): Promise<Throughput> {
  const wrk = async (...more: string[]): Promise<number> => {
    const said = await runOrThrow(
      systemCommands,
      "wrk",
      ["-t1", "-c64", `-d${seconds}s`, ...more, `http://${target}/`],
      { timeout: (seconds + 30) * 1000 },
    );
    return Number(/Requests\/sec:\s+([\d.]+)/.exec(said)?.[1] ?? Number.NaN);
  };
  return { keptAlive: await wrk(), newConnections: await wrk("-H", "Connection: close") };
}
