import { type ApiAnswer, type ApiRequest } from "../provider/api.ts";
import { ProviderFailure, type FailureReason, type StepResult } from "../provider/contract.ts";
import { numberIn, shape, textIn, type Shape } from "../provider/shape.ts";
import { createSession, type BigIpConfig } from "./session.ts";

/** F5's Application Services 3 on a BIG-IP. All throw ProviderFailure. */
export interface As3 {
  /** What a tenant has been declared to be; undefined: it does not exist. */
  tenant(name: string, signal: AbortSignal): Promise<Shape | undefined>;
  /** Declares a whole tenant. */
  declare(name: string, tenant: object, signal: AbortSignal): Promise<StepResult>;
  /** Changes one application of a tenant that exists; undefined removes it. */
  patch(name: string, application: string, value: object | undefined, signal: AbortSignal): Promise<StepResult>;
  /** Removes a tenant with all that is in it. */
  removeTenant(name: string, signal: AbortSignal): Promise<StepResult>;
}

const base = "/mgmt/shared/appsvcs";
/** Looks at a task before it is left to the next call. */
const looks = 5;
/** The oldest AS3 whose declarations have all that is used. */
const schemaVersion = "3.0.0";

export function createAs3(config: BigIpConfig): As3 {
  const session = createSession(config, messageOf);

  async function call(
    method: ApiRequest["method"],
    path: string,
    signal: AbortSignal,
    json?: unknown,
  ): Promise<ApiAnswer> {
    const request = { method, url: `${config.url}${path}`, ...(json === undefined ? {} : { json }) };
    const answer = await session.call(request, signal);
    if (answer.status === 404 && path.startsWith(`${base}/info`)) {
      throw new ProviderFailure("Refused", `${config.url} has no AS3; install its package on the BIG-IP`);
    }
    if (answer.status >= 300 && answer.status !== 404) throw session.api.failureOf(request, answer);
    return answer;
  }

  const sleep = (signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, config.poll);
      signal.addEventListener(
        "abort",
        () => {
          clearTimeout(timer);
          reject(signal.reason as Error);
        },
        { once: true },
      );
    });
  const pending = (message: string): StepResult => ({ state: "pending", message, again: config.poll });

  /** Whether the BIG-IP works on a declaration. It takes no second one meanwhile. */
  async function isBusy(signal: AbortSignal): Promise<boolean> {
    const items = shape((await call("GET", `${base}/task`, signal)).json()).at("items");
    if (items.isAbsent()) return false;
    return items.list().some((item) => resultsOf(item).some(({ message }) => message === "in progress"));
  }

  /** Sends what writes, and follows its task for a while. */
  async function write(
    method: "POST" | "PATCH" | "DELETE",
    path: string,
    signal: AbortSignal,
    json?: unknown,
  ): Promise<StepResult> {
    if (await isBusy(signal)) return pending("the BIG-IP works on another declaration");
    const answer = await call(method, `${path}?async=true`, signal, json);
    if (answer.status === 404) return { state: "done" };
    const body = shape(answer.json());
    if (answer.status !== 202) return outcome(body);
    const task = body.at("id").text();
    for (let i = 0; i < looks; i++) {
      const now = await call("GET", `${base}/task/${encodeURIComponent(task)}`, signal);
      // A BIG-IP that was started anew has forgotten it: the next look tells what became of it.
      if (now.status === 404) return pending("the task is gone");
      const found = shape(now.json());
      if (!resultsOf(found).some(({ message }) => message === "in progress")) return outcome(found);
      await sleep(signal);
    }
    return pending(`task ${task.slice(0, 64)} is in progress`);
  }

  let checked: Promise<unknown> | undefined;
  return {
    async tenant(name, signal) {
      checked ??= call("GET", `${base}/info`, signal);
      await checked.catch((error: unknown) => {
        checked = undefined;
        throw error;
      });
      const answer = await call("GET", `${base}/declare/${encodeURIComponent(name)}`, signal);
      if (answer.status === 404 || answer.status === 204) return undefined;
      const tenant = shape(answer.json()).at(name);
      return tenant.isAbsent() ? undefined : tenant;
    },
    declare: (name, tenant, signal) =>
      write("POST", `${base}/declare/${encodeURIComponent(name)}`, signal, {
        class: "AS3",
        action: "deploy",
        persist: true,
        declaration: { class: "ADC", schemaVersion, id: name, [name]: tenant },
      }),
    patch(name, application, value, signal) {
      const path = `/${name}/${application}`;
      return write("PATCH", `${base}/declare`, signal, [value ? { op: "add", path, value } : { op: "remove", path }]);
    },
    removeTenant: (name, signal) => write("DELETE", `${base}/declare/${encodeURIComponent(name)}`, signal),
  };
}

interface As3Result {
  readonly code: number;
  readonly message: string;
  readonly detail: string;
}

/** AS3 answers with a list of results, one a tenant, or with one in place of the list. */
function resultsOf(body: Shape): readonly As3Result[] {
  const list = body.at("results");
  const all = list.isAbsent() ? [body] : list.list();
  return all.map((one) => ({
    code: numberIn(one.at("code")) ?? 0,
    message: textIn(one.at("message")) ?? "",
    detail: [textIn(one.at("response")), errorsIn(one)].filter(Boolean).join("; "),
  }));
}

const errorsIn = (one: Shape): string | undefined => {
  const errors = one.at("errors");
  return errors.isAbsent()
    ? undefined
    : errors
        .list()
        .map((error) => String(error.value).slice(0, 200))
        .join("; ");
};

function messageOf(body: unknown): string {
  return resultsOf(shape(body))
    .map(({ message, detail }) => [message, detail].filter(Boolean).join(": "))
    .join("; ");
}

function outcome(body: Shape): StepResult {
  const bad = resultsOf(body).find(({ code }) => code >= 300 || code === 207);
  if (!bad) return { state: "done" };
  const reason: FailureReason =
    bad.code === 503 ? "Throttled" : bad.code >= 500 ? "Unavailable" : bad.code === 401 ? "Credentials" : "Refused";
  const message = [`AS3 says ${bad.code}`, bad.message, bad.detail].filter(Boolean).join(": ").slice(0, 500);
  return { state: "failed", reason, message };
}
