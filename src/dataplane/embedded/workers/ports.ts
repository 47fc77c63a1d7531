import type { Listener } from "../../../routing/index.ts";
import type { Logger } from "../../../system/index.ts";
import type { BoundListener } from "../../dataplane.ts";
import { openPort, type OpenPort, type Sockets } from "../../sockets.ts";

export interface Port {
  readonly bound: BoundListener;
  /** Absent with `bound.error`. */
  readonly socket?: OpenPort;
}

/** The sockets of a model's listeners. They stay open while processes that serve them come and go. */
export interface Ports {
  /**
   * Opens what listeners need and is not open. What none needs any more stays open until `release` is called: when whoever
   * serves has let go of it.
   */
  open(listeners: readonly Listener[]): Promise<{ readonly release: () => void }>;
  /** By `Listener.name`. */
  readonly current: ReadonlyMap<string, Port>;
  close(): void;
}

const transportOf = (protocol: Listener["protocol"]): string => (protocol === "UDP" ? "udp" : "tcp");

export function createPorts(sockets: Sockets, usual: readonly string[], log: Logger): Ports {
  let ports = new Map<string, Port>();

  return {
    get current() {
      return ports;
    },
    async open(listeners) {
      const free = new Map(ports);
      const next = new Map<string, Port>();
      for (const listener of listeners) {
        const before = free.get(listener.name);
        if (!before || !serves(before, listener)) continue;
        free.delete(listener.name);
        next.set(listener.name, { ...before, bound: { ...before.bound, protocol: listener.protocol } });
      }
      for (const listener of listeners) {
        if (next.has(listener.name)) continue;
        const { name, protocol } = listener;
        // One that another listener has given up: nobody who connects sees a difference.
        const [left] = [...free].find(([, port]) => serves(port, listener)) ?? [];
        const taken = left === undefined ? undefined : free.get(left);
        if (left !== undefined && taken) {
          free.delete(left);
          next.set(name, { ...taken, bound: { ...taken.bound, name, protocol } });
          continue;
        }
        const opened = await openPort(sockets, listener, usual);
        const { error, wanted, port } = opened.bound;
        if (error) log.warn({ listener: name, wanted, port }, error);
        next.set(name, opened);
      }
      ports = next;
      return {
        release() {
          for (const { socket } of free.values()) socket?.close();
        },
      };
    },
    close() {
      for (const { socket } of ports.values()) socket?.close();
      ports = new Map();
    },
  };
}

/** Whether an open port is the one that a listener asks for. One that could not be had is tried again. */
function serves({ bound, socket }: Port, listener: Listener): boolean {
  const moved = listener.bindPort !== undefined && listener.bindPort !== bound.port;
  return (
    socket !== undefined &&
    !moved &&
    bound.wanted === listener.port &&
    bound.address === listener.address &&
    transportOf(bound.protocol) === transportOf(listener.protocol)
  );
}
