// The image fairlead.dev/echo: answers HTTP with what it was asked, and echoes TCP and UDP. It starts fast and stays
// small, so it imports only what it needs.
import { createServer } from "node:net";
import { createEchoHttp } from "./http.ts";
import { type EchoSettings, readSettings } from "./settings.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function start(): void {
  let settings: EchoSettings;
  try {
    settings = readSettings(process.env);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
  const { address, drainMs, pod } = settings;
  const fail = (what: string) => (error: Error) => {
    process.stderr.write(`cannot listen on ${what}: ${error.message}\n`);
    process.exit(1);
  };

  const https = settings.httpPorts.map((port) => {
    const http = createEchoHttp(settings, accessLog(settings.logsPerSecond));
    http.server.on("error", fail(`${address}:${port}`));
    http.server.listen(port, address, () => say(`${pod.name || "echo"} answers HTTP on ${address}:${port}`));
    return http;
  });

  const tcps = settings.tcpPorts.map((port) => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => socket.destroy());
      socket.pipe(socket);
    });
    server.on("error", fail(`${address}:${port}`));
    return server.listen(port, address, () => say(`echoes TCP on ${address}:${port}`));
  });

  for (const port of settings.udpPorts) void echoUdp(address, port, pod.name, fail(`${address}:${port}/udp`));

  const stop = async (): Promise<void> => {
    say(`draining for ${drainMs / 1000} s`);
    for (const http of https) http.drain();
    await new Promise((resolve) => setTimeout(resolve, drainMs));
    for (const server of tcps) server.close();
    await Promise.all(https.map((http) => http.finish()));
    process.exit(0);
  };
  process.once("SIGTERM", () => void stop());
  process.once("SIGINT", () => void stop());
}

/** Writes a line unless more than `perSecond` came within this second. */
function accessLog(perSecond: number): (line: string) => void {
  let second = 0;
  let lines = 0;
  return (line) => {
    const now = Math.trunc(Date.now() / 1000);
    if (now !== second) [second, lines] = [now, 0];
    if (++lines <= perSecond) say(line);
  };
}

async function echoUdp(address: string, port: number, name: string, fail: (error: Error) => void): Promise<void> {
  const { createSocket } = await import("node:dgram");
  const socket = createSocket("udp4");
  socket.on("error", fail);
  socket.on("message", (message, from) => {
    socket.send(Buffer.concat([Buffer.from(`${name}: `), message]), from.port, from.address, () => {});
  });
  socket.bind(port, address, () => say(`echoes UDP on ${address}:${port}`));
}

start();
