import { systemClock } from "../../system/index.ts";
import { createApi, type Api, type ApiAnswer, type ApiRequest } from "../provider/api.ts";
import { withBearer } from "../provider/bearer.ts";
import { ProviderFailure, type FailureReason, type StepResult } from "../provider/contract.ts";
import { shape, textIn, type Shape } from "../provider/shape.ts";
import { issueToken, type GceCredentials } from "./credentials.ts";

export interface ComputeConfig {
  readonly endpoint: string;
  readonly project: string;
  readonly credentials: GceCredentials;
  readonly ca?: string;
  /** Milliseconds between two looks at an operation. */
  readonly poll: number;
  /** Milliseconds for one call. */
  readonly timeout: number;
}

/** Compute Engine's API, version 1. Paths begin below the project: `regions/R/addresses`. All throw ProviderFailure. */
export interface Compute {
  /** Undefined: there is no such thing. */
  get(path: string, signal: AbortSignal): Promise<Shape | undefined>;
  /** All pages of a list; of an aggregated one, the entries of all zones. `filter`: Compute's own expression. */
  list(path: string, filter: string, signal: AbortSignal): Promise<readonly Shape[]>;
  /** All pages of what is listed by a POST. */
  listPosted(path: string, signal: AbortSignal): Promise<readonly Shape[]>;
  /** Changes something, and follows the operation for a while. */
  change(
    method: "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    body: unknown,
    signal: AbortSignal,
  ): Promise<StepResult>;
}

/** Looks at an operation before it is left to the next call. */
const looks = 20;
const mostPages = 1_000;

export function createCompute(config: ComputeConfig): Compute {
  const secrets: string[] = config.credentials.kind === "key" ? [config.credentials.privateKey] : [];
  const options = {
    timeout: config.timeout,
    ...(config.ca === undefined ? {} : { ca: config.ca }),
    secrets: () => secrets,
  };
  const plain: Api = createApi({ ...options, messageIn: messageOfLogin, reasonOf: loginReason });
  const api: Api = createApi({ ...options, messageIn: messageOf, reasonOf });
  const bearer = withBearer(
    api,
    (signal) => issueToken(config.credentials, plain, signal),
    (token) => void (secrets[secrets.length > 1 ? 1 : secrets.length] = token),
  );
  const base = `${config.endpoint}/projects/${encodeURIComponent(config.project)}`;

  async function call(method: ApiRequest["method"], path: string, signal: AbortSignal, json?: unknown) {
    const request = { method, url: `${base}/${path}`, ...(json === undefined ? {} : { json }) };
    return { request, answer: await bearer.call(request, signal) };
  }

  async function pages(
    ask: (page: string) => Promise<{ request: ApiRequest; answer: ApiAnswer }>,
    read: (body: Shape) => readonly Shape[],
  ): Promise<readonly Shape[]> {
    const found: Shape[] = [];
    let token = "";
    for (let page = 0; page < mostPages; page++) {
      const { request, answer } = await ask(token);
      if (answer.status >= 300) throw api.failureOf(request, answer);
      const body = shape(answer.json());
      found.push(...read(body));
      token = textIn(body.at("nextPageToken")) ?? "";
      if (!token) return found;
    }
    throw new ProviderFailure("Broken", `the list has more than ${mostPages} pages`);
  }

  /** `regions/R`, `zones/Z` or `global`: where an operation on a path is looked for. Never where an answer says. */
  const scopeOf = (path: string) => (path.startsWith("global/") ? "global" : path.split("/").slice(0, 2).join("/"));

  async function follow(path: string, first: Shape, signal: AbortSignal): Promise<StepResult> {
    let operation = first;
    const name = operation.at("name").text();
    for (let i = 0; i < looks && operation.at("status").text() !== "DONE"; i++) {
      await systemClock.sleep(config.poll, signal);
      const where = `${scopeOf(path)}/operations/${encodeURIComponent(name)}`;
      const { request, answer } = await call("GET", where, signal);
      // It is forgotten after a while: the next look tells what became of it.
      if (answer.status === 404) return { state: "pending", message: "the operation is gone", again: config.poll };
      if (answer.status >= 300) throw api.failureOf(request, answer);
      operation = shape(answer.json());
    }
    if (operation.at("status").text() !== "DONE") {
      return { state: "pending", message: `operation ${name.slice(0, 64)} is under way`, again: config.poll };
    }
    return outcomeOf(operation);
  }

  return {
    async get(path, signal) {
      const { request, answer } = await call("GET", path, signal);
      if (answer.status === 404) return undefined;
      if (answer.status >= 300) throw api.failureOf(request, answer);
      return shape(answer.json());
    },
    list(path, filter, signal) {
      const query = (page: string) => new URLSearchParams({ filter, ...(page ? { pageToken: page } : {}) }).toString();
      const resource = path.split("/").at(-1) ?? "";
      return pages(
        (page) => call("GET", `${path}?${query(page)}`, signal),
        (body) => {
          const items = body.at("items");
          if (items.isAbsent()) return [];
          if (!path.startsWith("aggregated/")) return items.list();
          return items.entries().flatMap(([, one]) => (one.at(resource).isAbsent() ? [] : one.at(resource).list()));
        },
      );
    },
    listPosted: (path, signal) =>
      pages(
        (page) =>
          call("POST", page ? `${path}?pageToken=${encodeURIComponent(page)}` : path, signal, { healthStatus: "SKIP" }),
        (body) => (body.at("items").isAbsent() ? [] : body.at("items").list()),
      ),
    async change(method, path, body, signal) {
      const { request, answer } = await call(method, path, signal, body);
      if (method === "DELETE" && answer.status === 404) return { state: "done" };
      // Made before, perhaps by an operation that is still under way: the next look tells.
      if (method === "POST" && answer.status === 409)
        return { state: "pending", message: "it is being made already", again: config.poll };
      if (answer.status >= 300) throw api.failureOf(request, answer);
      return follow(path, shape(answer.json()), signal);
    },
  };
}

/** What an operation that ended says. */
function outcomeOf(operation: Shape): StepResult {
  const error = operation.at("error");
  const first = error.isAbsent() ? undefined : error.at("errors").list()[0];
  if (!first) return { state: "done" };
  const code = textIn(first.at("code")) ?? "";
  if (code === "RESOURCE_ALREADY_EXISTS") return { state: "done" };
  if (code === "RESOURCE_NOT_FOUND" && textIn(operation.at("operationType")) === "delete") return { state: "done" };
  const words = withoutKeys(textIn(first.at("message")) ?? "");
  const message = `${code.slice(0, 80)}: ${words.slice(0, 400)}`;
  return { state: "failed", reason: reasonOfCode(code), message: message.replaceAll(/[\p{Cc}\s]+/gu, " ") };
}

function reasonOfCode(code: string): FailureReason {
  if (code.includes("QUOTA") || code.includes("LIMIT_EXCEEDED")) return "Quota";
  if (code.includes("RATE_LIMIT")) return "Throttled";
  if (/IN_USE|NOT_READY|CONDITION_NOT_MET|OPERATION_CANCELED|RESOURCE_NOT_FOUND/.test(code)) return "Conflict";
  if (code.includes("PERMISSION") || code.includes("FORBIDDEN")) return "Credentials";
  if (/INTERNAL_ERROR|BACKEND_ERROR|UNAVAILABLE|EXHAUSTED|TIMEOUT/.test(code)) return "Unavailable";
  return "Refused";
}

/** The first of Google's reasons, where the body has any. */
function reasonIn(answer: ApiAnswer): string {
  try {
    const errors = shape(JSON.parse(answer.text)).at("error").at("errors");
    return errors.isAbsent() ? "" : (textIn(errors.list()[0]?.at("reason") ?? shape(undefined)) ?? "");
  } catch {
    return "";
  }
}

function reasonOf(answer: ApiAnswer): FailureReason | undefined {
  const reason = reasonIn(answer);
  if (/rateLimitExceeded/i.test(reason)) return "Throttled";
  if (/quotaExceeded|limitExceeded/i.test(reason)) return "Quota";
  if (/^(resourceNotReady|resourceInUse|conditionNotMet|fingerprint|operationInProgress)/i.test(reason))
    return "Conflict";
  if (answer.status === 404) return "Conflict";
  return undefined;
}

/** A key that Google does not know is answered with 400 invalid_grant (RFC 6749). */
const loginReason = ({ status }: ApiAnswer): FailureReason | undefined =>
  status === 400 || status === 404 ? "Credentials" : undefined;

/** What is sent may come back in an error: a certificate's key is said to nobody. */
const withoutKeys = (text: string) => text.replaceAll(/-----BEGIN [A-Z ]*PRIVATE KEY-----[^"]*/g, "***");

function messageOf(body: unknown): string | undefined {
  return withoutKeys(textIn(shape(body).at("error").at("message")) ?? "");
}

function messageOfLogin(body: unknown): string | undefined {
  const [error, more] = [shape(body).at("error"), shape(body).at("error_description")];
  return [textIn(error), textIn(more)].filter(Boolean).join(": ");
}
