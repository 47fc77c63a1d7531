import { createSocket } from "node:dgram";
import type { EchoBasicSettings } from "./settings.ts";

/** Answers each datagram with what it was and who answers, as JSON. */
export function serveUdp(settings: EchoBasicSettings, say: (line: string) => void, fail: (error: Error) => void): void {
  const { address, udpPort, pod } = settings;
  const socket = createSocket("udp4");
  socket.on("error", fail);
  socket.on("message", (message, from) => {
    const request = message.toString("utf8");
    say(`Received UDP ${request} from ${from.address}:${from.port}`);
    socket.send(JSON.stringify({ request, ...pod }), from.port, from.address, () => {});
  });
  socket.bind(udpPort, address, () => say(`UDP server listening on :${udpPort}`));
}
