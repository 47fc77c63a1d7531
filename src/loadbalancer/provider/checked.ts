import {
  failedStep,
  ProviderFailure,
  type Capabilities,
  type FailureReason,
  type LoadBalancerProvider,
  type ProviderStep,
  type StepResult,
} from "./contract.ts";

/** What a value is, for people. */
function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Promise) return "a promise";
  if (value === undefined) return "nothing";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Promise);
const isWhole = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0;
const listOf =
  (isOne: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.every(isOne);
const oneOf =
  (...words: readonly string[]) =>
  (value: unknown): boolean =>
    words.includes(value as string);
const isText = (value: unknown): value is string => typeof value === "string";
const isFlag = (value: unknown): boolean => typeof value === "boolean";

type Rules<T> = { readonly [K in keyof Required<T>]: readonly [is: (value: unknown) => boolean, needed: string] };
const flag = [isFlag, "true or false"] as const;

const capabilityRules: Rules<Capabilities> = {
  families: [listOf(oneOf("IPv4", "IPv6")), 'a list of "IPv4" and "IPv6"'],
  protocols: [listOf(oneOf("TCP", "UDP", "SCTP")), 'a list of "TCP", "UDP" and "SCTP" (empty: only Ingresses)'],
  mixedProtocols: flag,
  sourceRanges: flag,
  sessionAffinity: flag,
  requestedAddress: flag,
  localPolicy: flag,
  withoutNodePorts: flag,
  mostPorts: [isWhole, "a whole number"],
  annotations: [listOf(isText), "a list of beginnings of annotations, or an empty one"],
  http: [(value) => value === undefined || isObject(value), "an object, or nothing for who serves no Ingresses"],
};
const httpRules: Rules<NonNullable<Capabilities["http"]>> = { tls: flag, exactPaths: flag, endpoints: flag };

function faultsOf<T>(given: Record<string, unknown>, rules: Rules<T>, at: string): readonly string[] {
  const known = Object.entries<Rules<T>[keyof T]>(rules);
  return [
    ...known.flatMap(([name, [is, needed]]) =>
      is(given[name]) ? [] : [`${at}.${name} is ${kindOf(given[name])}; ${needed} is needed`],
    ),
    ...Object.keys(given)
      .filter((name) => !Object.hasOwn(rules, name))
      .map((name) => `${at}.${name.slice(0, 60)} is unknown; there are ${Object.keys(rules).join(", ")}`),
  ];
}

/** What is wrong with the capabilities that a module's provider says, each with what would be right. Pure. */
export function capabilityFaults(given: unknown): readonly string[] {
  if (!isObject(given)) return [`capabilities is ${kindOf(given)}; an object is needed`];
  const http = isObject(given["http"]) ? faultsOf(given["http"], httpRules, "capabilities.http") : [];
  return [...faultsOf(given, capabilityRules, "capabilities"), ...http];
}

const reasons: Readonly<Record<FailureReason, true>> = {
  Refused: true,
  Quota: true,
  Credentials: true,
  Throttled: true,
  Unavailable: true,
  Conflict: true,
  Broken: true,
};
const keyFields = ["cluster", "namespace", "name", "uid"] as const;
const isKey = (value: unknown): boolean => isObject(value) && keyFields.every((name) => isText(value[name]));
const isStep = (value: unknown): boolean => isObject(value) && isText(value["summary"]) && value["summary"] !== "";
const isAddress = (value: unknown): boolean => isObject(value) && (isText(value["ip"]) || isText(value["hostname"]));

function resultFault(value: unknown): string | undefined {
  if (!isObject(value))
    return `apply answers ${kindOf(value)}; { state: "done" }, "pending" or "failed" with a message is needed`;
  const { state, message, again, reason } = value;
  if (state === "done") return undefined;
  if (state !== "pending" && state !== "failed")
    return `apply answers the state ${JSON.stringify(state)?.slice(0, 40) ?? "nothing"}; done, pending or failed is needed`;
  if (!isText(message) || message === "") return `apply answers ${state} without a message`;
  if (state === "pending" && !isWhole(again))
    return "apply answers pending without again, the milliseconds after which it is looked at again";
  if (state === "failed" && !(isText(reason) && Object.hasOwn(reasons, reason)))
    return `apply answers the reason ${JSON.stringify(reason)?.slice(0, 40) ?? "nothing"}; one of ${Object.keys(reasons).join(", ")} is needed`;
  return undefined;
}

const mostMessage = 400;

/**
 * What an error of a module means: one with a `reason` of the contract is a failure as it says, so that a module needs no class of ours; any other
 * is a fault of the module's, with its place where it is one of its text.
 */
function failureOf(error: unknown, signal?: AbortSignal): unknown {
  if (error instanceof ProviderFailure || signal?.aborted) return error;
  const { reason, again } = isObject(error) ? error : {};
  const text = (error instanceof Error ? error.message : String(error))
    .replaceAll(/[\p{Cc}\s]+/gu, " ")
    .slice(0, mostMessage);
  if (isText(reason) && Object.hasOwn(reasons, reason))
    return new ProviderFailure(reason as FailureReason, text, isWhole(again) ? (again as number) : undefined);
  if (!(error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError))
    return new ProviderFailure("Broken", text);
  const [, place] = /^\s+at .*?((?:file:\/\/)?\/[^()\s]+:\d+:\d+)/m.exec(error.stack ?? "") ?? [];
  return new ProviderFailure("Broken", `${error.name}: ${text}${place === undefined ? "" : `, at ${place}`}`);
}

/**
 * The provider of a third party's module, held to the shapes of the contract: what it answers otherwise is a ProviderFailure Broken that says what
 * is needed, and nothing that others stumble over.
 */
export function checkedProvider(provider: LoadBalancerProvider): LoadBalancerProvider {
  function insist(isSo: boolean, fault: () => string): void {
    if (!isSo) throw new ProviderFailure("Broken", `the provider's module: ${fault()}`);
  }
  function said<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw failureOf(error);
    }
  }
  async function asked<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw failureOf(error, signal);
    }
  }
  function stepsOf(of: "plan" | "planRemoval", value: unknown): readonly ProviderStep[] {
    insist(Array.isArray(value), () => `${of} answers ${kindOf(value)}; a list of steps is needed, at once`);
    insist(listOf(isStep)(value), () => `${of} answers a step without a summary; { summary, input } is needed`);
    return value as readonly ProviderStep[];
  }
  const { name, loadBalancerClass, ingressController, lookAgain, capabilities } = provider;
  return {
    name,
    loadBalancerClass,
    ...(ingressController === undefined ? {} : { ingressController }),
    ...(lookAgain === undefined ? {} : { lookAgain }),
    capabilities,
    async list(cluster, signal) {
      const found: unknown = await asked(() => provider.list(cluster, signal), signal);
      insist(
        listOf(isKey)(found),
        () => `list answers ${kindOf(found)}; a list of { ${keyFields.join(", ")} }, each a text, is needed`,
      );
      return found as Awaited<ReturnType<LoadBalancerProvider["list"]>>;
    },
    async observe(key, signal) {
      const found = await asked(() => provider.observe(key, signal), signal);
      insist(found !== null, () => "observe answers null; undefined is what says that nothing exists");
      return found;
    },
    plan: (desired, observed) =>
      stepsOf(
        "plan",
        said(() => provider.plan(desired, observed)),
      ),
    planRemoval: (observed) =>
      stepsOf(
        "planRemoval",
        said(() => provider.planRemoval(observed)),
      ),
    async apply(step, signal) {
      const result: unknown = await asked(() => provider.apply(step, signal), signal).catch(failedStep);
      const fault = resultFault(result);
      insist(fault === undefined, () => fault ?? "");
      return result as StepResult;
    },
    addresses(observed) {
      const found: unknown = said(() => provider.addresses(observed));
      insist(
        listOf(isAddress)(found),
        () => `addresses answers ${kindOf(found)}; a list of { ip } or { hostname } is needed, at once`,
      );
      return found as ReturnType<LoadBalancerProvider["addresses"]>;
    },
    ...(provider.watch
      ? { watch: (cluster: string, ...rest: Rest) => provider.watch?.(cluster, ...rest) ?? Promise.resolve() }
      : {}),
  };
}

type Rest = [onChange: Parameters<NonNullable<LoadBalancerProvider["watch"]>>[1], signal: AbortSignal];
