import { describeFault } from "../field-error.ts";
import type { LabelSelector } from "../generated/types.ts";
import { statusError, type StatusError } from "../status.ts";
import { fault } from "../validation/fault.ts";
import { isLabelValue, isQualifiedName } from "../values/names.ts";

export type LabelOperator = "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt";

export interface LabelRequirement {
  readonly key: string;
  readonly operator: LabelOperator;
  /** `=` is In with one value. */
  readonly values: readonly string[];
}

type Labels = Readonly<Record<string, string>> | undefined;

/** True when the labels meet every requirement; no requirement is met by all. */
export function meetsRequirements(requirements: readonly LabelRequirement[], labels: Labels): boolean {
  return requirements.every((requirement) => meets(requirement, labels));
}

function meets({ key, operator, values }: LabelRequirement, labels: Labels): boolean {
  const value = labels && Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    default: {
      if (value === undefined || !isInteger(value) || !isInteger(values[0] ?? "")) return false;
      const [have, bound] = [BigInt(value), BigInt(values[0] ?? "0")];
      return operator === "Gt" ? have > bound : have < bound;
    }
  }
}

const isInteger = (text: string) => /^[+-]?\d{1,19}$/.test(text) && !text.startsWith("+");

/** The requirements that a LabelSelector of an object makes. */
export function requirementsOf(selector: LabelSelector): LabelRequirement[] {
  const exact = Object.entries(selector.matchLabels ?? {}).map(([key, value]): LabelRequirement => ({
    key,
    operator: "In",
    values: [value],
  }));
  const rest = (selector.matchExpressions ?? []).map(({ key, operator, values }): LabelRequirement => ({
    key,
    operator: operator as LabelOperator,
    values: values ?? [],
  }));
  return [...exact, ...rest];
}

/** True when a LabelSelector selects these labels: an absent selector selects nothing, an empty one everything. */
export function matchesLabels(selector: LabelSelector | undefined, labels: Labels): boolean {
  return selector !== undefined && meetsRequirements(requirementsOf(selector), labels);
}

/** True when a plain map of labels (the selector of a Service) is part of these labels. An empty map selects all. */
export function includesLabels(wanted: Labels, labels: Labels): boolean {
  return Object.entries(wanted ?? {}).every(([key, value]) => labels?.[key] === value);
}

/** The text of a LabelSelector as `kubectl` and the scale subresource write it: `app=web,tier in (a,b)`. */
export function formatLabelSelector(selector: LabelSelector | undefined): string {
  if (!selector) return "";
  const exact = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => [key, `${key}=${value}`] as const);
  const rest = (selector.matchExpressions ?? []).map(({ key, operator, values = [] }) => {
    if (operator === "Exists") return [key, key] as const;
    if (operator === "DoesNotExist") return [key, `!${key}`] as const;
    return [key, `${key} ${operator.toLowerCase()} (${[...values].sort().join(",")})`] as const;
  });
  const all = [...exact, ...rest].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return all.map(([, text]) => text).join(",");
}

interface Token {
  readonly type: "word" | "symbol" | "end";
  readonly text: string;
}

function tokenize(text: string): Token[] {
  const tokens = [...text.matchAll(/==|!=|[=!(),<>]|[^\s=!(),<>]+/g)].map(([found]): Token => ({
    type: /^[=!(),<>]/.test(found) ? "symbol" : "word",
    text: found,
  }));
  return [...tokens, { type: "end", text: "" }];
}

const binaryOperators = "in, notin, =, ==, !=, gt, lt";

/**
 * Reads a label selector as in `kubectl -l`: `a=b`, `a==b`, `a!=b`, `a in (x,y)`, `a notin (x)`, `a`, `!a`, `a>1`, `a<1`, joined by commas.
 * Throws 400 BadRequest in the words of apimachinery.
 */
export function parseLabelSelector(text: string): LabelRequirement[] {
  const tokens = tokenize(text);
  let at = 0;
  const end: Token = { type: "end", text: "" };
  const peek = () => tokens[at] ?? end;
  const next = () => tokens[at++] ?? end;
  const isSymbol = (token: Token, symbol: string) => token.type === "symbol" && token.text === symbol;
  const startsRequirement = (token: Token) => token.type === "word" || isSymbol(token, "!");

  const readValues = (): string[] => {
    const open = next();
    if (!isSymbol(open, "(")) throw requirementError(`found '${open.text}' expected: '('`);
    const first = peek();
    if (isSymbol(first, ")")) {
      next();
      return [""];
    }
    if (first.type !== "word" && !isSymbol(first, ",")) {
      throw requirementError(`found '${first.text}', expected: ',', ')' or identifier`);
    }
    const values = new Set<string>();
    for (;;) {
      // "(,a)" and "(a,)" hold an empty value.
      values.add(peek().type === "word" ? next().text : "");
      const separator = next();
      if (isSymbol(separator, ")")) return [...values];
      if (!isSymbol(separator, ",")) throw requirementError(`found '${separator.text}', expected: ',' or ')'`);
      const following = peek();
      if (following.type !== "word" && !isSymbol(following, ",") && !isSymbol(following, ")")) {
        throw requirementError(`found '${following.text}', expected: ',', or identifier`);
      }
    }
  };

  const readValue = (): string[] => {
    const token = peek();
    if (token.type === "end" || isSymbol(token, ",")) return [""];
    next();
    if (token.type !== "word") throw requirementError(`found '${token.text}', expected: identifier`);
    return [token.text];
  };

  const readRequirement = (): LabelRequirement => {
    const absent = isSymbol(peek(), "!");
    if (absent) next();
    const keyToken = next();
    if (keyToken.type !== "word") throw requirementError(`found '${keyToken.text}', expected: identifier`);
    const key = keyToken.text;
    const keyFaults = isQualifiedName(key);
    if (keyFaults.length > 0) throw requirementError(describeFault(fault.invalid("<nil>", key, keyFaults.join("; "))));
    const following = peek();
    if (absent) return { key, operator: "DoesNotExist", values: [] };
    if (following.type === "end" || isSymbol(following, ",")) return { key, operator: "Exists", values: [] };

    const { text: operator } = next();
    switch (operator) {
      case "in":
        return checked({ key, operator: "In", values: readValues() });
      case "notin":
        return checked({ key, operator: "NotIn", values: readValues() });
      case "=":
      case "==":
        return checked({ key, operator: "In", values: readValue() });
      case "!=":
        return checked({ key, operator: "NotIn", values: readValue() });
      case ">":
        return checked({ key, operator: "Gt", values: readValue() });
      case "<":
        return checked({ key, operator: "Lt", values: readValue() });
      default:
        throw requirementError(`found '${operator}', expected: ${binaryOperators}`);
    }
  };

  const requirements: LabelRequirement[] = [];
  for (;;) {
    const token = peek();
    if (token.type === "end") return requirements;
    if (!startsRequirement(token)) {
      throw statusError("BadRequest", `found '${token.text}', expected: !, identifier, or 'end of string'`);
    }
    requirements.push(readRequirement());
    const separator = next();
    if (separator.type === "end") return requirements;
    if (!isSymbol(separator, ",")) {
      throw statusError("BadRequest", `found '${separator.text}', expected: ',' or 'end of string'`);
    }
    if (!startsRequirement(peek())) {
      throw statusError("BadRequest", `found '${peek().text}', expected: identifier after ','`);
    }
  }
}

function checked(requirement: LabelRequirement): LabelRequirement {
  const { key, operator, values } = requirement;
  const faults = values.flatMap((value, i) => {
    const path = `values[${i}]`;
    const notNumber = (operator === "Gt" || operator === "Lt") && !isInteger(value);
    const messages = isLabelValue(value);
    return [
      ...(notNumber ? [fault.invalid(path, value, "for 'Gt', 'Lt' operators, the value must be an integer")] : []),
      ...(messages.length > 0 ? [fault.invalid(`${path}[${key}]`, value, messages.join("; "))] : []),
    ].map(describeFault);
  });
  if (faults.length === 0) return requirement;
  throw requirementError(faults.length === 1 ? (faults[0] ?? "") : `[${faults.join(", ")}]`);
}

const requirementError = (text: string): StatusError =>
  statusError("BadRequest", `unable to parse requirement: ${text}`);
