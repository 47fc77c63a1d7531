import type { ListeningSocket, Sockets, Transport } from "./sockets.ts";

/**
 * Listening sockets that several data planes may have at a time, each opened once: while one takes over from another, what has not been accepted yet
 * waits in the same backlog for both.
 */
export interface SharedSockets {
  /**
   * For one data plane; the same port twice is `EADDRINUSE` to it. While it rehearses it gets any free port of loopback in the place of the one
   * that it asks for.
   */
  forOne(rehearses?: () => boolean): Sockets;
}

interface Shared {
  readonly socket: ListeningSocket;
  readonly users: Set<symbol>;
}

export function shareSockets(real: Sockets): SharedSockets {
  const open = new Map<string, Shared>();
  const keyOf = (transport: Transport, address: string, port: number): string => `${transport} ${address} ${port}`;

  return {
    forOne(rehearses = () => false) {
      const user = Symbol("data plane");
      return {
        async listen(address, port, transport = "tcp", beside = false) {
          if (rehearses()) return real.listen("127.0.0.1", 0, transport);
          let key = keyOf(transport, address, port);
          let shared = open.get(key);
          if (shared?.users.has(user)) return "EADDRINUSE";
          if (!shared) {
            const socket = await real.listen(address, port, transport, beside);
            if (typeof socket === "string") return socket;
            key = keyOf(transport, address, socket.port);
            shared = { socket, users: new Set() };
            open.set(key, shared);
          }
          const { socket, users } = shared;
          users.add(user);
          return {
            address: socket.address,
            fd: socket.fd,
            port: socket.port,
            close() {
              if (!users.delete(user) || users.size > 0) return;
              open.delete(key);
              socket.close();
            },
          };
        },
      };
    },
  };
}
