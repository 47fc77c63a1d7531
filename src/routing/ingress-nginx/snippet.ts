import type { Filter } from "../filters.ts";
import { type FieldsOf, fieldsFilter, splitField, type TemplateField, templateField } from "./fields.ts";
import { expressionOf, fieldNameOf, statusOf, urlOf, ValueFault } from "./values.ts";

/** Directives that say what is so anyway, or that only tune nginx. */
const needless = /^proxy_(?:buffering|buffer_size|buffers|busy_buffers_size|request_buffering|max_temp_file_size)$/;
/** Between two neighbours (RFC 9110 section 7.6.1): WebSockets work without them. */
const ofOneConnection = /^(?:connection|upgrade)$/i;

/**
 * What a configuration-snippet says, as far as it only sets, adds or removes header fields, rewrites the path, or answers with a redirect.
 * It is read into filters and never pasted. `grpc`: what is for backends that speak gRPC counts. Throws ValueFault for anything else.
 */
export function readSnippet(text: string, grpc = false): Filter[] {
  const filters: Filter[] = [];
  for (const [name = "", ...rest] of directivesOf(text)) {
    const [first = "", second = "", third] = rest;
    const set = (of: FieldsOf, field: string, value: string, how: "set" | "add" = "set"): void => {
      if (of === "request" && ofOneConnection.test(field)) return;
      filters.push(fieldsFilter(of, how, [templateField(field, value)]));
    };
    const setEach = (of: FieldsOf): void => {
      for (const { name: field, value } of rest.map(splitField)) set(of, field, value);
    };
    switch (name) {
      case "more_set_headers":
        setEach("answer");
        break;
      case "more_set_input_headers":
        setEach("request");
        break;
      case "more_clear_headers":
      case "proxy_hide_header":
        filters.push(
          fieldsFilter(
            "answer",
            "set",
            rest.map((each) => ({ name: fieldNameOf(each), value: [] })),
          ),
        );
        break;
      case "add_header":
        if (rest.length < 2 || (third !== undefined && third !== "always"))
          throw new ValueFault(`${name} takes a name and a value`);
        set("answer", first, second, "add");
        break;
      case "proxy_set_header":
        set("request", first, second);
        break;
      case "grpc_set_header":
        if (grpc) set("request", first, second);
        break;
      case "return":
        filters.push({ type: "UrlRedirect", status: statusOf(first, [301, 302, 303, 307, 308]), url: urlOf(second) });
        break;
      case "rewrite":
        filters.push(rewriteOf(first, second, third));
        break;
      case "proxy_http_version":
        if (first !== "1.1") throw new ValueFault("backends are spoken to in HTTP/1.1");
        break;
      default:
        if (needless.test(name)) break;
        throw new ValueFault(
          `${JSON.stringify(name)} is not served: a snippet may have more_set_headers, more_clear_headers, add_header, proxy_set_header, proxy_hide_header, more_set_input_headers, rewrite with break, and return or rewrite with a redirect`,
        );
    }
  }
  return filters;
}

/** What nginx takes from a server into all its locations. */
const ofServers = ["more_set_headers", "more_clear_headers", "more_set_input_headers", "add_header", "return"];

/** What a server-snippet says, as far as it sets or removes header fields, or answers with a redirect. Throws ValueFault for anything else. */
export function readServerSnippet(text: string): Filter[] {
  for (const [name = ""] of directivesOf(text))
    if (!ofServers.includes(name))
      throw new ValueFault(`${JSON.stringify(name)} is not served: a server-snippet may have ${ofServers.join(", ")}`);
  return readSnippet(text);
}

/** What an auth-snippet says, as far as it sets fields of the question who may come in. Throws ValueFault for anything else. */
export function readAuthSnippet(text: string): TemplateField[] {
  return directivesOf(text).map(([name = "", field = "", value = "", ...more]) => {
    if (name !== "proxy_set_header" || more.length > 0)
      throw new ValueFault(`${JSON.stringify(name)} is not served: an auth-snippet may have proxy_set_header`);
    return templateField(field, value);
  });
}

/** `rewrite` of the path alone, or of all of it to somewhere else. */
function rewriteOf(pattern: string, replacement: string, flag: string | undefined): Filter {
  if (flag === "break") {
    if (!/^\/(?:[A-Za-z0-9\-._~!&'()*+,=:@%/]|\$\d)*$/.test(replacement))
      throw new ValueFault("rewrite: a path such as /new/$1 is needed");
    return { type: "RegexRewrite", pattern: expressionOf(pattern), replacement };
  }
  const [, slash] = /^\^?(\/?)\(\.\*\)\$?$/.exec(pattern) ?? [];
  const status = flag === "permanent" ? 301 : flag === "redirect" ? 302 : undefined;
  const [, before] = /^(https?:\/\/[^$]+|\$scheme:\/\/[^$]+)\$1$/.exec(replacement) ?? [];
  if (slash === undefined || before === undefined || status === undefined)
    throw new ValueFault(
      "rewrite: break at its end is needed, or a redirect of all paths such as rewrite ^(.*)$ https://new.example.com$1 permanent",
    );
  // What the expression leaves out of the path is said by the text, or lost.
  if ((slash === "/") !== before.endsWith("/"))
    throw new ValueFault("rewrite: path and target must agree on their slash");
  return { type: "UrlRedirect", status, url: urlOf(`${before.replace(/\/$/, "")}$request_uri`) };
}

/** Words of each directive. Blocks are refused. */
function directivesOf(text: string): string[][] {
  if (text.length > 16_384) throw new ValueFault("it is longer than 16 KiB");
  const directives: string[][] = [];
  let words: string[] = [];
  const lexer = /\s+|#[^\n]*|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(;)|([{}])|([^\s;{}"'#]+)/gy;
  let at = 0;
  for (; at < text.length; at = lexer.lastIndex) {
    const found = lexer.exec(text);
    if (!found) throw new ValueFault("a quotation has no end");
    const [, double, single, end, brace, word] = found;
    if (brace !== undefined) throw new ValueFault("blocks are not served");
    if (end !== undefined) {
      if (words.length > 0) directives.push(words);
      words = [];
    } else if (double !== undefined || single !== undefined)
      words.push((double ?? single ?? "").replaceAll(/\\(["'\\])/g, "$1"));
    else if (word !== undefined) words.push(word);
  }
  if (words.length > 0) throw new ValueFault("the last directive has no semicolon");
  return directives;
}
