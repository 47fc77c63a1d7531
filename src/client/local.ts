import type { ApiHandler, ApiRequest, ApiResponse, UserInfo } from "../apiserver/index.ts";
import { StatusError } from "../kube/index.ts";
import { type Client, ClientError } from "./client.ts";
import type { Metrics } from "../system/index.ts";
import { createClientFigures } from "./request-figures.ts";
import { createRestClient, type Transport, type TransportRequest } from "./rest.ts";

/**
 * A client in the API server's own process, as `user`: the same authorization, admission and validation as over the
 * network, without bytes. Objects are shared with the server's cache.
 */
export function createLocalClient(
  handler: ApiHandler,
  user: UserInfo,
  options: { fieldManager?: string; metrics?: Metrics } = {},
): Client {
  const figures = options.metrics && createClientFigures(options.metrics, "in-process");
  const ask = (request: TransportRequest, link: Link): Promise<ApiResponse> => {
    const contentType = request.contentType ?? "application/json";
    const asked: ApiRequest = {
      method: request.method,
      path: decodeURIComponent(request.path),
      query: request.query,
      headers: {
        accept: request.accept ?? "application/json",
        "user-agent": "fairlead",
        ...(request.body ? { "content-type": contentType } : {}),
      },
      user,
      ...(request.body ? { body: request.body } : {}),
      get signal() {
        return link.signal;
      },
    };
    return handler.handle(asked);
  };

  const transport: Transport = {
    async call(request) {
      const own = linkTo(request.signal);
      const begun = performance.now();
      try {
        const answer = await ask(request, own);
        figures?.answered(request.method, answer.status, (performance.now() - begun) / 1000);
        return objectOf(answer);
      } finally {
        own.release();
      }
    },
    async *watch(request) {
      if (request.signal.aborted) return;
      const own = linkTo(request.signal);
      const { signal } = own;
      try {
        const answer = await ask(request, own);
        if (answer.type !== "watch") throw unexpected(request, answer);
        for await (const frame of answer.frames) {
          if (signal.aborted) return;
          yield frame;
        }
      } catch (error) {
        if (!request.signal.aborted) throw error;
      } finally {
        own.release();
      }
    },
    async *download(request) {
      const own = linkTo(request.signal);
      try {
        const answer = await ask(request, own);
        if (answer.type === "stream") yield* answer.chunks;
        else if (answer.type === "object" && answer.status < 300) yield* answer.bytes();
        else throw unexpected(request, answer);
      } finally {
        own.release();
      }
    },
  };
  return createRestClient(transport, { fieldManager: options.fieldManager ?? "fairlead" });
}

function objectOf(answer: ApiResponse): object {
  if (answer.type !== "object")
    throw new ClientError("PROTOCOL", `the API answered with a ${answer.type}, not an object`);
  if (answer.status >= 300) throw new StatusError(answer.object);
  return answer.object;
}

function unexpected(request: TransportRequest, answer: ApiResponse): Error {
  if (answer.type === "object" && answer.status >= 300) return new StatusError(answer.object);
  return new ClientError("PROTOCOL", `${request.path}: the API did not answer with a stream`);
}

/** One for all: an error of its own for each request would cost more than the rest of it. */
const released = new Error("the request has ended");

/** How the server learns that nobody reads any more. */
interface Link {
  /** Aborts with the caller's signal, and when the link is released. Made for who looks at it: most requests end without anyone having done so. */
  readonly signal: AbortSignal;
  release(): void;
}

function linkTo(parent: AbortSignal | undefined): Link {
  let own: AbortController | undefined;
  let isReleased = false;
  const follow = (): void => own?.abort(parent?.reason);
  return {
    get signal() {
      if (own) return own.signal;
      own = new AbortController();
      if (isReleased) own.abort(released);
      else if (parent?.aborted) follow();
      else parent?.addEventListener("abort", follow, { once: true });
      return own.signal;
    },
    release() {
      isReleased = true;
      if (!own) return;
      parent?.removeEventListener("abort", follow);
      own.abort(released);
    },
  };
}
