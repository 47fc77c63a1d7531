import { systemClock } from "../../system/index.ts";
import { createApi, retryAfter, type Api, type ApiAnswer, type ApiRequest } from "../provider/api.ts";
import { withBearer } from "../provider/bearer.ts";
import { ProviderFailure, type FailureReason, type StepResult } from "../provider/contract.ts";
import { shape, textIn, type Shape } from "../provider/shape.ts";
import { issueToken, type AzureCredentials, type AzurePlaces } from "./credentials.ts";

export interface ArmConfig extends AzurePlaces {
  /** Of Azure Resource Manager. */
  readonly endpoint: string;
  readonly credentials: AzureCredentials;
  readonly ca?: string;
  /** Milliseconds between two looks at an operation that says no time itself. */
  readonly poll: number;
  /** Milliseconds for one call. */
  readonly timeout: number;
}

/** Azure Resource Manager. Ids are `/subscriptions/...`. All throw ProviderFailure. */
export interface Arm {
  /** Undefined: there is no such resource. */
  get(id: string, signal: AbortSignal): Promise<Shape | undefined>;
  /** All pages of what is in a collection. */
  list(id: string, signal: AbortSignal): Promise<readonly Shape[]>;
  /**
   * Makes or replaces a resource, and follows the operation for a while. `etag`: only while it is what was read; "": only when there is none.
   * Undefined as the result: it is something else by now.
   */
  put(id: string, body: unknown, etag: string | undefined, signal: AbortSignal): Promise<StepResult | undefined>;
  remove(id: string, signal: AbortSignal): Promise<StepResult>;
}

/** Version of Microsoft.Network that is spoken. */
const version = "2025-05-01";
/** Looks at an operation before it is left to the next call, and the longest wait between two. */
const looks = 20;
const mostPages = 1_000;
const longestWait = 10_000;

export function createArm(config: ArmConfig): Arm {
  const { credentials, endpoint, timeout } = config;
  const secrets: string[] = credentials.kind === "secret" ? ["", credentials.secret] : [""];
  const options = { timeout, ...(config.ca === undefined ? {} : { ca: config.ca }), secrets: () => secrets };
  const login: Api = createApi({ ...options, messageIn: messageOfLogin, reasonOf: loginReason });
  const api: Api = createApi({ ...options, messageIn: messageOf, reasonOf });
  const bearer = withBearer(
    api,
    (signal) => issueToken(credentials, config, login, signal),
    (token) => void (secrets[0] = token),
  );
  const { origin } = new URL(endpoint);

  async function call(
    method: ApiRequest["method"],
    url: string,
    signal: AbortSignal,
    headers: Readonly<Record<string, string>> = {},
    json?: unknown,
  ) {
    const request = { method, url, headers, ...(json === undefined ? {} : { json }) };
    return { request, answer: await bearer.call(request, signal) };
  }
  const urlOf = (id: string) => `${endpoint}${id}?api-version=${version}`;
  const pending = (message: string): StepResult => ({ state: "pending", message, again: config.poll });

  /** No host but the API's gets the token, whatever an answer says. */
  function assertOurs(url: string): void {
    if (!URL.canParse(url) || new URL(url).origin !== origin)
      throw new ProviderFailure("Broken", "an answer sends to another host than the API's");
  }

  /** Where an operation is looked for. */
  function watched(answer: ApiAnswer): { readonly url: string; readonly isStatus: boolean } | undefined {
    const status = answer.header("azure-asyncoperation");
    const url = status ?? (answer.status === 202 ? answer.header("location") : undefined);
    if (url === undefined) return undefined;
    assertOurs(url);
    return { url, isStatus: status !== undefined };
  }

  async function follow(first: ApiAnswer, signal: AbortSignal): Promise<StepResult> {
    const where = watched(first);
    if (!where) return { state: "done" };
    let answer = first;
    for (let i = 0; i < looks; i++) {
      await systemClock.sleep(Math.min(retryAfter(answer.header("retry-after")) ?? config.poll, longestWait), signal);
      const next = await call("GET", where.url, signal);
      answer = next.answer;
      // It is forgotten after a while: the next look tells what became of it.
      if (answer.status === 404) return pending("the operation is gone");
      if (answer.status >= 300) throw api.failureOf(next.request, answer);
      if (!where.isStatus) {
        if (answer.status !== 202) return { state: "done" };
        continue;
      }
      const body = shape(answer.json());
      const status = body.at("status").text();
      if (status === "Succeeded") return { state: "done" };
      if (status === "Failed" || status === "Canceled") return failed(body.at("error"), status);
    }
    return pending("an operation is under way");
  }

  return {
    async get(id, signal) {
      const { request, answer } = await call("GET", urlOf(id), signal);
      if (answer.status === 404 && codeIn(answer) === "ResourceNotFound") return undefined;
      if (answer.status >= 300) throw api.failureOf(request, answer);
      return shape(answer.json());
    },
    async list(id, signal) {
      const found: Shape[] = [];
      let url: string | undefined = urlOf(id);
      for (let page = 0; url !== undefined && page < mostPages; page++) {
        assertOurs(url);
        const { request, answer } = await call("GET", url, signal);
        if (answer.status >= 300) throw api.failureOf(request, answer);
        const body = shape(answer.json());
        found.push(...body.at("value").list());
        url = textIn(body.at("nextLink"));
      }
      return found;
    },
    async put(id, body, etag, signal) {
      const condition: Readonly<Record<string, string>> =
        etag === undefined ? {} : etag === "" ? { "if-none-match": "*" } : { "if-match": etag };
      const { request, answer } = await call("PUT", urlOf(id), signal, condition, body);
      if (answer.status === 412) return undefined;
      if (answer.status >= 300) throw api.failureOf(request, answer);
      return follow(answer, signal);
    },
    async remove(id, signal) {
      const { request, answer } = await call("DELETE", urlOf(id), signal);
      if (answer.status === 404 && codeIn(answer) === "ResourceNotFound") return { state: "done" };
      if (answer.status >= 300) throw api.failureOf(request, answer);
      return follow(answer, signal);
    },
  };
}

function failed(error: Shape, status: string): StepResult {
  const code = error.isAbsent() ? status : (textIn(error.at("code")) ?? status);
  const words = error.isAbsent() ? "" : (textIn(error.at("message")) ?? "");
  const message = `${code.slice(0, 80)}: ${words.slice(0, 400)}`.replaceAll(/[\p{Cc}\s]+/gu, " ");
  return { state: "failed", reason: reasonOfCode(code) ?? "Refused", message };
}

function codeIn(answer: ApiAnswer): string {
  try {
    return textIn(shape(JSON.parse(answer.text)).at("error").at("code")) ?? "";
  } catch {
    return "";
  }
}

function reasonOfCode(code: string): FailureReason | undefined {
  if (/Throttl|TooManyRequests|RateLimit/.test(code)) return "Throttled";
  if (/Quota|LimitReached|LimitExceeded|CountLimit/.test(code)) return "Quota";
  if (/AuthorizationFailed|InvalidAuthentication|ExpiredAuthentication|LinkedAuthorization/.test(code))
    return "Credentials";
  if (/InUse|Conflict|AnotherOperation|Retryable|Canceled|Superseded|NotProvisioned|ReferencedResource/.test(code))
    return "Conflict";
  if (/InternalServer|InternalError|ServerTimeout|Unavailable/.test(code)) return "Unavailable";
  return undefined;
}

function reasonOf(answer: ApiAnswer): FailureReason | undefined {
  return reasonOfCode(codeIn(answer));
}

/** An application or a secret that Entra does not know is answered with 400 or 401 (RFC 6749); a machine without an identity with 400. */
const loginReason = ({ status }: ApiAnswer): FailureReason | undefined =>
  status === 400 || status === 404 ? "Credentials" : undefined;

function messageOf(body: unknown): string {
  const error = shape(body).at("error");
  return [textIn(error.at("code")), textIn(error.at("message"))].filter(Boolean).join(": ");
}

function messageOfLogin(body: unknown): string {
  const [error, more] = [shape(body).at("error"), shape(body).at("error_description")];
  return [textIn(error), textIn(more)].filter(Boolean).join(": ");
}
