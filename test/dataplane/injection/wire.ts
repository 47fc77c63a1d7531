import { Duplex } from "node:stream";
import { Socket } from "node:net";

/** All that this process has said to data planes: what the first bytes on a connection show it to be. */
export interface Wire {
  /** To HAProxy's runtime API, a connection each. */
  haproxy(): string[];
  /** To nginx's control socket. */
  nginx(): Buffer[];
  /** Forgets what has been looked at; what is still on its way stays. */
  stop(): void;
}

/** Listens to what is written to sockets; it goes its way. */
export function listenToSockets(): Wire {
  const said = new Map<Socket, Buffer[]>();
  // oxlint-disable-next-line typescript/unbound-method -- it is called with the socket as `this`, and put back
  const { write } = Duplex.prototype;
  type Write = typeof write;
  const heard: Write = function (this: Duplex, chunk: unknown, ...rest: unknown[]): boolean {
    if (this instanceof Socket && (typeof chunk === "string" || chunk instanceof Uint8Array)) {
      const encoding = typeof rest[0] === "string" ? (rest[0] as BufferEncoding) : "utf8";
      const bytes = typeof chunk === "string" ? Buffer.from(chunk, encoding) : Buffer.from(chunk);
      const before = said.get(this);
      if (before) before.push(bytes);
      else if (/^(?:prompt\n|(?:POST \/rows|GET \/generation) )/.test(bytes.toString("latin1", 0, 20)))
        said.set(this, [bytes]);
    }
    return Reflect.apply(write, this, [chunk, ...rest]) as boolean;
  };
  Duplex.prototype.write = heard;
  const all = (): Buffer[] => [...said.values()].map((chunks) => Buffer.concat(chunks));
  const isHaproxy = (bytes: Buffer): boolean => bytes.toString("latin1", 0, 7) === "prompt\n";
  return {
    haproxy: () =>
      all()
        .filter(isHaproxy)
        .map((bytes) => bytes.toString("latin1")),
    nginx: () => all().filter((bytes) => !isHaproxy(bytes)),
    stop: () => void (Duplex.prototype.write = write),
  };
}
