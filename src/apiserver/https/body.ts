import type { Readable } from "node:stream";
import { statusError } from "../../kube/index.ts";
import { bodyLimit, bodyTooLarge } from "../request/body.ts";

/** Milliseconds in which a body has to come. */
const bodyTime = 60_000;
/**
 * Bytes of a body that is too large that are taken in and dropped, and milliseconds that this may take: a client that is cut off while
 * it writes does not read the answer.
 */
const drainLimit = 64 << 20;
const drainTime = 10_000;

/** Reads a body to its end. Throws StatusError: RequestEntityTooLarge, or Timeout when it comes too slowly. */
export function readBody(stream: Readable): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let chunks: Uint8Array[] = [];
    let size = 0;
    let timer = setTimeout(() => {
      finish(() => reject(statusError("Timeout", "the body of the request did not come in time")));
    }, bodyTime);
    const refuse = (): void => finish(() => reject(bodyTooLarge()));
    const onData = (chunk: Uint8Array): void => {
      const fitted = size <= bodyLimit;
      size += chunk.length;
      if (size <= bodyLimit) chunks.push(chunk);
      else if (fitted) {
        chunks = [];
        clearTimeout(timer);
        timer = setTimeout(refuse, drainTime);
      } else if (size > drainLimit) refuse();
    };
    const onEnd = (): void => {
      if (size > bodyLimit) refuse();
      else finish(() => resolve(chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks)));
    };
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

/** Takes in what is left of a body that nobody reads, within limits, and drops it. */
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
