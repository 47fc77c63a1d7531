import { createStrategy } from "../base-strategy.ts";
import type { MutatingWebhook, ValidatingWebhook, WebhookClientConfig } from "../generated/types.ts";
import type { KubeObject } from "../object.ts";
import { resources } from "../resource.ts";
import type { Strategy } from "../strategy.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { validateOneOf } from "../validation/ports.ts";
import { jsonEqual } from "../values/equal.ts";
import { isDns1035Label, isDns1123Subdomain, isPortNumber } from "../values/names.ts";
import { createLanguage, type ExpressionCheck } from "./expressions.ts";
import { validateMatchConditions } from "./match-conditions.ts";
import { validateRule } from "./rules.ts";

type Webhook = MutatingWebhook | ValidatingWebhook;

/** Versions of AdmissionReview that are spoken here. */
const reviewVersions = ["v1", "v1beta1"];
const sideEffects = ["None", "NoneOnDryRun"];

const language = createLanguage();

const validating = createStrategy(resources.ValidatingWebhookConfiguration, {
  allowUnconditionalUpdate: false,
  generationOf: ({ webhooks }) => webhooks,
  defaults: ({ webhooks = [] }) => {
    for (const webhook of webhooks) defaultWebhook(webhook);
  },
  validate: ({ webhooks = [] }, _context, old) => validateWebhooks(webhooks, old && (old.webhooks ?? [])),
});

const mutating = createStrategy(resources.MutatingWebhookConfiguration, {
  allowUnconditionalUpdate: false,
  generationOf: ({ webhooks }) => webhooks,
  defaults: ({ webhooks = [] }) => {
    for (const webhook of webhooks) {
      defaultWebhook(webhook);
      webhook.reinvocationPolicy ??= "Never";
    }
  },
  validate: ({ webhooks = [] }, _context, old) => validateWebhooks(webhooks, old && (old.webhooks ?? [])),
});

const hasConditions = (object: KubeObject): boolean =>
  ((object as { webhooks?: readonly Webhook[] }).webhooks ?? []).some(({ matchConditions }) => matchConditions?.length);

const ready = (object: KubeObject) => (hasConditions(object) ? language.ready() : undefined);

export const validatingWebhookConfigurationStrategy: Strategy = { ...validating, ready };
export const mutatingWebhookConfigurationStrategy: Strategy = { ...mutating, ready };

function defaultWebhook(webhook: Webhook): void {
  webhook.failurePolicy ??= "Fail";
  webhook.matchPolicy ??= "Equivalent";
  webhook.namespaceSelector ??= {};
  webhook.objectSelector ??= {};
  webhook.timeoutSeconds ??= 10;
  for (const rule of webhook.rules ?? []) rule.scope ??= "*";
  if (webhook.clientConfig.service) webhook.clientConfig.service.port ??= 443;
}

const conditionsOf = (webhooks: readonly Webhook[]) => webhooks.map(({ matchConditions = [] }) => matchConditions);

function* validateWebhooks(webhooks: readonly Webhook[], old: readonly Webhook[] | undefined): Faults {
  // Conditions that an update leaves as they are were checked when they came.
  const check = old && jsonEqual(conditionsOf(webhooks), conditionsOf(old)) ? undefined : language.loaded();
  const names = new Set<string>();
  for (const [i, webhook] of webhooks.entries()) {
    const path = `webhooks[${i}]`;
    yield* validateWebhook(webhook, path, check);
    yield* validateReviewVersions(webhook.admissionReviewVersions, `${path}.admissionReviewVersions`);
    if (names.has(webhook.name)) yield fault.duplicate(`${path}.name`, webhook.name);
    names.add(webhook.name);
  }
}

function* validateWebhook(webhook: Webhook, path: string, check: ExpressionCheck): Faults {
  yield* validateName(webhook.name, `${path}.name`);
  for (const [i, rule] of (webhook.rules ?? []).entries()) yield* validateRule(rule, `${path}.rules[${i}]`);
  const { failurePolicy = "", matchPolicy = "", timeoutSeconds = 10, sideEffects: effects } = webhook;
  yield* validateOneOf(failurePolicy, ["Fail", "Ignore"], `${path}.failurePolicy`);
  yield* validateOneOf(matchPolicy, ["Equivalent", "Exact"], `${path}.matchPolicy`);
  if (!effects) yield fault.required(`${path}.sideEffects`, `must specify one of ${sideEffects.join(", ")}`);
  else yield* validateOneOf(effects, sideEffects, `${path}.sideEffects`);
  if (timeoutSeconds > 30 || timeoutSeconds < 1) {
    const text = "the timeout value must be between 1 and 30 seconds";
    yield fault.invalid(`${path}.timeoutSeconds`, timeoutSeconds, text);
  }
  yield* validateLabelSelector(webhook.namespaceSelector, `${path}.namespaceSelector`);
  yield* validateLabelSelector(webhook.objectSelector, `${path}.objectSelector`);
  if ("reinvocationPolicy" in webhook && webhook.reinvocationPolicy !== undefined)
    yield* validateOneOf(webhook.reinvocationPolicy, ["IfNeeded", "Never"], `${path}.reinvocationPolicy`);
  yield* validateClient(webhook.clientConfig, `${path}.clientConfig`);
  const declared = { params: false, authorizer: true };
  yield* validateMatchConditions(webhook.matchConditions ?? [], `${path}.matchConditions`, check, declared);
}

/** Webhooks are called `name.example.com`: at least three parts. */
function* validateName(name: string, path: string): Faults {
  if (name === "") {
    yield fault.required(path);
    return;
  }
  yield* invalids(path, name, isDns1123Subdomain(name));
  if (isDns1123Subdomain(name).length === 0 && name.split(".").length < 3)
    yield fault.invalid(path, name, "should be a domain with at least three segments separated by dots");
}

function* validateReviewVersions(versions: readonly string[], path: string): Faults {
  if (versions.length === 0) {
    yield fault.required(path, `must specify one of ${reviewVersions.join(", ")}`);
    return;
  }
  for (const [i, version] of versions.entries()) {
    if (versions.indexOf(version) < i) yield fault.invalid(`${path}[${i}]`, version, "duplicate version");
    else yield* invalids(`${path}[${i}]`, version, isDns1035Label(version));
  }
  if (!versions.some((version) => reviewVersions.includes(version)))
    yield fault.invalid(path, versions, `must include at least one of ${reviewVersions.join(", ")}`);
}

function* validateClient({ url, service }: WebhookClientConfig, path: string): Faults {
  if ((url === undefined) === (service === undefined)) {
    yield fault.required(path, "exactly one of url or service is required");
    return;
  }
  if (url !== undefined) yield* validateUrl(url, `${path}.url`);
  if (!service) return;
  if (service.name === "") yield fault.required(`${path}.service.name`);
  if (service.namespace === "") yield fault.required(`${path}.service.namespace`);
  if (service.port !== undefined && isPortNumber(service.port).length > 0) {
    const text = `port is not valid: ${isPortNumber(service.port).join(",")}`;
    yield fault.invalid(`${path}.service.port`, service.port, text);
  }
  const { path: url_ = "" } = service;
  if (url_ !== "" && url_ !== "/") yield* validatePath(url_, `${path}.service.path`);
}

function* validatePath(text: string, path: string): Faults {
  if (!text.startsWith("/")) yield fault.invalid(path, text, "must start with a '/'");
  const steps = text.slice(1).split("/");
  for (const [i, step] of steps.entries()) {
    if (step === "" && i < steps.length - 1) yield fault.invalid(path, text, `segment[${i}] may not be empty`);
    else if (step !== "") {
      for (const message of isDns1123Subdomain(step)) yield fault.invalid(path, text, `segment[${i}]: ${message}`);
    }
  }
}

const urlForm = "url must be a valid URL: ";

function* validateUrl(text: string, path: string): Faults {
  if (!URL.canParse(text) && !text.startsWith("https://")) {
    yield fault.required(path, `${urlForm}it could not be read; desired format: https://host[/path]`);
    return;
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "https:")
    yield fault.invalid(
      path,
      url?.protocol.slice(0, -1) ?? "",
      "'https' is the only allowed URL scheme; desired format: https://host[/path]",
    );
  if (!url?.host) yield fault.invalid(path, "", "host must be specified; desired format: https://host[/path]");
  if (!url) return;
  const user = url.password ? `${url.username}:${url.password}` : url.username;
  if (user !== "") yield fault.invalid(path, user, "user information is not permitted in the URL");
  if (url.hash !== "") yield fault.invalid(path, url.hash.slice(1), "fragments are not permitted in the URL");
  if (url.search !== "")
    yield fault.invalid(path, url.search.slice(1), "query parameters are not permitted in the URL");
}
