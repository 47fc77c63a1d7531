import { fetch } from "undici";
import { ProviderFailure, type FailureReason } from "./contract.ts";
import { createWays } from "./ways.ts";

/** An answer of the other side. */
export interface ApiAnswer {
  readonly status: number;
  /** Names in lower case. */
  header(name: string): string | undefined;
  readonly text: string;
  /** The body as JSON; undefined: it is empty. Throws ProviderFailure Broken when it is something else. */
  json(): unknown;
}

export interface ApiRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is; `headers` say what it is. */
  readonly body?: string;
  /** Never by a proxy: what is asked is this machine's own metadata service. */
  readonly isDirect?: boolean;
  /** Texts in it that no message may repeat, beside those of the options. */
  readonly secrets?: readonly string[];
}

/** How calls leave this process. */
export interface Api {
  /** Whatever was answered, also errors. Throws ProviderFailure Unavailable when nothing was, or not in time, or too much. */
  call(request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer>;
  /** As `call`, but answers of 400 and more are thrown as `failureOf` says. */
  ask(request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer>;
  /** What an answer that is no success means. */
  failureOf(request: ApiRequest, answer: ApiAnswer): ProviderFailure;
}

export interface ApiOptions {
  /** Milliseconds for one call, the body included. Default 30 s. */
  readonly timeout?: number;
  /** Bytes of one answer. Default 16 MiB. */
  readonly mostBytes?: number;
  /** Certificates, PEM, that are trusted instead of the usual ones. */
  readonly ca?: string;
  /** Do not look at the server's certificate. */
  readonly insecure?: boolean;
  /** Texts that are in no message, whatever the other side answers. */
  readonly secrets?: () => readonly string[];
  /** Finds the words of an error in an answer's body. */
  readonly messageIn?: (body: unknown) => string | undefined;
  /** What an answer means where its status alone does not say it. */
  readonly reasonOf?: (answer: ApiAnswer, message: string) => FailureReason | undefined;
}

const defaultTimeout = 30_000;
const defaultMostBytes = 16 << 20;
const mostMessage = 400;

/** HTTP to the API of a cloud or an appliance: bounded in time and size, with errors as the contract names them and without secrets. */
export function createApi(options: ApiOptions = {}): Api {
  const timeout = options.timeout ?? defaultTimeout;
  const mostBytes = options.mostBytes ?? defaultMostBytes;
  const way = createWays({
    mostBytes,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...(options.insecure ? { insecure: true } : {}),
  });
  const place = ({ method, url }: ApiRequest) => `${method} ${withoutQuery(url)}`;

  const api: Api = {
    async call(request, signal) {
      const { method, url, headers = {}, json, body, isDirect = false } = request;
      const limit = AbortSignal.timeout(timeout);
      try {
        const response = await fetch(url, {
          method,
          headers: { accept: "application/json", ...(json === undefined ? {} : jsonType), ...headers },
          ...(json === undefined ? (body === undefined ? {} : { body }) : { body: JSON.stringify(json) }),
          redirect: "manual",
          signal: AbortSignal.any([signal, limit]),
          dispatcher: way(url, isDirect),
        });
        const text = await response.text();
        return {
          status: response.status,
          header: (name) => response.headers.get(name) ?? undefined,
          text,
          json() {
            if (text === "") return undefined;
            try {
              return JSON.parse(text) as unknown;
            } catch {
              throw new ProviderFailure(
                "Broken",
                `${place(request)} has answered ${response.status} with what is no JSON`,
              );
            }
          },
        };
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (error instanceof ProviderFailure) throw error;
        const why = limit.aborted ? `no whole answer within ${timeout} ms` : clean(causeOf(error), request);
        throw new ProviderFailure("Unavailable", `${place(request)}: ${why}`);
      }
    },
    async ask(request, signal) {
      const answer = await api.call(request, signal);
      if (answer.status >= 300) throw api.failureOf(request, answer);
      return answer;
    },
    failureOf(request, answer) {
      const { status } = answer;
      const words = clean(messageOfBody(answer) ?? "", request);
      const reason = options.reasonOf?.(answer, words) ?? reasonOfStatus(status);
      const again = retryAfter(answer.header("retry-after"));
      const message = `${place(request)} has answered ${status}${words ? `: ${words}` : ""}`;
      return new ProviderFailure(reason, message, again);
    },
  };

  /** The words of an error. A body of another form has none: its status counts. */
  function messageOfBody(answer: ApiAnswer): string | undefined {
    try {
      return options.messageIn?.(JSON.parse(answer.text));
    } catch {
      return undefined;
    }
  }

  /** Cut to a line of a condition, without control characters and secrets. */
  function clean(text: string, { secrets = [] }: ApiRequest): string {
    let line = oneLine(text);
    for (const secret of [...secrets, ...(options.secrets?.() ?? [])])
      for (const part of partsOf(secret)) line = line.replaceAll(part, "***");
    return line.length > mostMessage ? `${line.slice(0, mostMessage)}...` : line;
  }
  return api;
}

const oneLine = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim();

/** What of a secret may be in a message: all of it, and the lines of a key, also as JSON writes them. */
function partsOf(secret: string): readonly string[] {
  const lines = secret.includes("\n") ? secret.split("\n").filter((line) => line.length > 15) : [];
  return [oneLine(secret), ...lines].filter(({ length }) => length > 2);
}

const jsonType = { "content-type": "application/json" };

function withoutQuery(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}

function causeOf(error: unknown): string {
  const parts: string[] = [];
  for (let one = error; one instanceof Error && parts.length < 4; one = one.cause) parts.push(one.message);
  return parts.filter((part) => part !== "fetch failed").join(": ") || String(error);
}

/** What a status says where nothing else does (RFC 9110, RFC 6585). */
export function reasonOfStatus(status: number): FailureReason {
  if (status === 401 || status === 403) return "Credentials";
  if (status === 409 || status === 412) return "Conflict";
  if (status === 413 || status === 429) return "Throttled";
  if (status === 501) return "Refused";
  if (status >= 500 || status === 408) return "Unavailable";
  if (status >= 300 && status < 400) return "Broken";
  return "Refused";
}

const mostWait = 3_600_000;

/** Milliseconds of a Retry-After header, seconds or a date. */
export function retryAfter(value: string | undefined, now: number = Date.now()): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d{1,6}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), mostWait) : undefined;
}
