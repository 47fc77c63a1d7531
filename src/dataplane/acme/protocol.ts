import { calculateJwkThumbprint, exportJWK, FlattenedSign, importPKCS8, type JWK } from "jose";
import { Agent, request } from "undici";
import type { Clock } from "../../system/index.ts";

/** What an ACME server refused (RFC 8555 section 6.7), or that it could not be asked. */
export class AcmeError extends Error {
  /** Its type without `urn:ietf:params:acme:error:`; `unreachable`, `protocol` and `timeout` are our own. */
  readonly code: string;
  /** Milliseconds after which it says it may be asked again. */
  readonly retryAfter?: number;

  constructor(code: string, message: string, retryAfter?: number) {
    super(message);
    this.name = "AcmeError";
    this.code = code;
    if (retryAfter !== undefined) this.retryAfter = retryAfter;
  }
}

export interface AcmeSessionOptions {
  /** URL of the directory (RFC 8555 section 7.1.1). */
  readonly directory: string;
  /** Private key of the account, PEM (PKCS #8, P-256). */
  readonly accountKey: string;
  /** Who is told when something is wrong. */
  readonly email?: string;
  /** PEM of authorities beside those of the machine, for the server's own certificate. */
  readonly ca?: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface AcmeReply {
  readonly location?: string;
  readonly retryAfter?: number;
  /** As JSON, or as text for a certificate. */
  readonly body: unknown;
  readonly text: string;
}

/** An account at an ACME server. Its methods throw `AcmeError`. */
export interface AcmeSession {
  /** URL of the directory's entry of that name. */
  url(name: "newOrder"): string;
  /** A request signed by the account; without a payload it only reads (POST-as-GET). */
  post(url: string, payload?: object): Promise<AcmeReply>;
  /** What a challenge's resource must say (RFC 8555 section 8.1). */
  keyAuthorization(token: string): string;
  close(): Promise<void>;
}

/** Larger answers are no ACME. */
const mostBytes = 1 << 20;
/** A nonce may be refused: another one is at hand. */
const tries = 8;
const longestWait = 24 * 3_600_000;

interface Directory {
  readonly newNonce: string;
  readonly newAccount: string;
  readonly newOrder: string;
}

/** Reads the directory, and makes the account or finds it by its key (RFC 8555 section 7.3). Whoever calls this has agreed to the terms. */
export async function openAcmeSession(options: AcmeSessionOptions): Promise<AcmeSession> {
  const { signal, clock } = options;
  const agent = new Agent({
    connect: { timeout: 15_000, ...(options.ca === undefined ? {} : { ca: await authorities(options.ca) }) },
    headersTimeout: 30_000,
    bodyTimeout: 30_000,
  });
  try {
    const key = await importPKCS8(options.accountKey, "ES256", { extractable: true }).catch((error: unknown) => {
      throw new AcmeError("protocol", `the account's key cannot be read: ${String(error)}`);
    });
    const { kty, crv, x, y } = await exportJWK(key);
    const jwk = { kty, crv, x, y } as JWK;
    const thumbprint = await calculateJwkThumbprint(jwk);
    const nonces: string[] = [];

    const ask = async (method: "GET" | "HEAD" | "POST", url: string, body?: string): Promise<AcmeReply> => {
      if (!url.startsWith("https://")) throw new AcmeError("protocol", `${url} is no https URL`);
      const reply = await request(url, {
        method,
        dispatcher: agent,
        signal,
        headers: {
          "user-agent": "fairlead",
          ...(body === undefined ? {} : { "content-type": "application/jose+json" }),
        },
        ...(body === undefined ? {} : { body }),
      }).catch((error: unknown) => {
        signal.throwIfAborted();
        throw new AcmeError("unreachable", `${url} cannot be reached: ${messageOf(error)}`);
      });
      const header = (name: string): string | undefined => [reply.headers[name] ?? []].flat()[0];
      const nonce = header("replay-nonce");
      if (nonce !== undefined && nonces.length < 8) nonces.push(nonce);
      const text = await readAll(reply.body, url);
      const wait = waitOf(header("retry-after"), clock.now());
      const parsed = /json/.test(header("content-type") ?? "") ? parse(text, url) : undefined;
      if (reply.statusCode >= 400) throw problem(reply.statusCode, parsed, wait, url);
      const location = header("location");
      return {
        body: parsed,
        text,
        ...(location === undefined ? {} : { location: new URL(location, url).href }),
        ...(wait === undefined ? {} : { retryAfter: wait }),
      };
    };

    const { body } = await ask("GET", options.directory);
    const directory = body as Partial<Directory> | undefined;
    const { newNonce, newAccount, newOrder } = directory ?? {};
    if (!newNonce || !newAccount || !newOrder)
      throw new AcmeError("protocol", `${options.directory} is no directory of an ACME server`);

    const signedBy =
      (by: { readonly jwk: JWK } | { readonly kid: string }) => async (url: string, payload?: object) => {
        const bytes = new TextEncoder().encode(payload === undefined ? "" : JSON.stringify(payload));
        for (let attempt = 1; ; attempt++) {
          if (nonces.length === 0) await ask("HEAD", newNonce);
          const nonce = nonces.pop();
          if (nonce === undefined) throw new AcmeError("protocol", "the server gives no nonce");
          const signed = await new FlattenedSign(bytes)
            .setProtectedHeader({ alg: "ES256", ...by, nonce, url })
            .sign(key);
          try {
            return await ask("POST", url, JSON.stringify(signed));
          } catch (error) {
            if (!(error instanceof AcmeError) || error.code !== "badNonce" || attempt >= tries) throw error;
          }
        }
      };

    const contact = options.email === undefined ? {} : { contact: [`mailto:${options.email}`] };
    const account = await signedBy({ jwk })(newAccount, { termsOfServiceAgreed: true, ...contact });
    if (account.location === undefined) throw new AcmeError("protocol", "the server names no account");
    return {
      url: () => newOrder,
      post: signedBy({ kid: account.location }),
      keyAuthorization: (token) => `${token}.${thumbprint}`,
      close: () => agent.close(),
    };
  } catch (error) {
    await agent.close();
    throw error;
  }
}

async function authorities(more: string): Promise<string[]> {
  const { rootCertificates } = await import("node:tls");
  return [...rootCertificates, more];
}

async function readAll(body: AsyncIterable<Uint8Array>, url: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > mostBytes) throw new AcmeError("protocol", `${url} answers with too much`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parse(text: string, url: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new AcmeError("protocol", `${url} answers with JSON that is none`);
  }
}

/** Milliseconds that a Retry-After header asks for: seconds or a date (RFC 9110 section 10.2.3). */
export function waitOf(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const wait = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isFinite(wait) ? Math.min(Math.max(wait, 0), longestWait) : undefined;
}

function problem(status: number, body: unknown, wait: number | undefined, url: string): AcmeError {
  const { type, detail, subproblems } = (body ?? {}) as { type?: unknown; detail?: unknown; subproblems?: unknown };
  const code = typeof type === "string" ? type.replace("urn:ietf:params:acme:error:", "") : `status${status}`;
  const more = Array.isArray(subproblems)
    ? subproblems.map((each: { detail?: unknown }) => text(each?.detail)).filter((each) => each !== "")
    : [];
  return new AcmeError(code, [text(detail) || `${url} answers ${status}`, ...more].join("; "), wait);
}

/** What a server says, as one line of a bounded length. */
function text(value: unknown): string {
  return typeof value === "string" ? value.replaceAll(/\s+/g, " ").slice(0, 500) : "";
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A challenge's or order's own error (RFC 8555 section 7.1.6, 8). */
export function errorIn(value: unknown): AcmeError | undefined {
  return value === undefined || value === null ? undefined : problem(0, value, undefined, "the server");
}
