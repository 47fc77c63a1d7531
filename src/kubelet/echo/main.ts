// The image fairlead.dev/echo: answers HTTP with what it was asked, and echoes TCP and UDP. It starts fast and stays
// small, so it imports only what it needs.
import { readFileSync } from "node:fs";
import { createServer, isIPv6 } from "node:net";
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
  const { drainMs, pod } = settings;
  const addresses = settings.address === "0.0.0.0" && hasIpv6() ? ["0.0.0.0", "::"] : [settings.address];
  const each = <T>(ports: readonly number[], listen: (host: string, port: number) => T): T[] =>
    ports.flatMap((port) => addresses.map((host) => listen(host, port)));
  const fail = (what: string) => (error: Error) => {
    process.stderr.write(`cannot listen on ${what}: ${error.message}\n`);
    process.exit(1);
  };

  const https = each(settings.httpPorts, (host, port) => {
    const http = createEchoHttp(settings, accessLog(settings.logsPerSecond));
    const where = placeOf(host, port);
    http.server.on("error", fail(where));
    http.server.listen({ host, port, ipv6Only: isIPv6(host) }, () =>
      say(`${pod.name || "echo"} answers HTTP on ${where}`),
    );
    return http;
  });

  const tcps = each(settings.tcpPorts, (host, port) => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => socket.destroy());
      socket.pipe(socket);
    });
    const where = placeOf(host, port);
    server.on("error", fail(where));
    return server.listen({ host, port, ipv6Only: isIPv6(host) }, () => say(`echoes TCP on ${where}`));
  });

  void each(settings.udpPorts, (host, port) => echoUdp(host, port, pod.name, fail(`${placeOf(host, port)}/udp`)));

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

const placeOf = (host: string, port: number): string => (isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`);

/** Whether this network namespace has IPv6 at all: a listener for both families would call IPv4 clients `::ffff:...`. */
function hasIpv6(): boolean {
  try {
    return readFileSync("/proc/net/if_inet6", "utf8") !== "";
  } catch {
    return false;
  }
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
  const socket = createSocket({ type: isIPv6(address) ? "udp6" : "udp4", ipv6Only: isIPv6(address) });
  socket.on("error", fail);
  socket.on("message", (message, from) => {
    socket.send(Buffer.concat([Buffer.from(`${name}: `), message]), from.port, from.address, () => {});
  });
  socket.bind(port, address, () => say(`echoes UDP on ${placeOf(address, port)}`));
}

start();
