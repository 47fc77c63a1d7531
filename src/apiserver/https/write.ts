import type { Writable } from "node:stream";
import { constants, createGzip } from "node:zlib";
import type { ApiResponse, WatchFrame, WatchFrames } from "../handler.ts";
import { createBreather } from "../storage/index.ts";
import { parseAccept } from "../request/negotiate.ts";
import type { HttpAnswer } from "./arrival.ts";

export interface WriteOptions {
  readonly method: string;
  readonly accept: string | undefined;
  readonly acceptEncoding: string | undefined;
  /** Added to every answer. */
  readonly headers: Readonly<Record<string, string>>;
  /** Aborts when the client has gone; made when it is asked for. */
  readonly signal: () => AbortSignal;
}

/** Bodies smaller than this are not worth compressing, as upstream. */
const gzipFrom = 128 << 10;
/** Milliseconds that a client may take nothing before it is given up. */
const patience = 60_000;

/** Sends an answer, as fast as the client takes it. Settles when it is sent or the client has gone; undefined: it is sent. */
export function writeAnswer(
  answer: HttpAnswer,
  response: Exclude<ApiResponse, { type: "upgrade" }>,
  options: WriteOptions,
): Promise<void> | undefined {
  const headers: Record<string, string | number> = { ...response.headers, ...options.headers };
  if (options.method === "HEAD" || response.status === 304) {
    answer.head(response.status, headers);
    answer.body.end();
    if (response.type === "watch") response.frames.close();
    return response.type === "stream" ? endOf(response.chunks) : undefined;
  }
  switch (response.type) {
    case "object":
      return writeObject(answer, response, headers, options);
    case "watch":
      begin(answer, response.status, headers);
      return writeFrames(answer.body, response.frames, options.signal());
    case "stream":
      begin(answer, response.status, headers);
      return writeChunks(answer.body, response.chunks, options.signal());
    default:
      return undefined;
  }
}

/** Sends the head of an answer whose body may be long in coming. */
function begin(answer: HttpAnswer, status: number, headers: Record<string, string | number>): void {
  answer.head(status, headers);
  if ("flushHeaders" in answer.body) (answer.body as Writable & { flushHeaders(): void }).flushHeaders();
}

async function endOf(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  await chunks[Symbol.asyncIterator]().return?.();
}

const newline = Buffer.from("\n");

/** Bytes of frames that are written together. */
const together = 64 << 10;

/** What several frames were joined to last: with many watchers of the same objects it is what the next one wants too. */
let joined: { readonly frames: readonly WatchFrame[]; readonly bytes: Uint8Array } = {
  frames: [],
  bytes: Buffer.alloc(0),
};

function join(frames: readonly WatchFrame[]): Uint8Array {
  const [first] = frames;
  if (frames.length === 1 && first) return first.bytes();
  if (frames.length !== joined.frames.length || frames.some((frame, i) => frame !== joined.frames[i]))
    joined = { frames, bytes: Buffer.concat(frames.map((frame) => frame.bytes())) };
  return joined.bytes;
}

/** Writes the frames of a watch as they come; those that are at hand together go together. A client that takes nothing for too long is cut off. */
async function writeFrames(to: Writable, frames: WatchFrames, signal: AbortSignal): Promise<void> {
  const breathe = createBreather(1);
  try {
    while (!signal.aborted && !to.destroyed) {
      let taken = frames.take();
      if (taken instanceof Promise) taken = await taken;
      else if (!taken) {
        if (frames.done) break;
        await frames.more();
        continue;
      }
      if (!taken) continue;
      const batch = [taken];
      let later: Promise<WatchFrame | undefined> | undefined;
      for (let size = taken.bytes().length; size < together;) {
        const next = frames.take();
        if (next instanceof Promise) later = next;
        if (!next || next instanceof Promise) break;
        batch.push(next);
        size += next.bytes().length;
      }
      if (!to.write(join(batch)) && !(await drained(to, signal))) return void to.destroy();
      const prepared = later && (await later);
      if (prepared && !to.write(prepared.bytes()) && !(await drained(to, signal))) return void to.destroy();
      if (batch.length > 1 || later) await breathe();
    }
    to.end();
  } finally {
    frames.close();
  }
}

async function writeYaml(
  answer: HttpAnswer,
  response: Extract<ApiResponse, { type: "object" }>,
  headers: Record<string, string | number>,
  options: WriteOptions,
): Promise<void> {
  const { yamlChunks } = await import("./yaml.ts");
  answer.head(response.status, { ...headers, "content-type": "application/yaml" });
  return writeChunks(answer.body, yamlChunks(response.object), options.signal());
}

function writeObject(
  answer: HttpAnswer,
  response: Extract<ApiResponse, { type: "object" }>,
  headers: Record<string, string | number>,
  options: WriteOptions,
): Promise<void> | undefined {
  const isJson = headers["content-type"] === "application/json";
  if (isJson && wantsYaml(options.accept)) return writeYaml(answer, response, headers, options);
  const bytes = isJson ? line(response.bytes()) : response.bytes();
  const [only] = Array.isArray(bytes) && bytes.length === 1 ? (bytes as readonly Uint8Array[]) : [];
  if (only && only.length < gzipFrom) {
    headers["content-length"] = only.length;
    answer.head(response.status, headers);
    answer.body.end(only);
    return undefined;
  }
  return writeParts(answer, response.status, bytes, headers, options);
}

/** Go's encoder ends what it writes with a new line, and terminals and clients that compare text see it. */
function line(bytes: Iterable<Uint8Array>): Iterable<Uint8Array> {
  if (!Array.isArray(bytes)) return bytes;
  const parts = bytes as readonly Uint8Array[];
  return parts.at(-1)?.at(-1) === newline[0] ? parts : [Buffer.concat([...parts, newline])];
}

/** Writes a body that may be large: in parts, and compressed where the client takes that. */
function writeParts(
  answer: HttpAnswer,
  status: number,
  bytes: Iterable<Uint8Array>,
  headers: Record<string, string | number>,
  options: WriteOptions,
): Promise<void> | undefined {
  const parts = bytes[Symbol.iterator]();
  const head: Uint8Array[] = [];
  let size = 0;
  let next = parts.next();
  while (!next.done && size < gzipFrom) {
    head.push(next.value);
    size += next.value.length;
    next = parts.next();
  }
  if (next.done && (size < gzipFrom || !acceptsGzip(options.acceptEncoding))) {
    headers["content-length"] = size;
    answer.head(status, headers);
    answer.body.end(head.length === 1 ? head[0] : Buffer.concat(head));
    return undefined;
  }
  function* all(): Generator<Uint8Array> {
    yield* head;
    for (; !next.done; next = parts.next()) yield next.value;
  }
  if (!acceptsGzip(options.acceptEncoding)) {
    answer.head(status, headers);
    return writeChunks(answer.body, all(), options.signal());
  }
  answer.head(status, { ...headers, "content-encoding": "gzip", vary: "Accept-Encoding" });
  const gzip = createGzip({ level: constants.Z_BEST_SPEED });
  const signal = options.signal();
  return Promise.all([writeChunks(gzip, all(), signal), writeChunks(answer.body, gzip, signal)]).then(() => {});
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
