import { once } from "node:events";
import { spawn } from "node:child_process";
import { type AddressInfo, createServer } from "node:net";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { streamDecode, streamEncode } from "dns-packet";
import { freePort, runOrThrow, systemCommands } from "../../src/system/index.ts";
import { repository } from "../support/lab.ts";
import { selfSigned } from "../dataplane/certificates.ts";
import { eventually } from "../dataplane/cluster.ts";

/** Let's Encrypt's own small ACME server, as a process. */
export interface Pebble {
  readonly directory: string;
  /** PEM of the certificate by which it is reached. */
  readonly ca: string;
  /** What it has logged. */
  readonly log: () => string;
  stop(): Promise<void>;
}

/**
 * Starts it: names are at 127.0.0.1, proofs are asked for on `httpPort` and `tlsPort` (default: where nobody is), and every fifth nonce is
 * refused. `directory` is for its files.
 */
export async function startPebble(directory: string, at: { httpPort?: number; tlsPort?: number }): Promise<Pebble> {
  const { httpPort = await freePort(), tlsPort = await freePort() } = at;
  const program = join(repository, ".cache", "acme", "pebble");
  await mkdir(join(repository, ".cache", "acme"), { recursive: true });
  const build = ["-C", join(repository, "test/acme/go"), "-o", program, "github.com/letsencrypt/pebble/v2/cmd/pebble"];
  await runOrThrow(systemCommands, "go", ["build", ...build], { timeout: 1_500_000 });

  // It asks over TCP only.
  const names = createServer((socket) => {
    let heard = Buffer.alloc(0);
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      heard = Buffer.concat([heard, chunk]);
      while (heard.length > 2 && heard.length >= 2 + heard.readUInt16BE(0)) {
        const { id, questions = [] } = streamDecode(heard);
        const answers = questions.flatMap(({ name, type }) =>
          type === "A" && !name.startsWith("nowhere.") ? [{ name, type, ttl: 0, data: "127.0.0.1" } as const] : [],
        );
        socket.write(streamEncode({ type: "response", id: id ?? 0, questions, answers }));
        heard = heard.subarray(2 + heard.readUInt16BE(0));
      }
    });
  });
  names.listen(0, "127.0.0.1");
  await once(names, "listening");

  const [port, management] = [await freePort(), await freePort()];
  const pair = selfSigned(["localhost"]);
  const [certificate, privateKey] = [join(directory, "pebble.crt"), join(directory, "pebble.key")];
  await writeFile(certificate, pair["tls.crt"]);
  await writeFile(privateKey, pair["tls.key"]);
  const config = join(directory, "pebble.json");
  const pebble = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${management}`,
    certificate,
    privateKey,
    httpPort,
    tlsPort,
    retryAfter: { authz: 1, order: 1 },
    profiles: { default: { description: "ninety days", validityPeriod: 7_776_000 } },
  };
  await writeFile(config, JSON.stringify({ pebble }));
  const env = { ...process.env, PEBBLE_VA_NOSLEEP: "1", PEBBLE_WFE_NONCEREJECT: "20", PEBBLE_AUTHZREUSE: "0" };
  const child = spawn(
    program,
    ["-config", config, "-dnsserver", `127.0.0.1:${(names.address() as AddressInfo).port}`],
    { env },
  );
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (log += String(chunk)));
  await eventually("pebble listens", () => log.includes("ACME directory available"));
  return {
    directory: `https://localhost:${port}/dir`,
    ca: pair["tls.crt"],
    log: () => log,
    async stop() {
      const ended = once(child, "exit");
      child.kill();
      await ended;
      names.close();
    },
  };
}
