import type { CustomResourceConversion, WebhookConversion } from "../generated/types.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { isDns1035Label } from "../values/names.ts";

/** `isUp`: the CRD is in use already, so a bundle of certificates must be one. */
export function* validateConversion(conversion: CustomResourceConversion, path: string, isUp: boolean): Faults {
  const { strategy, webhook } = conversion;
  if (!strategy) yield fault.required(`${path}.strategy`);
  else if (strategy !== "None" && strategy !== "Webhook")
    yield fault.notSupported(`${path}.strategy`, strategy, ["None", "Webhook"]);
  if (strategy === "Webhook") {
    yield* validateClient(webhook, `${path}.webhookClientConfig`, isUp);
    yield* validateReviewVersions(webhook?.conversionReviewVersions ?? [], `${path}.conversionReviewVersions`);
    return;
  }
  if (webhook?.clientConfig)
    yield fault.forbidden(`${path}.webhookClientConfig`, "should not be set when strategy is not set to Webhook");
  if (webhook?.conversionReviewVersions?.length)
    yield fault.forbidden(`${path}.conversionReviewVersions`, "should not be set when strategy is not set to Webhook");
}

function* validateClient(webhook: WebhookConversion | undefined, path: string, isUp: boolean): Faults {
  const client = webhook?.clientConfig;
  if (!client) {
    yield fault.required(path, "required when strategy is set to Webhook");
    return;
  }
  const { url, service, caBundle } = client;
  if ((url === undefined) === (service === undefined)) {
    yield fault.required(path, "exactly one of url or service is required");
  } else if (url !== undefined) yield* validateUrl(url, `${path}.url`);
  else if (service) {
    if (!service.name) yield fault.required(`${path}.service.name`, "service name is required");
    if (!service.namespace) yield fault.required(`${path}.service.namespace`, "service namespace is required");
    const { port = 443, path: urlPath } = service;
    if (port < 1 || port > 65_535)
      yield fault.invalid(`${path}.service.port`, port, "port is not valid: must be between 1 and 65535, inclusive");
    if (urlPath !== undefined) yield* validateUrlPath(urlPath, `${path}.service.path`);
  }
  if (caBundle && isUp && !Buffer.from(caBundle, "base64").toString().includes("-----BEGIN CERTIFICATE-----"))
    yield fault.invalid(
      `${path}.caBundle`,
      caBundle,
      "unable to load root certificates: unable to parse bytes as PEM block",
    );
}

function* validateUrl(url: string, path: string): Faults {
  const form = "; desired format: https://host[/path]";
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed) {
    yield fault.required(path, `url must be a valid URL: ${JSON.stringify(url)}${form}`);
    return;
  }
  if (parsed.protocol !== "https:")
    yield fault.invalid(path, parsed.protocol.slice(0, -1), `'https' is the only allowed URL scheme${form}`);
  if (!parsed.host) yield fault.invalid(path, parsed.host, `host must be specified${form}`);
  if (parsed.username || parsed.password)
    yield fault.invalid(path, parsed.username, "user information is not permitted in the URL");
  if (parsed.hash) yield fault.invalid(path, parsed.hash.slice(1), "fragments are not permitted in the URL");
  if (parsed.search) yield fault.invalid(path, parsed.search.slice(1), "query parameters are not permitted in the URL");
}

function* validateUrlPath(value: string, path: string): Faults {
  if (value === "") return;
  if (value === "/") return;
  if (!value.startsWith("/")) yield fault.invalid(path, value, "must start with a '/'");
  for (const [i, part] of value.split("/").slice(1).entries()) {
    const isLast = i === value.split("/").length - 2;
    if (part === "" && !isLast) yield fault.invalid(path, value, `segment[${i}] may not be empty`);
  }
}

function* validateReviewVersions(versions: readonly string[], path: string): Faults {
  if (versions.length === 0) {
    yield fault.required(path);
    return;
  }
  const seen = new Set<string>();
  for (const [i, version] of versions.entries()) {
    if (seen.has(version)) {
      yield fault.invalid(`${path}[${i}]`, version, "duplicate version");
      continue;
    }
    seen.add(version);
    for (const text of isDns1035Label(version)) yield fault.invalid(`${path}[${i}]`, version, text);
  }
  if (!versions.includes("v1") && !versions.includes("v1beta1"))
    yield fault.invalid(path, versions, "must include at least one of v1, v1beta1");
}
