import type { Dispatcher } from "undici";
import type { PolicyFilter, RequestFacts } from "../../routing/index.ts";
import { changedFields } from "./changes.ts";
import { responseHeaders } from "./headers.ts";
import type { Upstreams } from "./upstream.ts";

type ErrorPages = Extract<PolicyFilter, { type: "ErrorPages" }>;

export interface ErrorPageRequest {
  readonly upstreams: Upstreams;
  readonly facts: RequestFacts;
  /** Fields for the backend. */
  readonly headers: readonly string[];
  /** The status of the answer that is replaced. */
  readonly status: number;
}

export interface ErrorPage {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: Buffer;
}

/** Bytes of a page. */
const mostBytes = 4 << 20;
const patience = 10_000;

/**
 * The page of another backend for an answer with an error. It decides on the status as well, unless the client was not allowed: who
 * forgets to must not let anyone in (CVE-2026-24513). `undefined` when there is none.
 */
export function fetchErrorPage(pages: ErrorPages, request: ErrorPageRequest): Promise<ErrorPage | undefined> {
  const { upstreams, facts, headers, status } = request;
  const upstream = upstreams.pick(pages.pool, new Set());
  if (upstream === undefined || upstream === "full") return Promise.resolve(undefined);
  const about: Readonly<Record<string, string>> = {
    ...pages.about,
    "x-code": String(status),
    "x-format": facts.header("accept") ?? "",
    "x-original-uri": facts.path + facts.query,
    "x-request-id": facts.id,
  };
  const set = Object.entries(about).map(([name, value]) => ({ name, value }));
  const fields = changedFields(headers, { set, add: [], remove: ["content-type", "content-encoding"] }).filter(
    (_, i, all) => !/^(?:content-length|transfer-encoding|te|trailer)$/i.test(all[i - (i % 2)] ?? ""),
  );
  return new Promise((resolve) => {
    let found: { status: number; headers: string[] } | undefined;
    const chunks: Buffer[] = [];
    let bytes = 0;
    upstream.inFlight++;
    let settled = false;
    const settle = (page: ErrorPage | undefined): void => {
      if (settled) return;
      settled = true;
      upstream.inFlight--;
      resolve(page);
    };
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart() {},
      onResponseStart(controller, code) {
        if (code < 200) return;
        const kept = responseHeaders(controller.rawHeaders as Buffer[]);
        found = { status: status === 401 || status === 403 ? status : code, headers: withoutLength(kept) };
      },
      onResponseData(controller, chunk) {
        bytes += chunk.length;
        if (bytes > mostBytes) controller.abort(new Error("the page is too large"));
        else chunks.push(chunk);
      },
      onResponseEnd: () => settle(found && { ...found, body: Buffer.concat(chunks) }),
      onResponseError: () => settle(undefined),
    };
    try {
      upstream
        .connections()
        .dispatch(
          { method: "GET", path: "/", headers: fields, headersTimeout: patience, bodyTimeout: patience },
          handler,
        );
    } catch {
      settle(undefined);
    }
  });
}

function withoutLength(headers: readonly string[]): string[] {
  return headers.filter((_, i) => !/^content-length$/i.test(headers[i - (i % 2)] ?? ""));
}
