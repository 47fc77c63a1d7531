import type { Writable } from "node:stream";
import { constants, createGzip } from "node:zlib";
import type { ApiResponse, WatchFrame } from "../handler.ts";
import { createBreather } from "../storage/index.ts";
import { parseAccept } from "../request/negotiate.ts";

/** What HTTP/1.1 and HTTP/2 answers of Node have in common. */
export interface HttpAnswer extends Writable {
  writeHead(status: number, headers: Record<string, string | number>): unknown;
  flushHeaders(): void;
}

export interface WriteOptions {
  readonly method: string;
  readonly accept: string | undefined;
  readonly acceptEncoding: string | undefined;
  /** Added to every answer. */
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Bodies smaller than this are not worth compressing, as upstream. */
const gzipFrom = 128 << 10;
/** Milliseconds that a client may take nothing before it is given up. */
const patience = 60_000;

/** Sends an answer, as fast as the client takes it. Settles when it is sent or the client has gone. */
export async function writeAnswer(
  answer: HttpAnswer,
  response: Exclude<ApiResponse, { type: "upgrade" }>,
  options: WriteOptions,
): Promise<void> {
  const headers: Record<string, string | number> = { ...response.headers, ...options.headers };
  if (options.method === "HEAD" || response.status === 304) {
    if (response.type === "stream") await response.chunks[Symbol.asyncIterator]().return?.();
    answer.writeHead(response.status, headers);
    answer.end();
    return;
  }
  switch (response.type) {
    case "object":
      return writeObject(answer, response, headers, options);
    case "watch":
      answer.writeHead(response.status, headers);
      answer.flushHeaders();
      return writeChunks(answer, frameBytes(response.frames), options.signal);
    case "stream":
      answer.writeHead(response.status, headers);
      answer.flushHeaders();
      return writeChunks(answer, response.chunks, options.signal);
  }
}

async function* frameBytes(frames: AsyncIterable<WatchFrame>): AsyncGenerator<Uint8Array> {
  for await (const frame of frames) yield frame.bytes();
}

async function writeObject(
  answer: HttpAnswer,
  response: Extract<ApiResponse, { type: "object" }>,
  headers: Record<string, string | number>,
  options: WriteOptions,
): Promise<void> {
  if (wantsYaml(options.accept) && headers["content-type"] === "application/json") {
    const { yamlChunks } = await import("./yaml.ts");
    answer.writeHead(response.status, { ...headers, "content-type": "application/yaml" });
    return writeChunks(answer, yamlChunks(response.object), options.signal);
  }
  const parts = response.bytes()[Symbol.iterator]();
  const head: Uint8Array[] = [];
  let size = 0;
  let next = parts.next();
  while (!next.done && size < gzipFrom) {
    head.push(next.value);
    size += next.value.length;
    next = parts.next();
  }
  if (next.done && (size < gzipFrom || !acceptsGzip(options.acceptEncoding))) {
    answer.writeHead(response.status, { ...headers, "content-length": size });
    answer.end(head.length === 1 ? head[0] : Buffer.concat(head));
    return;
  }
  function* all(): Generator<Uint8Array> {
    yield* head;
    for (; !next.done; next = parts.next()) yield next.value;
  }
  if (!acceptsGzip(options.acceptEncoding)) {
    answer.writeHead(response.status, headers);
    return writeChunks(answer, all(), options.signal);
  }
  answer.writeHead(response.status, { ...headers, "content-encoding": "gzip", vary: "Accept-Encoding" });
  const gzip = createGzip({ level: constants.Z_BEST_SPEED });
  await Promise.all([writeChunks(gzip, all(), options.signal), writeChunks(answer, gzip, options.signal)]);
}

/** Writes chunks with back-pressure, then ends. A client that takes nothing for too long is cut off. */
async function writeChunks(
  to: Writable,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const breathe = createBreather(1);
  for await (const chunk of chunks) {
    await breathe();
    if (signal.aborted || to.destroyed) break;
    if (!to.write(chunk) && !(await drained(to, signal))) {
      to.destroy();
      break;
    }
  }
  to.end();
}

/** False when the client took nothing in time, or has gone. */
function drained(to: Writable, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (ok: boolean) => (): void => {
      clearTimeout(timer);
      to.off("drain", onDrain);
      to.off("close", onClose);
      signal.removeEventListener("abort", onClose);
      resolve(ok);
    };
    const onDrain = done(true);
    const onClose = done(false);
    const timer = setTimeout(onClose, patience);
    to.on("drain", onDrain);
    to.on("close", onClose);
    signal.addEventListener("abort", onClose);
    if (signal.aborted || to.destroyed) onClose();
  });
}

function wantsYaml(accept: string | undefined): boolean {
  if (!accept?.includes("yaml")) return false;
  return parseAccept(accept)[0]?.type === "application/yaml";
}

function acceptsGzip(header: string | undefined): boolean {
  return (header ?? "").split(",").some((entry) => {
    const [name = "", quality = ""] = entry.split(";").map((part) => part.trim().toLowerCase());
    return name === "gzip" && !/^q=0(\.0*)?$/.test(quality);
  });
}
