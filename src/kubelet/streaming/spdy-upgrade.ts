import type { Duplex } from "node:stream";

/** Accepts a client's wish for SPDY/3.1. `protocol` goes to the client as the version that was chosen. */
export function acceptSpdy(socket: Duplex, head: Buffer, protocol: string): Duplex {
  const lines = [
    "Connection: Upgrade",
    "Upgrade: SPDY/3.1",
    ...(protocol ? [`X-Stream-Protocol-Version: ${protocol}`] : []),
  ];
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("\r\n")}\r\n\r\n`);
  if (head.length > 0) socket.unshift(head);
  return socket;
}
