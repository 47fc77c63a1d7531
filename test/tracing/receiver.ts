import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { faultsOf } from "./message-schema.ts";

/** A span as a receiver has taken it. */
export interface Taken {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly flags?: number;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status?: { readonly code?: number };
  readonly attributes: Readonly<Record<string, string>>;
}

/** A receiver of OTLP over HTTP that takes nothing but what the schema allows. */
export interface SpanReceiver {
  readonly url: string;
  readonly spans: readonly Taken[];
  /** What was wrong with messages. */
  readonly faults: readonly string[];
  /** Attributes of the resource that sent last, and the header fields of its request. */
  readonly last: {
    readonly resource: Readonly<Record<string, string>>;
    readonly headers: NodeJS.Dict<string | string[]>;
  };
  close(): Promise<void>;
}

interface Message {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Pair[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<Taken, "attributes"> & { attributes: readonly Pair[] })[];
    }[];
  }[];
}

interface Pair {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: string | number };
}

const valuesOf = (pairs: readonly Pair[]): Record<string, string> =>
  Object.fromEntries(pairs.map(({ key, value }) => [key, String(value.stringValue ?? value.intValue)]));

/** The spans of a message that is as it should be. */
export const spansIn = ({ resourceSpans }: Message): Taken[] =>
  resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) => spans.map((span) => ({ ...span, attributes: valuesOf(span.attributes) }))),
  );

export async function startSpanReceiver(): Promise<SpanReceiver> {
  const spans: Taken[] = [];
  const faults: string[] = [];
  let last: SpanReceiver["last"] = { resource: {}, headers: {} };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const bytes = Buffer.concat(chunks);
      const { headers } = request;
      const found: string[] = [];
      if (request.method !== "POST" || request.url !== "/v1/traces") found.push(`${request.method} ${request.url}`);
      if (headers["content-type"] !== "application/json") found.push(String(headers["content-type"]));
      const message = JSON.parse(String(headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes)) as Message;
      found.push(...faultsOf(message));
      faults.push(...found);
      if (found.length === 0) {
        spans.push(...spansIn(message));
        last = { resource: valuesOf(message.resourceSpans[0]?.resource.attributes ?? []), headers };
      }
      response.writeHead(found.length === 0 ? 200 : 400, { "content-type": "application/json" });
      response.end(found.length === 0 ? "{}" : JSON.stringify({ message: found.join("; ") }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`,
    spans,
    faults,
    get last() {
      return last;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
