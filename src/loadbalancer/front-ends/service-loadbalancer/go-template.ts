/** A template cannot be read, or does not fit what it is given. `line` begins with 1. */
export class TemplateError extends Error {
  readonly code = "TEMPLATE";
  readonly line: number;
  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`);
    this.line = line;
  }
}

/** What templates are given: texts, numbers, lists and maps. */
export type TemplateValue =
  | string
  | number
  | boolean
  | undefined
  | readonly TemplateValue[]
  | { readonly [name: string]: TemplateValue };

type Operand =
  | { readonly is: "literal"; readonly value: TemplateValue }
  | { readonly is: "path"; readonly variable: string | undefined; readonly fields: readonly string[] }
  | { readonly is: "pipeline"; readonly pipeline: Pipeline; readonly fields: readonly string[] }
  | { readonly is: "function"; readonly name: string };
interface Pipeline {
  readonly declares: readonly string[];
  readonly assigns: boolean;
  readonly commands: readonly (readonly Operand[])[];
}
type Node =
  | { readonly is: "text"; readonly text: string }
  | { readonly is: "print"; readonly pipeline: Pipeline; readonly line: number }
  | {
      readonly is: "if" | "with" | "range";
      readonly pipeline: Pipeline;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
      readonly line: number;
    };

/** Characters of a rendered template; a template that loops over itself ends there. */
const mostOutput = 16 << 20;

/**
 * Reads a template in the language of Go's text/template: actions, pipelines, variables, `if`, `with`, `range`, and the functions and, or, not,
 * eq, ne, lt, le, gt, ge, len, index, print, println, printf. `define`, `template` and `block` are refused. Throws TemplateError.
 */
export function parseGoTemplate(text: string): (data: TemplateValue) => string {
  const pieces = split(text);
  let at = 0;
  const { nodes, end } = block();
  if (end) throw new TemplateError(end.line, `{{${end.word}}} without a beginning`);
  return (data) => render(nodes, data);

  function block(): { nodes: Node[]; end?: { word: string; line: number; rest: readonly Token[] } } {
    const found: Node[] = [];
    for (; at < pieces.length;) {
      const piece = pieces[at++];
      if (!piece) break;
      if ("text" in piece) {
        if (piece.text) found.push({ is: "text", text: piece.text });
        continue;
      }
      const { tokens, line } = piece;
      const [first, ...rest] = tokens;
      if (!first) throw new TemplateError(line, "an action is empty");
      const word = first.kind === "word" ? first.text : "";
      if (word === "end" || word === "else") return { nodes: found, end: { word, line, rest } };
      if (word === "if" || word === "with" || word === "range") found.push(branch(word, rest, line));
      else if (["define", "template", "block", "break", "continue"].includes(word))
        throw new TemplateError(line, `{{${word}}} is not supported`);
      else found.push({ is: "print", pipeline: pipelineOf(tokens, line), line });
    }
    return { nodes: found };
  }

  function branch(is: "if" | "with" | "range", tokens: readonly Token[], line: number): Node {
    const pipeline = pipelineOf(tokens, line);
    const first = block();
    if (!first.end) throw new TemplateError(line, `{{${is}}} without {{end}}`);
    if (first.end.word === "end") return { is, pipeline, body: first.nodes, otherwise: [], line };
    const [next, ...rest] = first.end.rest;
    if (next?.kind === "word" && next.text === "if" && is === "if")
      return { is, pipeline, body: first.nodes, otherwise: [branch("if", rest, first.end.line)], line };
    if (next) throw new TemplateError(first.end.line, "{{else}} has words that mean nothing");
    const second = block();
    if (second.end?.word !== "end") throw new TemplateError(line, `{{${is}}} without {{end}}`);
    return { is, pipeline, body: first.nodes, otherwise: second.nodes, line };
  }
}

type Token =
  | { readonly kind: "word" | "field" | "variable" | "sign"; readonly text: string; readonly spaced: boolean }
  | { readonly kind: "literal"; readonly value: string | number; readonly spaced: boolean };
type Piece = { readonly text: string } | { readonly tokens: readonly Token[]; readonly line: number };

function split(text: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let rest = 0;
  let line = 1;
  let trims = false;
  const lines = (part: string): number => part.split("\n").length - 1;
  const add = (part: string, trimsEnd: boolean) => {
    const begun = trims ? part.replace(/^[ \t\r\n]+/, "") : part;
    pieces.push({ text: trimsEnd ? begun.replace(/[ \t\r\n]+$/, "") : begun });
  };
  for (;;) {
    const open = text.indexOf("{{", rest);
    if (open < 0) break;
    const comment = /^\{\{(- )?\/\*[\s\S]*?\*\/( -)?\}\}/.exec(text.slice(open));
    const trimsBefore = /^\{\{-\s/.test(text.slice(open, open + 4));
    const before = text.slice(rest, open);
    add(before, trimsBefore);
    line += lines(before);
    if (comment) {
      trims = comment[2] !== undefined;
      rest = open + comment[0].length;
      line += lines(comment[0]);
      continue;
    }
    const close = closeOf(text, open + 2);
    if (close < 0) throw new TemplateError(line, "{{ without }}");
    let inner = text.slice(open + (trimsBefore ? 3 : 2), close);
    trims = /\s-$/.test(inner);
    if (trims) inner = inner.slice(0, -1);
    pieces.push({ tokens: tokensOf(inner, line), line });
    line += lines(inner);
    rest = close + 2;
  }
  add(text.slice(rest), false);
  return pieces;
}

/** Where the action ends: not in a text within it. */
function closeOf(text: string, from: number): number {
  const part = /"(?:[^"\\\n]|\\.)*"|`[^`]*`|\}\}/g;
  part.lastIndex = from;
  for (let found = part.exec(text); found; found = part.exec(text)) if (found[0] === "}}") return found.index;
  return -1;
}

function tokensOf(text: string, line: number): Token[] {
  const part =
    /(\s+)|("(?:[^"\\\n]|\\.)*"|`[^`]*`)|(-?\d+(?:\.\d+)?)|(\$[A-Za-z0-9_]*)|(\.[A-Za-z_][A-Za-z0-9_]*|\.)|([A-Za-z_][A-Za-z0-9_]*)|(:=|[|(),=])/y;
  const tokens: Token[] = [];
  let spaced = true;
  while (part.lastIndex < text.length) {
    const from = part.lastIndex;
    const found = part.exec(text);
    if (!found) throw new TemplateError(line, `${JSON.stringify(text.slice(from, from + 20))} means nothing`);
    const [, space, quoted, number, variable, field, word, sign] = found;
    if (space !== undefined) {
      spaced = true;
      continue;
    }
    if (quoted !== undefined) tokens.push({ kind: "literal", value: unquoted(quoted, line), spaced });
    else if (number !== undefined) tokens.push({ kind: "literal", value: Number(number), spaced });
    else if (variable !== undefined) tokens.push({ kind: "variable", text: variable, spaced });
    else if (field !== undefined) tokens.push({ kind: "field", text: field.slice(1), spaced });
    else if (word !== undefined) tokens.push({ kind: "word", text: word, spaced });
    else tokens.push({ kind: "sign", text: sign ?? "", spaced });
    spaced = false;
  }
  return tokens;
}

function unquoted(text: string, line: number): string {
  if (text.startsWith("`")) return text.slice(1, -1);
  try {
    return JSON.parse(text) as string;
  } catch {
    throw new TemplateError(line, `${text} is no text`);
  }
}

function pipelineOf(tokens: readonly Token[], line: number): Pipeline {
  let at = 0;
  const sign = (text: string): boolean => {
    const token = tokens[at];
    return token?.kind === "sign" && token.text === text;
  };
  const found = pipeline();
  if (at < tokens.length) throw new TemplateError(line, "an action has words that mean nothing");
  return found;

  function pipeline(): Pipeline {
    const declares: string[] = [];
    let assigns = false;
    const last = tokens.findIndex((token, i) => i >= at && token.kind === "sign" && [":=", "="].includes(token.text));
    if (tokens[at]?.kind === "variable" && last > at && last - at <= 3) {
      for (; at < last; at++) {
        const token = tokens[at];
        if (token?.kind === "variable") declares.push(token.text);
        else if (!sign(",")) throw new TemplateError(line, "a variable is needed before :=");
      }
      assigns = sign("=");
      at++;
    }
    const commands = [command()];
    while (sign("|")) {
      at++;
      commands.push(command());
    }
    return { declares, assigns, commands };
  }

  function command(): readonly Operand[] {
    const operands: Operand[] = [];
    while (at < tokens.length && !sign("|") && !sign(")")) operands.push(operand());
    if (operands.length === 0) throw new TemplateError(line, "a value is missing");
    return operands;
  }

  /** `.a.b` without spaces is one. */
  function fieldsAfter(): string[] {
    const fields: string[] = [];
    for (let token = tokens[at]; token?.kind === "field" && !token.spaced && token.text; token = tokens[++at])
      fields.push(token.text);
    return fields;
  }

  function operand(): Operand {
    const token = tokens[at++];
    if (!token) throw new TemplateError(line, "a value is missing");
    if (token.kind === "literal") return { is: "literal", value: token.value };
    if (token.kind === "variable") return { is: "path", variable: token.text, fields: fieldsAfter() };
    if (token.kind === "field")
      return { is: "path", variable: undefined, fields: [...(token.text ? [token.text] : []), ...fieldsAfter()] };
    if (token.kind === "word") {
      if (token.text === "true" || token.text === "false") return { is: "literal", value: token.text === "true" };
      if (token.text === "nil") return { is: "literal", value: undefined };
      if (!functions.has(token.text)) throw new TemplateError(line, `function ${token.text} is not supported`);
      return { is: "function", name: token.text };
    }
    if (token.text !== "(") throw new TemplateError(line, `${token.text} is out of place`);
    const inner = pipeline();
    if (!sign(")")) throw new TemplateError(line, "( without )");
    at++;
    return { is: "pipeline", pipeline: inner, fields: fieldsAfter() };
  }
}

const isMap = (value: TemplateValue): value is { readonly [name: string]: TemplateValue } =>
  typeof value === "object" && !Array.isArray(value);
const isTrue = (value: TemplateValue): boolean =>
  isMap(value) ? Object.keys(value).length > 0 : Array.isArray(value) ? value.length > 0 : Boolean(value);

/** As Go prints them with `%v`. */
function textOf(value: TemplateValue): string {
  if (value === undefined) return "<no value>";
  if (Array.isArray(value)) return `[${value.map(textOf).join(" ")}]`;
  if (isMap(value))
    return `map[${Object.keys(value)
      .sort()
      .map((name) => `${name}:${textOf(value[name])}`)
      .join(" ")}]`;
  return typeof value === "object" ? "" : String(value);
}

type TemplateFunction = (args: readonly TemplateValue[]) => TemplateValue;
function order(args: readonly TemplateValue[]): number {
  const [a, b] = args;
  if (typeof a !== typeof b || (typeof a !== "number" && typeof a !== "string"))
    throw new Error("only numbers with numbers and texts with texts can be compared");
  return a === b ? 0 : a < (b as typeof a) ? -1 : 1;
}
const functions = new Map<string, TemplateFunction>([
  ["and", (args) => args.find((one) => !isTrue(one)) ?? (args.every(isTrue) ? args.at(-1) : undefined)],
  ["or", (args) => args.find(isTrue) ?? args.at(-1)],
  ["not", ([one]) => !isTrue(one)],
  ["eq", ([first, ...others]) => others.some((one) => one === first)],
  ["ne", ([a, b]) => a !== b],
  ["lt", (args) => order(args) < 0],
  ["le", (args) => order(args) <= 0],
  ["gt", (args) => order(args) > 0],
  ["ge", (args) => order(args) >= 0],
  ["len", ([one]) => lengthOf(one)],
  ["index", ([one, ...keys]) => keys.reduce(indexed, one)],
  ["print", (args) => args.map(textOf).join("")],
  ["println", (args) => `${args.map(textOf).join(" ")}\n`],
  ["printf", ([format, ...args]) => formatted(textOf(format), args)],
]);

function lengthOf(value: TemplateValue): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (isMap(value)) return Object.keys(value).length;
  throw new Error(`len of ${textOf(value)}`);
}

function indexed(value: TemplateValue, key: TemplateValue): TemplateValue {
  if (Array.isArray(value) && typeof key === "number" && key >= 0 && key < value.length)
    return value[key] as TemplateValue;
  if (isMap(value) && typeof key === "string") return Object.hasOwn(value, key) ? value[key] : undefined;
  throw new Error(`index ${textOf(key)} of ${textOf(value)}`);
}

function formatted(format: string, args: readonly TemplateValue[]): string {
  let next = 0;
  return format.replaceAll(/%(\d*)([vsdqt%])/g, (_all, width: string, verb: string) => {
    if (verb === "%") return "%";
    const value = textOf(args[next++]);
    return (verb === "q" ? JSON.stringify(value) : value).padStart(Math.min(Number(width), 1_000));
  });
}

/** Variables that an inner block sees, the innermost last. */
type Scope = Map<string, { value: TemplateValue }>;

function render(nodes: readonly Node[], data: TemplateValue): string {
  const out: string[] = [];
  let length = 0;
  run(nodes, data, new Map([["$", { value: data }]]));
  return out.join("");

  function write(text: string, line: number): void {
    length += text.length;
    if (length > mostOutput) throw new TemplateError(line, `it makes more than ${mostOutput} characters`);
    out.push(text);
  }

  function run(list: readonly Node[], dot: TemplateValue, outer: Scope): void {
    const scope: Scope = new Map(outer);
    for (const node of list) {
      if (node.is === "text") {
        write(node.text, 0);
        continue;
      }
      if (node.is === "print") {
        const value = valueOf(node.pipeline, dot, scope, node.line);
        declare(node.pipeline, [value], scope, node.line);
        if (node.pipeline.declares.length === 0) write(textOf(value), node.line);
        continue;
      }
      const inner: Scope = new Map(scope);
      const value = valueOf(node.pipeline, dot, scope, node.line);
      if (node.is !== "range") {
        declare(node.pipeline, [value], inner, node.line);
        const hasIt = isTrue(value);
        run(hasIt ? node.body : node.otherwise, hasIt && node.is === "with" ? value : dot, inner);
        continue;
      }
      const entries = entriesOf(value, node.line);
      for (const [key, one] of entries) {
        declare(node.pipeline, node.pipeline.declares.length === 2 ? [key, one] : [one], inner, node.line);
        run(node.body, one, inner);
      }
      if (entries.length === 0) run(node.otherwise, dot, scope);
    }
  }

  function declare(
    { declares, assigns }: Pipeline,
    values: readonly TemplateValue[],
    scope: Scope,
    line: number,
  ): void {
    for (const [i, name] of declares.entries()) {
      const known = scope.get(name);
      if (!assigns) scope.set(name, { value: values[i] });
      else if (known) known.value = values[i];
      else throw new TemplateError(line, `variable ${name} is not declared`);
    }
  }

  function valueOf({ commands }: Pipeline, dot: TemplateValue, scope: Scope, line: number): TemplateValue {
    let last: readonly TemplateValue[] = [];
    for (const [first, ...rest] of commands) {
      if (!first) continue;
      const args = [...rest.map((one) => operandOf(one, dot, scope, line)), ...last];
      if (first.is === "function") {
        try {
          last = [functions.get(first.name)?.(args)];
        } catch (error) {
          throw new TemplateError(line, `${first.name}: ${error instanceof Error ? error.message : String(error)}`);
        }
      } else if (args.length > 0) throw new TemplateError(line, "only a function can be given values");
      else last = [operandOf(first, dot, scope, line)];
    }
    return last[0];
  }

  function operandOf(operand: Operand, dot: TemplateValue, scope: Scope, line: number): TemplateValue {
    if (operand.is === "literal") return operand.value;
    if (operand.is === "function") return functions.get(operand.name)?.([]);
    if (operand.is === "pipeline") return fieldsOf(valueOf(operand.pipeline, dot, scope, line), operand.fields, line);
    if (operand.variable === undefined) return fieldsOf(dot, operand.fields, line);
    const found = scope.get(operand.variable);
    if (!found) throw new TemplateError(line, `variable ${operand.variable} is not declared`);
    return fieldsOf(found.value, operand.fields, line);
  }
}

function fieldsOf(value: TemplateValue, fields: readonly string[], line: number): TemplateValue {
  return fields.reduce<TemplateValue>((from, name) => {
    if (!isMap(from)) throw new TemplateError(line, `.${name} of ${textOf(from)}`);
    return Object.hasOwn(from, name) ? from[name] : undefined;
  }, value);
}

function entriesOf(value: TemplateValue, line: number): readonly (readonly [TemplateValue, TemplateValue])[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value.map((one: TemplateValue, i) => [i, one] as const);
  if (isMap(value))
    return Object.keys(value)
      .sort()
      .map((name) => [name, value[name]] as const);
  throw new TemplateError(line, `range over ${textOf(value)}`);
}
