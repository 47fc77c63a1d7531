import type { HostAlias, PodSpec, Toleration } from "../generated/types.ts";
import { validateIp } from "../validation/address.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateOneOf } from "../validation/ports.ts";
import { isDns1123Subdomain, isLabelValue, isQualifiedName } from "../values/names.ts";

const maxNameservers = 3;
const maxSearches = 32;
const maxSearchCharacters = 2048;
const effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

export function* validateHostAliases(aliases: readonly HostAlias[], path: string): Faults {
  for (const [i, { ip, hostnames = [] }] of aliases.entries()) {
    yield* validateIp(ip ?? "", `${path}[${i}].ip`);
    for (const [j, name] of hostnames.entries()) {
      yield* invalids(`${path}[${i}].hostnames[${j}]`, name, isDns1123Subdomain(name));
    }
  }
}

export function* validateDnsConfig({ dnsPolicy, dnsConfig }: PodSpec, path: string): Faults {
  const { nameservers = [], searches = [], options = [] } = dnsConfig ?? {};
  if (dnsPolicy === "None" && !dnsConfig) {
    yield fault.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
    return;
  }
  if (dnsPolicy === "None" && nameservers.length === 0) {
    yield fault.required(`${path}.nameservers`, "must provide at least one DNS nameserver when `dnsPolicy` is None");
    return;
  }
  if (nameservers.length > maxNameservers) {
    yield fault.invalid(`${path}.nameservers`, nameservers, `must not have more than ${maxNameservers} nameservers`);
  }
  for (const [i, ip] of nameservers.entries()) yield* validateIp(ip, `${path}.nameservers[${i}]`);
  if (searches.length > maxSearches) {
    yield fault.invalid(`${path}.searches`, searches, `must not have more than ${maxSearches} search paths`);
  }
  if (searches.join(" ").length > maxSearchCharacters) {
    const text = `must not have more than ${maxSearchCharacters} characters (including spaces) in the search list`;
    yield fault.invalid(`${path}.searches`, searches, text);
  }
  for (const [i, search] of searches.entries()) {
    if (search === ".") continue;
    // Names with underscores are in use, for SRV look-ups.
    const name = search.replace(/\.$/, "").replaceAll("_", "a");
    yield* invalids(`${path}.searches[${i}]`, search, isDns1123Subdomain(name));
  }
  for (const [i, { name }] of options.entries()) {
    if (!name) yield fault.required(`${path}.options[${i}]`, "must not be empty");
  }
}

export function* validateTolerations(tolerations: readonly Toleration[], path: string): Faults {
  for (const [i, { key = "", operator = "", value = "", effect = "", tolerationSeconds }] of tolerations.entries()) {
    const at = `${path}[${i}]`;
    if (key !== "") yield* invalids(`${at}.key`, key, isQualifiedName(key));
    if (key === "" && operator !== "Exists") {
      yield fault.invalid(
        `${at}.operator`,
        operator,
        'operator must be Exists when `key` is empty, which means "match all values and all keys"',
      );
    }
    if (tolerationSeconds !== undefined && effect !== "NoExecute") {
      yield fault.invalid(`${at}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    if (operator === "Equal" || operator === "") {
      const messages = isLabelValue(value);
      if (messages.length > 0) yield fault.invalid(`${at}.operator`, value, messages.join(";"));
    } else if (operator === "Exists") {
      if (value !== "") yield fault.invalid(`${at}.operator`, value, "value must be empty when `operator` is 'Exists'");
    } else yield* validateOneOf(operator, ["Equal", "Exists"], `${at}.operator`);
    if (effect !== "") yield* validateOneOf(effect, effects, `${at}.effect`);
  }
}
