import { Readable } from "node:stream";
import { type Incoming, watchIdle } from "./exchange.ts";

/** The body of a request, as a source for attempts to send it. */
export interface RequestBody {
  /** A stream for one attempt. The request is read only when the stream is: an attempt that never got a connection leaves it whole. */
  open(): Readable;
  /** Some of it has been read, so there can be no other attempt. */
  readonly touched: boolean;
  readonly tooLarge: boolean;
}

export interface BodyOptions {
  readonly bodyBytes: number;
  readonly clientIdle: number;
  /** Called before the first byte is read: the moment to say 100 Continue. */
  readonly onFirstRead: () => void;
  /** Told of each chunk, and of the end: for copies. */
  readonly onChunk?: (chunk: Buffer) => void;
  readonly onEnd?: () => void;
}

/** Hands over all of a body; `undefined` where it ends early. Only for one whose size is bounded. */
export function readWhole(stream: Readable, done: (whole: Buffer | undefined) => void): void {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => void chunks.push(chunk));
  stream.once("end", () => done(Buffer.concat(chunks)));
  stream.once("error", () => done(undefined));
}

export function requestBody(request: Incoming, options: BodyOptions): RequestBody {
  let touched = false;
  let tooLarge = false;
  let bytes = 0;

  function open(): Readable {
    let attached = false;
    const stream = new Readable({
      read() {
        if (!attached) attach();
        watchIdle(request, true, options.clientIdle);
        request.resume();
      },
      destroy(error, done) {
        detach();
        done(error);
      },
    });

    const onData = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > options.bodyBytes) {
        tooLarge = true;
        stream.destroy(new Error("the request body is too large"));
        return;
      }
      options.onChunk?.(chunk);
      if (!stream.push(chunk)) {
        watchIdle(request, false, options.clientIdle);
        request.pause();
      }
    };
    const onEnd = (): void => {
      watchIdle(request, false, options.clientIdle);
      options.onEnd?.();
      stream.push(null);
    };
    const onCut = (): void => {
      if (!request.readableEnded) stream.destroy(new Error("the client went away in the middle of its body"));
    };
    function attach(): void {
      attached = true;
      if (!touched) options.onFirstRead();
      touched = true;
      request.on("data", onData).on("end", onEnd).on("error", onCut).on("close", onCut);
    }
    function detach(): void {
      if (!attached) return;
      request.off("data", onData).off("end", onEnd).off("close", onCut);
      request.pause();
      watchIdle(request, false, options.clientIdle);
    }
    return stream;
  }

  return {
    open,
    get touched() {
      return touched;
    },
    get tooLarge() {
      return tooLarge;
    },
  };
}
