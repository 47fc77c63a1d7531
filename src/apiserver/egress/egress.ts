import type { Duplex } from "node:stream";

/** A Service by name, as webhooks and APIServices refer to it. */
export interface ServiceTarget {
  readonly namespace: string;
  readonly name: string;
  /** Port of the Service, not of its pods. */
  readonly port: number;
}

/** Where a request of the API server's own goes, and how the other end is known. */
export interface EgressTarget {
  /** A Service, reached at one of its ready endpoints over TLS, or the origin of an `http(s)` URL. */
  readonly to: ServiceTarget | URL;
  /** Authorities that the server's certificate must be signed by, PEM. Absent: those of the system. */
  readonly ca?: string;
  /** The certificate is not looked at. */
  readonly insecure?: boolean;
  /** Name that the certificate must be for. Default: `<service>.<namespace>.svc`, or the host of the URL. */
  readonly serverName?: string;
  /** Certificate and key by which this server shows who it is, PEM. */
  readonly client?: { readonly cert: string; readonly key: string };
}

export interface EgressRequest {
  readonly method: string;
  /** With query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Uint8Array;
  /** Milliseconds until the head of the answer must be there. */
  readonly timeout: number;
  readonly signal?: AbortSignal;
}

export interface EgressAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Must be read to its end or destroyed: until then it holds a connection. */
  readonly body: AsyncIterable<Uint8Array> & { destroy(): void };
}

/** The way out of the API server: to webhooks, to aggregated API servers, to Services and pods behind a proxy path. */
export interface Egress {
  /** Sends one request. Rejects with EgressError. */
  open(target: EgressTarget, request: EgressRequest): Promise<EgressAnswer>;
  /** A connection of one's own, with TLS done, for what is no plain exchange (an upgrade). Rejects with EgressError. */
  dial(target: EgressTarget, options: { timeout: number; signal?: AbortSignal }): Promise<Duplex>;
  /** Ends all connections. */
  close(): Promise<void>;
}

/** Why nothing came back. The message is what Kubernetes' own client would say. */
export class EgressError extends Error {
  readonly code:
    | "NO_SERVICE"
    | "NO_PORT"
    | "NO_ENDPOINTS"
    | "TIMEOUT"
    | "TLS"
    | "CONNECTION"
    | "TOO_LARGE"
    | "CANCELED";

  constructor(code: EgressError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EgressError";
    this.code = code;
  }
}

/** Origin by which a target is spoken of: `https://name.namespace.svc:443`. */
export function originOf({ to }: EgressTarget): string {
  if (!(to instanceof URL)) return `https://${to.name}.${to.namespace}.svc:${to.port}`;
  return to.origin;
}

/** The whole body, as long as it has at most `most` bytes. Rejects with EgressError TOO_LARGE for a longer one. */
export async function readAnswer(answer: EgressAnswer, most: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of answer.body) {
    length += part.length;
    if (length > most) {
      answer.body.destroy();
      throw new EgressError("TOO_LARGE", `the answer has more than ${most} bytes`);
    }
    parts.push(part);
  }
  return Buffer.concat(parts);
}
