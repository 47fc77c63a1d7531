import { parseCidr } from "../../services/index.ts";
import { expressionFault } from "../expression.ts";
import type { Field } from "../filters.ts";
import { parseTemplate, type Template } from "../template.ts";

/** A value that cannot be used, and what would be right. */
export class ValueFault extends Error {
  override name = "ValueFault";
  readonly code = "ValueFault";
}

/** As Go's ParseBool, which ingress-nginx uses. */
export function booleanOf(text: string): boolean {
  if (/^(?:1|t|T|TRUE|true|True)$/.test(text)) return true;
  if (/^(?:0|f|F|FALSE|false|False)$/.test(text)) return false;
  throw new ValueFault("true or false is needed");
}

export function onOff(text: string): boolean {
  if (text === "on" || text === "off") return text === "on";
  return booleanOf(text);
}

export function integerOf(text: string, low: number, high: number): number {
  const value = Number(text);
  if (!/^-?\d{1,15}$/.test(text.trim()) || value < low || value > high)
    throw new ValueFault(`a whole number from ${low} to ${high} is needed`);
  return value;
}

/** Seconds as a number, in milliseconds. ingress-nginx has no units here; `5s` is taken for what it says. */
export function secondsOf(text: string): number {
  return integerOf(text.trim().replace(/s$/, ""), 1, 31_536_000) * 1000;
}

/** `8m`, `1k`, `0` for no limit, in bytes. */
export function sizeOf(text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,12})([bkmg]?)$/i.exec(text.trim()) ?? [];
  if (digits === "") throw new ValueFault("a size such as 8m is needed");
  return Number(digits) * ({ "": 1, b: 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 }[unit.toLowerCase()] ?? 1);
}

export function listOf(text: string): string[] {
  return text
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "");
}

/** Ranges in their canonical form. */
export function rangesOf(text: string): string[] {
  return listOf(text).map((each) => {
    const cidr = parseCidr(each.includes("/") ? each : `${each}/${each.includes(":") ? 128 : 32}`);
    if (!cidr) throw new ValueFault(`${JSON.stringify(each)} is not a CIDR such as 10.0.0.0/8`);
    return cidr.text;
  });
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export function isFieldName(text: string): boolean {
  return token.test(text);
}

export function fieldNameOf(text: string): string {
  if (!isFieldName(text)) throw new ValueFault(`${JSON.stringify(text)} is not the name of a header field`);
  return text;
}

/** Visible ASCII without line breaks. */
export function fieldValueOf(text: string): string {
  if (!/^[\t\x20-\x7e]*$/.test(text)) throw new ValueFault("visible ASCII in one line is needed");
  return text;
}

export function fieldOf(name: string, value: string): Field {
  return { name: fieldNameOf(name), value: fieldValueOf(value) };
}

/** What an Ingress's path itself says, as nginx's variables: put in by `location-variables.ts`. */
export const locationVariables = [
  "namespace",
  "ingress_name",
  "service_name",
  "service_port",
  "proxy_upstream_name",
  "proxy_host",
  "location_path",
] as const;

export function templateOf(text: string): Template {
  const template = parseTemplate(fieldValueOf(text.trim()), locationVariables);
  if ("fault" in template) throw new ValueFault(template.fault);
  return template;
}

/** A URL that a client is sent to. */
export function urlOf(text: string): Template {
  const trimmed = text.trim();
  if (!/^(?:https?:\/\/|\/|\$)/.test(trimmed) || /[\s"'`<>\\;{}](?!\w*\})/.test(trimmed.replaceAll(/\$\{\w+\}/g, "")))
    throw new ValueFault("a URL such as https://www.example.com/ is needed");
  return templateOf(trimmed);
}

export function expressionOf(text: string): string {
  const fault = expressionFault(text);
  if (fault) throw new ValueFault(fault);
  return text;
}

/** One of some words. */
export function oneOf<const T extends string>(text: string, words: readonly T[]): T {
  const found = words.find((word) => word.toLowerCase() === text.trim().toLowerCase());
  if (found === undefined) throw new ValueFault(`one of ${words.join(", ")} is needed`);
  return found;
}

export function statusOf(text: string, codes: readonly number[]): number {
  const code = Number(text);
  if (!codes.includes(code)) throw new ValueFault(`one of ${codes.join(", ")} is needed`);
  return code;
}

export interface ServiceUrl {
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
  readonly host: string;
  /** Path and query as they stand. */
  readonly rest: string;
  readonly secure: boolean;
}

/** A URL, and the Service that its host names: `http://NAME.NAMESPACE.svc.cluster.local:PORT/path`. Others have no `service`. */
export function serviceUrlOf(text: string): ServiceUrl | { readonly host: string; readonly rest: string } {
  const [, scheme = "", host = "", port = "", rest = ""] =
    /^(https?):\/\/([A-Za-z0-9.-]+|\$host|\$http_host|\$best_http_host)(?::(\d{1,5}))?([/$?].*)?$/.exec(text.trim()) ??
    [];
  if (scheme === "") throw new ValueFault("a URL such as http://auth.default.svc.cluster.local/check is needed");
  const path = rest === "" ? "/" : rest;
  const [, service, namespace] = /^([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.[a-z0-9.-]+)?$/.exec(host) ?? [];
  if (service === undefined || namespace === undefined) return { host, rest: path };
  const secure = scheme === "https";
  return { namespace, service, port: port === "" ? (secure ? 443 : 80) : Number(port), host, rest: path, secure };
}

const seconds: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3_600,
  d: 86_400,
  w: 604_800,
  M: 2_592_000,
  y: 31_536_000,
};

/** `200 202 10m, 401 5m`: seconds by status, as nginx's proxy_cache_valid has them; without a status it is for 200, 301 and 302. */
export function durationsOf(text: string): Readonly<Record<string, number>> {
  const fault = new ValueFault("statuses and a time such as 200 202 10m, 401 5m are needed");
  const found: Record<string, number> = {};
  for (const each of listOf(text)) {
    const words = each.split(/\s+/);
    const [, digits, unit = "s"] = /^(\d{1,6})([smhdwMy]?)$/.exec(words.pop() ?? "") ?? [];
    if (digits === undefined || !words.every((word) => /^(?:[1-5]\d\d|any)$/.test(word))) throw fault;
    const time = Math.min(Number(digits) * (seconds[unit || "s"] ?? 1), 31_536_000);
    for (const status of words.length === 0 ? ["200", "301", "302"] : words) found[status] = time;
  }
  if (Object.keys(found).length === 0) throw fault;
  return found;
}
