import { Readable } from "node:stream";
import type { Upstreams } from "./upstream.ts";

/** Bytes of a body that a mirror may be behind; beyond it the copy is given up, and never the request itself. */
const mostBehind = 1 << 20;

/** A copy of a request under way to another pool. Its answer is thrown away, and what goes wrong with it too. */
export interface Mirror {
  readonly chunk: (chunk: Buffer) => void;
  readonly end: () => void;
  readonly abort: () => void;
}

export interface MirroredRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: string[];
  readonly withBody: boolean;
}

/** Sends the copy; `undefined` when there is nobody to send it to. */
export function openMirror(upstreams: Upstreams, pool: string, request: MirroredRequest): Mirror | undefined {
  const upstream = upstreams.pick(pool, new Set());
  if (upstream === undefined || upstream === "full") return undefined;
  const body = request.withBody ? new Readable({ read() {} }) : undefined;
  body?.on("error", () => {});
  upstream.inFlight++;
  let done = false;
  const finish = (): void => {
    if (done) return;
    done = true;
    upstream.inFlight--;
    body?.destroy();
  };
  try {
    upstream.connections().dispatch(
      { method: request.method, path: request.path, headers: request.headers, body: body ?? null },
      {
        onRequestStart() {},
        onResponseStart() {},
        onResponseData() {},
        onResponseEnd: finish,
        onResponseError: finish,
      },
    );
  } catch {
    finish();
  }
  return {
    chunk(chunk) {
      if (!body || done) return;
      body.push(chunk);
      if (body.readableLength > mostBehind) finish();
    },
    end: () => void (done || body?.push(null)),
    abort: finish,
  };
}
