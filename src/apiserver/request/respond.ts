import { statusError, type Status, type StatusError } from "../../kube/index.ts";
import type { ApiResponse, WatchFrames } from "../handler.ts";
import { bodyOf, type Body } from "../storage/index.ts";

const json = { "content-type": "application/json", "cache-control": "no-cache, private" };

/** An answer with a body, JSON where the body does not say otherwise. */
export function bodyResponse(status: number, body: Body, headers: Record<string, string> = {}): ApiResponse {
  return {
    type: "object",
    status,
    headers: body.type === undefined ? { ...json, ...headers } : { ...json, "content-type": body.type, ...headers },
    get object() {
      return body.object;
    },
    bytes: () => body.bytes(),
  };
}

export function objectResponse(status: number, object: object, headers?: Record<string, string>): ApiResponse {
  return { ...bodyOf(object), type: "object", status, headers: { ...json, ...headers }, whole: true };
}

export function errorResponse(error: StatusError, headers: Record<string, string> = {}): ApiResponse {
  const retry = error.status.details?.retryAfterSeconds;
  const again: Record<string, string> = retry === undefined ? {} : { "retry-after": String(retry) };
  return objectResponse(error.code, error.status, { ...headers, ...again });
}

export function textResponse(status: number, text: string, type = "text/plain; charset=utf-8"): ApiResponse {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text);
  }
  return {
    type: "stream",
    status,
    headers: { "content-type": type, "x-content-type-options": "nosniff" },
    chunks: chunks(),
  };
}

/** Where upstream has no route at all it says so in text, as any web server; a caller in process gets a Status. */
export function pageNotFound(): ApiResponse {
  const { status } = statusError("NotFound", "the server could not find the requested resource", {});
  return {
    type: "object",
    status: 404,
    headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" },
    object: status,
    bytes: () => [Buffer.from("404 page not found\n")],
  };
}

/** `type`: the media type of the frames, JSON where it is absent. */
export function watchResponse(frames: WatchFrames, type?: string): ApiResponse {
  return { type: "watch", status: 200, headers: type === undefined ? json : { ...json, "content-type": type }, frames };
}

/** What a write that leaves no object behind is answered with. */
export function success(details: NonNullable<Status["details"]>): Status {
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details };
}
