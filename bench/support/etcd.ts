import { spawn } from "node:child_process";
import { freePort } from "../../src/system/index.ts";

/** One member of etcd, as it is installed, with its data in a directory. */
export interface Etcd {
  readonly url: string;
  /** Settles when it has ended, or could not be started, with why. */
  readonly ended: Promise<string>;
  end(): Promise<void>;
}

export async function startEtcd(data: string): Promise<Etcd> {
  const [client, peer] = [await freePort(), await freePort()];
  const [url, peerUrl] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
  const flags = { "--data-dir": data, "--listen-client-urls": url, "--advertise-client-urls": url };
  const peers = { "--listen-peer-urls": peerUrl, "--initial-advertise-peer-urls": peerUrl };
  const args = Object.entries({ ...flags, ...peers, "--initial-cluster": `default=${peerUrl}` }).flat();
  const child = spawn("etcd", args, { stdio: "ignore" });
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", () => resolve("etcd ended"));
  });
  return {
    url,
    ended,
    async end() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
