import type { Socket } from "node:net";

/** What a client sends first that speaks HTTP/2 without being asked (RFC 9113 section 3.4). No request of HTTP/1.1 begins so. */
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/**
 * Looks whether a connection begins with the preface of HTTP/2; its bytes are put back, for whoever takes the connection.
 * Calls `done` once; never for a connection that ends, or says nothing clear for `timeout` milliseconds, and so is closed.
 */
export function readPreface(socket: Socket, timeout: number, done: (is2: boolean) => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), timeout);
  const settle = (is2: boolean): void => {
    clearTimeout(timer);
    socket.off("data", onData).off("end", onEnd).off("close", onEnd);
    socket.pause();
    socket.unshift(seen);
    done(is2);
    // HTTP/2 reads by itself what has come.
    if (!is2) socket.resume();
  };
  const onEnd = (): void => {
    clearTimeout(timer);
    socket.destroy();
  };
  const onData = (chunk: Buffer): void => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, preface.length);
    if (!seen.subarray(0, length).equals(preface.subarray(0, length))) settle(false);
    else if (length === preface.length) settle(true);
  };
  socket.on("data", onData).once("end", onEnd).once("close", onEnd);
}
