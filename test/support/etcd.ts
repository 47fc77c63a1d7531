import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lab } from "./lab.ts";

/** Why tests with etcd are skipped; undefined: it is there. */
export const noEtcd: string | undefined =
  spawnSync("etcd", ["--version"]).status === 0
    ? undefined
    : "skipped: no etcd on this machine (Debian: etcd-server, etcd-client)";

export interface EtcdOptions {
  /** Default 1. */
  readonly members?: number;
  /** Files in PEM; clients then need a certificate of the same authority. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  /** On disk instead of in memory. */
  readonly onDisk?: boolean;
  readonly flags?: readonly string[];
  /** Where it runs. Absent: on this machine. */
  readonly within?: Lab;
}

export interface EtcdMember {
  readonly name: string;
  readonly url: string;
  /** Of the running process; undefined: it does not run. */
  readonly pid: number | undefined;
  kill(signal: NodeJS.Signals): void;
  /** Kills it and waits for its end. */
  end(): Promise<void>;
  /** Starts it again with its data. */
  start(): Promise<void>;
}

export interface Etcd {
  readonly endpoints: readonly string[];
  readonly members: readonly EtcdMember[];
  stop(): Promise<void>;
}

/** Starts members on loopback ports of their own, in a directory of their own. Settles when all accept connections. */
export async function startEtcd({
  members: count = 1,
  tls,
  onDisk = false,
  flags = [],
  within,
}: EtcdOptions = {}): Promise<Etcd> {
  const directory = mkdtempSync(join(onDisk ? tmpdir() : "/dev/shm", "fairlead-etcd-"));
  const scheme = tls ? "https" : "http";
  const ports = await freePorts(count * 2);
  const names = Array.from({ length: count }, (_, i) => `m${i + 1}`);
  const clientUrl = (i: number) => `${scheme}://127.0.0.1:${ports[i]}`;
  const peerUrl = (i: number) => `http://127.0.0.1:${ports[count + i]}`;
  const members = names.map((name, i): EtcdMember => {
    let child: ChildProcess | undefined;
    const args = [
      ["--name", name],
      ["--data-dir", join(directory, name)],
      ["--listen-client-urls", clientUrl(i)],
      ["--advertise-client-urls", clientUrl(i)],
      ["--listen-peer-urls", peerUrl(i)],
      ["--initial-advertise-peer-urls", peerUrl(i)],
      ["--initial-cluster", names.map((other, j) => `${other}=${peerUrl(j)}`).join(",")],
      ["--initial-cluster-token", directory],
      // A quick election: the tests wait for it.
      ["--heartbeat-interval", "20", "--election-timeout", "200"],
      ["--logger", "zap", "--log-level", "error", "--log-outputs", join(directory, `${name}.log`)],
      tls ? ["--cert-file", tls.cert, "--key-file", tls.key, "--trusted-ca-file", tls.ca, "--client-cert-auth"] : [],
      flags,
    ].flat();
    return {
      name,
      url: clientUrl(i),
      get pid() {
        return child?.exitCode === null && child.signalCode === null ? child.pid : undefined;
      },
      kill: (signal) => void child?.kill(signal),
      async end() {
        const running = child;
        if (!running || running.exitCode !== null || running.signalCode !== null) return;
        const ended = once(running, "exit");
        running.kill("SIGKILL");
        await ended;
      },
      async start() {
        const [file, words] = within?.inside("etcd", args) ?? ["etcd", args];
        child = spawn(file, words, { stdio: "ignore", env: { PATH: process.env.PATH } });
        await accepts(ports[i] ?? 0, child, within);
      },
    };
  });
  const stop = async () => {
    await Promise.all(members.map((member) => member.end()));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await Promise.all(members.map((member) => member.start()));
  } catch (error) {
    await stop();
    throw error;
  }
  return { endpoints: names.map((_, i) => clientUrl(i)), members, stop };
}

async function accepts(port: number, child: ChildProcess, within: Lab | undefined): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`etcd ended with exit code ${child.exitCode}`);
    if (await (within ? opensWithin(within, port) : opens(port))) return;
    await sleep(20);
  }
}

async function opens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const open = await Promise.race([
    once(socket, "connect").then(() => true),
    once(socket, "error").then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return open;
}

async function opensWithin(lab: Lab, port: number): Promise<boolean> {
  const script =
    'require("net").connect(+process.argv[1], "127.0.0.1", () => process.exit(0)).on("error", () => process.exit(1))';
  return (await lab.run(process.execPath, ["-e", script, String(port)])).code === 0;
}

export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
