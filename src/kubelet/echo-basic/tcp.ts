import { readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { createServer as createTls, type TLSSocket } from "node:tls";
import type { EchoBasicSettings } from "./settings.ts";
import { tlsFacts } from "./tls-facts.ts";

const welcome = "Gateway API Test TCP Server\n";

/** Serves lines: `TEST` is answered with what the connection is, `IS_TLS` with whether it has TLS, `PING` with `PONG`. */
export function serveTcp(settings: EchoBasicSettings, say: (line: string) => void, fail: (error: Error) => void): void {
  const { address, httpPort, tlsPort, certificate, key } = settings;
  createServer((socket) => talk(socket))
    .on("error", fail)
    .listen(httpPort, address, () => say(`Starting server (tcp) on port ${httpPort}`));
  if (certificate && key)
    createTls({ cert: readFileSync(certificate), key: readFileSync(key) }, (socket) => talk(socket, socket))
      .on("tlsClientError", () => {})
      .on("error", fail)
      .listen(tlsPort, address, () => say(`Starting server (tls) on port ${tlsPort}`));

  function talk(socket: Socket, secure?: TLSSocket): void {
    socket.on("error", () => socket.destroy());
    socket.write(welcome);
    const facts = {
      ...settings.pod,
      tcpport: String(httpPort),
      tlsport: String(tlsPort),
      isTLS: secure !== undefined,
      ...(secure ? { tls: tlsFacts(secure) } : {}),
    };
    const answers = new Map([
      ["TEST", JSON.stringify(facts)],
      ["IS_TLS", String(secure !== undefined)],
      ["PING", "PONG"],
    ]);
    createInterface({ input: socket }).on("line", (line) => {
      const answer = answers.get(line);
      if (answer !== undefined && socket.writable) socket.write(`${answer}\n`);
    });
  }
}
