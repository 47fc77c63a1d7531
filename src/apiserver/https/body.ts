import type { Readable } from "node:stream";
import { statusError, type StatusError } from "../../kube/index.ts";

/** Bytes of a body at most, as upstream's `MaxRequestBodyBytes`. */
export const bodyLimit = 3 << 20;
/** Milliseconds in which a body has to come. */
const bodyTime = 60_000;
/** Bytes of a body that is too large that are taken in and dropped, so that the client reads the answer. */
const drainLimit = 64 << 20;
/** Milliseconds that this may take. */
const drainTime = 10_000;

/** Reads a body to its end. Throws StatusError: RequestEntityTooLarge, or Timeout when it comes too slowly. */
export function readBody(stream: Readable): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    const timer = setTimeout(() => {
      finish(() => reject(statusError("Timeout", "the body of the request did not come in time")));
    }, bodyTime);
    const onData = (chunk: Uint8Array): void => {
      size += chunk.length;
      if (size <= bodyLimit) chunks.push(chunk);
      else finish(() => reject(tooLarge()));
    };
    const onEnd = (): void =>
      finish(() => resolve(chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks)));
    const onGone = (): void =>
      finish(() => reject(statusError("BadRequest", "the client went away within its request")));
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      stream.off("data", onData);
      stream.off("end", onEnd);
      stream.off("error", onGone);
      stream.off("close", onGone);
      // What an aborted stream says later is heard by nobody.
      stream.on("error", () => {});
      settle();
    };
    stream.on("data", onData);
    stream.on("end", onEnd);
    stream.on("error", onGone);
    stream.on("close", onGone);
  });
}

export function tooLarge(): StatusError {
  return statusError("RequestEntityTooLarge", `Request entity too large: limit is ${bodyLimit}`, {});
}

/** Takes in what is left of a body, within limits, and drops it. */
export function drain(stream: Readable): void {
  const timer = setTimeout(() => stream.destroy(), drainTime);
  const done = (): void => clearTimeout(timer);
  stream.on("end", done);
  stream.on("close", done);
  let size = 0;
  stream.on("data", (chunk: Uint8Array) => {
    size += chunk.length;
    if (size > drainLimit) stream.destroy();
  });
  stream.resume();
}
