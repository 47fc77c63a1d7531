import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPki } from "../../src/apiserver/index.ts";
import { systemClock } from "../../src/system/index.ts";
import { freePorts } from "../support/etcd.ts";
import { connectHttp, type HttpClient } from "./http-api.ts";

const root = join(import.meta.dirname, "../..");
const script = join(import.meta.dirname, "server.mjs");

/** An API server that runs as a process of its own. */
export interface ApiProcess {
  readonly client: HttpClient;
  readonly port: number;
  /** Kills it at once and waits for its end. */
  kill(): Promise<void>;
  /** Starts it again where it was. Settles when it answers. */
  start(): Promise<void>;
}

export interface ApiProcesses {
  readonly servers: readonly ApiProcess[];
  readonly stop: () => Promise<void>;
}

/** Starts `count` API servers on one store, with certificates of one authority. Settles when all answer. */
export async function startApiServers(
  count: number,
  store: { readonly lmdb: string } | { readonly etcd: readonly string[] },
): Promise<ApiProcesses> {
  // Builds when sources are newer.
  const built = spawnSync(process.execPath, [join(root, "fairlead"), "version"], { encoding: "utf8" });
  if (built.status !== 0) throw new Error(`the build failed: ${built.stderr}`);
  const pkiDirectory = mkdtempSync(join(tmpdir(), "fairlead-pki-"));
  const pki = await openPki(pkiDirectory, systemClock);
  const admin = await pki.client("admin", { user: "admin", groups: ["system:masters"] });
  const ports = await freePorts(count);
  const servers = ports.map((port): ApiProcess => {
    let child: ChildProcess | undefined;
    const client = connectHttp(`https://127.0.0.1:${port}`, { ca: pki.ca, ...admin });
    return {
      client,
      port,
      async kill() {
        if (!child || child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, "exit");
        child.kill("SIGKILL");
        await ended;
      },
      async start() {
        const config = JSON.stringify({ ...store, pki: pkiDirectory, port });
        const started = spawn(process.execPath, [script, join(root, "dist"), config], {
          stdio: ["ignore", "pipe", "inherit"],
        });
        child = started;
        await Promise.race([
          once(started.stdout, "data"),
          once(started, "exit").then(([code]) => {
            throw new Error(`the API server on port ${port} ended with ${String(code)}`);
          }),
        ]);
      },
    };
  });
  const stop = async (): Promise<void> => {
    for (const { client } of servers) client.close();
    await Promise.all(servers.map((server) => server.kill()));
    rmSync(pkiDirectory, { recursive: true, force: true });
  };
  try {
    await Promise.all(servers.map((server) => server.start()));
  } catch (error) {
    await stop();
    throw error;
  }
  return { servers, stop };
}
