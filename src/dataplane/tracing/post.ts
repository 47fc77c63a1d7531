import { gzip } from "node:zlib";
import { promisify } from "node:util";
import { Agent, request } from "undici";
import { trust } from "../../system/index.ts";
import type { PostSpans } from "./exporter.ts";

export interface Receiver {
  /** Where `ExportTraceServiceRequest` goes: `http://HOST:4318/v1/traces`. */
  readonly url: string;
  /** Fields of each request besides. */
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds for one message. */
  readonly timeout: number;
  readonly compress: boolean;
  /** PEM of the authorities that its certificate is checked by, instead of those of the machine. */
  readonly ca?: string;
}

/** Larger answers are no OTLP. */
const mostBytes = 256 << 10;

/** Sends messages to a receiver of OTLP over HTTP, in JSON. Redirects are not followed: fields may be secrets. */
export function createPost({ url, headers, timeout, compress, ca }: Receiver): PostSpans {
  const agent = new Agent({ connect: trust(ca), maxResponseSize: mostBytes, connections: 1 });
  const packed = promisify(gzip);
  return async (text, signal) => {
    const body = compress ? await packed(text) : text;
    const {
      statusCode,
      headers: fields,
      body: answer,
    } = await request(url, {
      method: "POST",
      headers: {
        ...headers,
        "content-type": "application/json",
        ...(compress ? { "content-encoding": "gzip" } : {}),
        "user-agent": "OTel-OTLP-Exporter-Fairlead",
      },
      body,
      dispatcher: agent,
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeout)]),
    });
    const later = fields["retry-after"];
    return {
      status: statusCode,
      text: await answer.text(),
      ...(typeof later === "string" ? { retryAfter: later } : {}),
    };
  };
}
