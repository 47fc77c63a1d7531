import { createHash } from "node:crypto";
import type { Affinity, Canary, ExternalAuth, PolicyFilter, Template, TemplateHeaders } from "../../routing/index.ts";
import { rangeBits } from "../range-bits.ts";
import { automatonOf, capturesOf } from "./expression.ts";
import type { Row } from "./row.ts";

/** What of ingress-nginx's filters `policies-program.ts` does without anything beside the row. */
type Known = Extract<
  PolicyFilter,
  {
    type:
      | "RegexRewrite"
      | "TemplateHeaders"
      | "AnswerRewrite"
      | "StrictTransport"
      | "SslRedirect"
      | "Tracing"
      | "UrlRedirect"
      | "SourceRanges"
      | "RateLimit"
      | "ConnectionLimit"
      | "BodyLimit"
      | "AnswerRate"
      | "CloseConnection"
      | "ClientCertificate";
  }
>;

/** A filter as a part of a route's row. */
export function policyRow(filter: Known): Row {
  switch (filter.type) {
    case "RegexRewrite": {
      const program = capturesOf(filter.pattern);
      return program === undefined ? ["no"] : ["regex-rewrite", program, filter.replacement];
    }
    case "AnswerRewrite":
      return ["answer-rewrite", filter.what, templateRow(filter.from), templateRow(filter.to)];
    case "TemplateHeaders":
      return ["fields", filter.of, filter.how, fieldsRow(filter.fields)];
    case "StrictTransport":
      return ["hsts", filter.value];
    case "Tracing":
      return ["tracing", filter.on ? 1 : 0];
    case "SslRedirect":
      return ["ssl-redirect", filter.status, filter.port ?? "", filter.cutSlash ? 1 : 0];
    case "UrlRedirect":
      return ["url-redirect", filter.status, filter.path ?? "", templateRow(filter.url), filter.cutSlash ? 1 : 0];
    case "SourceRanges": {
      const { allow, deny, satisfyAny } = filter;
      return ["ranges", satisfyAny ? 1 : 0, allow.length > 0 ? 1 : 0, rangesRow(allow), rangesRow(deny)];
    }
    case "RateLimit": {
      // Microseconds for each request.
      const each = Math.max(1, Math.round((filter.seconds * 1e6) / filter.requests));
      return ["rate", keyOf(filter.id), each, filter.burst, filter.status, rangesRow(filter.exempt)];
    }
    case "ConnectionLimit":
      return ["connections", keyOf(filter.id), filter.connections, filter.status, rangesRow(filter.exempt)];
    case "BodyLimit":
      return ["body", filter.bytes];
    case "CloseConnection":
      return ["close"];
    case "AnswerRate":
      return ["pace", filter.bytes, filter.after];
    case "ClientCertificate": {
      const { verify, depth, subject, errorPage, pass } = filter;
      const named = subject === undefined ? [] : [anywhere(subject) ?? ""];
      return ["certificate", verify, depth, named, errorPage ? templateRow(errorPage) : [], pass ? 1 : 0];
    }
    default:
      return filter satisfies never;
  }
}

/** A canary, with the slot of its pool. */
export function canaryRow({ header, cookie, weight, total, sticky }: Canary, slot: string): Row {
  const [mode, wanted] =
    header?.value !== undefined
      ? ["value", header.value]
      : header?.pattern !== undefined
        ? ["pattern", anywhere(header.pattern) ?? ""]
        : ["", ""];
  return ["canary", slot, weight, total, header?.name ?? "", mode, wanted, cookie ?? "", sticky ?? ""];
}

/** A cookie that keeps a client with its endpoint. */
export function affinityRow({ cookie, balanced, path, domain, expires, maxAge, secure, sameSite }: Affinity): Row {
  const attributes: Row = [path ?? "/", domain ?? "", expires ?? "", maxAge ?? "", secure ? 1 : 0, sameSite ?? ""];
  return ["affinity", cookie, ...attributes, balanced ? 1 : 0];
}

/** Who is asked whether a request may pass; `slot` is "" where host and path say it. */
export function askRow(auth: ExternalAuth, slot: string): Row {
  const {
    host,
    path,
    method = "GET",
    signin,
    signinParameter,
    redirect,
    responseHeaders,
    alwaysCookies,
    headers = [],
    remembered,
  } = auth;
  const optional = (template: Template | undefined): Row => (template ? templateRow(template) : []);
  const where: Row = [auth.pool === undefined ? "routed" : "pool", slot, host, templateRow(path)];
  const always = alwaysCookies ? 1 : 0;
  const memory: Row = remembered
    ? [keyOf(remembered.scope), templateRow(remembered.key), Object.entries(remembered.seconds)]
    : [];
  const more: Row = [responseHeaders, always, fieldsRow(headers), memory];
  return ["ask", ...where, method, optional(signin), signinParameter, optional(redirect), ...more];
}

/** An expression that is not bound to the ends of a text. */
export function anywhere(source: string): string | undefined {
  return automatonOf(`.*(?:${source}).*`);
}

/** In keys of tables, whose length is bounded. */
function keyOf(id: string): string {
  return createHash("sha256").update(id).digest("hex").slice(0, 20);
}

function rangesRow(cidrs: readonly string[]): Row {
  const { lengths4, lengths6, prefixes } = rangeBits(cidrs);
  return [lengths4, lengths6, Object.keys(prefixes)];
}

function fieldsRow(fields: TemplateHeaders["fields"]): Row {
  return fields.map(({ name, value }) => [name, templateRow(value)]);
}

/** A text with parts of the request in it. */
export function templateRow(template: Template): Row {
  return template.map((part) => (typeof part === "string" ? ["t", part] : ["v", part.variable]));
}
