import type { Poller } from "./poller.ts";
import { errors, events, type SocketCalls } from "./socket-calls.ts";

/** Two connected sockets between which everything is copied. */
export interface Relay {
  /** Bytes that came from the client and that went to it. */
  readonly received: number;
  readonly sent: number;
  /** To be told of the events of the endpoint's socket, which is watched already. */
  upstreamReady(events: number): void;
  /** Closes both; with a reset where that is asked for. */
  stop(how: "close" | "reset"): void;
}

interface Side {
  readonly fd: number;
  /** It says nothing more. */
  ended: boolean;
  /** What it has not taken yet; the other side is not read meanwhile. */
  pending: Buffer | undefined;
  received: number;
  sent: number;
}

/** Reads of one socket in a row, before others have their turn. */
const inARow = 16;
const broken = events.error | events.hangUp;

/**
 * Copies both ways with back-pressure: what waits for a side is at most one buffer. The end of one side is passed on alone; a reset, or
 * an error of one, resets both. Both sockets are closed in the end, and `done` is called once.
 */
export function relay(
  { calls, poller }: { readonly calls: SocketCalls; readonly poller: Poller },
  clientFd: number,
  upstreamFd: number,
  done: () => void,
): Relay {
  const side = (fd: number): Side => ({ fd, ended: false, pending: undefined, received: 0, sent: 0 });
  const client = side(clientFd);
  const upstream = side(upstreamFd);
  let open = true;

  function stop(how: "close" | "reset"): void {
    if (!open) return;
    open = false;
    for (const one of [client, upstream]) {
      one.pending = undefined;
      poller.forget(one.fd);
      calls[how](one.fd);
    }
    done();
  }

  /** @param all whether there may be more than the bytes that were there at first: an end, or what comes after them */
  function pump(from: Side, to: Side, all: boolean): void {
    for (let i = 0; i < inARow; i++) {
      if (!open || to.pending || from.ended) return;
      const length = calls.receive(from.fd);
      if (length === errors.again) return;
      if (length < 0) return stop("reset");
      if (length === 0) {
        from.ended = true;
        if (to.ended) stop("close");
        else calls.end(to.fd);
        return;
      }
      from.received += length;
      const taken = calls.send(to.fd, calls.data, length);
      if (taken < 0 && taken !== errors.again) return stop("reset");
      const sent = Math.max(taken, 0);
      to.sent += sent;
      if (sent < length) to.pending = Buffer.from(calls.data.subarray(sent, length));
      // Less than there is room for is all there was, and what comes now is told of anew.
      else if (!all && length < calls.data.length) return;
    }
    poller.soon(() => pump(from, to, true));
  }

  function flush(to: Side): boolean {
    if (!to.pending) return true;
    const taken = calls.send(to.fd, to.pending, to.pending.length);
    if (taken < 0 && taken !== errors.again) {
      stop("reset");
      return false;
    }
    to.sent += Math.max(taken, 0);
    to.pending = taken < to.pending.length ? to.pending.subarray(Math.max(taken, 0)) : undefined;
    return !to.pending;
  }

  const readyOf = (one: Side, other: Side) => (found: number) => {
    if ((found & events.out) !== 0 && one.pending && flush(one)) pump(other, one, true);
    if ((found & (events.in | events.otherHangUp | broken)) !== 0)
      pump(one, other, (found & (events.otherHangUp | broken)) !== 0);
    // Nobody is there to take what waits for it, nor to be told when the other side reads again.
    if (open && (found & events.error) !== 0) stop("reset");
  };

  const failed = poller.watch(clientFd, "edge", readyOf(client, upstream));
  if (failed < 0) poller.soon(() => stop("reset"));
  return {
    get received() {
      return client.received;
    },
    get sent() {
      return client.sent;
    },
    stop,
    upstreamReady: readyOf(upstream, client),
  };
}
