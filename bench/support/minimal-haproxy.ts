import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../src/system/index.ts";

/** HAProxy with what someone would write by hand for one backend, and nothing more. */
export async function startMinimalHaproxy(
  backendPort: number,
): Promise<{ port: number; pid: number; stop(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), "fairlead-minimal-"));
  const port = await freePort();
  const config = join(directory, "haproxy.cfg");
  await writeFile(
    config,
    `defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  option forwardfor
frontend web
  bind 127.0.0.1:${port}
  default_backend web
backend web
  server one 127.0.0.1:${backendPort}
`,
  );
  const child = spawn("haproxy", ["-db", "-f", config], { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  for (let i = 0; i < 500; i++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (open) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return {
    port,
    pid: child.pid ?? 0,
    async stop() {
      child.kill("SIGTERM");
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}
