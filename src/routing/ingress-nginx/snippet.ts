import type { Filter } from "../filters.ts";
import { fieldNameOf, fieldOf, statusOf, urlOf, ValueFault } from "./values.ts";

/**
 * What a configuration-snippet says, as far as it only sets, adds or removes header fields, or answers with a redirect or a status. It is
 * read into filters and never pasted. Throws ValueFault for anything else.
 */
export function readSnippet(text: string): Filter[] {
  const filters: Filter[] = [];
  for (const words of directivesOf(text)) {
    const [name = "", ...rest] = words;
    const [first = "", second = "", third] = rest;
    const plain = (value: string): string => {
      if (value.includes("$")) throw new ValueFault(`${name}: variables are not served here`);
      return value;
    };
    switch (name) {
      case "more_set_headers":
        for (const each of rest) filters.push(response({ set: [headerOf(plain(each))] }));
        break;
      case "more_clear_headers":
      case "proxy_hide_header":
        for (const each of rest) filters.push(response({ remove: [fieldNameOf(each)] }));
        break;
      case "add_header":
        if (rest.length < 2 || (third !== undefined && third !== "always"))
          throw new ValueFault(`${name} takes a name and a value`);
        filters.push(response({ add: [fieldOf(first, plain(second))] }));
        break;
      case "proxy_set_header":
      case "more_set_input_headers": {
        const field = name === "proxy_set_header" ? fieldOf(first, plain(second)) : headerOf(plain(first));
        filters.push({
          type: "RequestHeaders",
          changes:
            field.value === "" ? { set: [], add: [], remove: [field.name] } : { set: [field], add: [], remove: [] },
        });
        break;
      }
      case "return":
        filters.push({ type: "UrlRedirect", status: statusOf(first, [301, 302, 303, 307, 308]), url: urlOf(second) });
        break;
      default:
        throw new ValueFault(
          `${JSON.stringify(name)} is not served: a snippet may have more_set_headers, more_clear_headers, add_header, proxy_set_header, proxy_hide_header, more_set_input_headers, and return with a redirect`,
        );
    }
  }
  return filters;
}

function response(
  changes: Partial<{
    set: { name: string; value: string }[];
    add: { name: string; value: string }[];
    remove: string[];
  }>,
): Filter {
  return { type: "ResponseHeaders", changes: { set: [], add: [], remove: [], ...changes } };
}

function headerOf(text: string): { name: string; value: string } {
  const colon = text.indexOf(":");
  if (colon < 0) throw new ValueFault(`${JSON.stringify(text)} is not NAME: VALUE`);
  return fieldOf(text.slice(0, colon).trim(), text.slice(colon + 1).trim());
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
