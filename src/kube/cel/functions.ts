import { nominal, type CostModel } from "./cost.ts";
import { parseType, splitTypes, type CelType } from "./types.ts";
import { kindOf, type OpaqueValue, type Value } from "./values.ts";

/** One function with one list of parameter types. */
export interface Overload {
  readonly name: string;
  /** Called as `receiver.name(...)`: the receiver is the first parameter. */
  readonly member: boolean;
  readonly params: readonly CelType[];
  readonly result: CelType;
  readonly cost: CostModel;
  /** Throws EvaluationFault. */
  call(args: readonly Value[]): Value;
}

/**
 * A function. `signature` is `(int, string) bool`, or `string.(int) string` for a member. The type parameter says what the
 * arguments are: they have been checked against the signature before the call.
 */
// The parameter types the function that is given, and hides that all are called alike.
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters
export function define<A extends readonly (Value | undefined)[]>(
  name: string,
  signature: string,
  call: (...args: A) => Value,
  cost: CostModel = nominal,
): Overload {
  const dot = signature.indexOf(".(");
  const receiver = signature.startsWith("(") ? undefined : signature.slice(0, dot);
  const open = receiver === undefined ? 0 : dot + 1;
  const close = closing(signature, open);
  const params = splitTypes(signature.slice(open + 1, close)).map(parseType);
  const run = call as unknown as (...args: readonly Value[]) => Value;
  return {
    name,
    member: receiver !== undefined,
    params: receiver === undefined ? params : [parseType(receiver), ...params],
    result: parseType(signature.slice(close + 1).trim()),
    cost,
    call: (args) => run(...args),
  };
}

function closing(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === "(") depth++;
    else if (text[i] === ")" && --depth === 0) return i;
  }
  return text.length;
}

/** True when a value can be an argument for a parameter of this type; what is in lists and maps is not looked at. */
export function accepts(type: CelType, value: Value): boolean {
  switch (type.kind) {
    case "dyn":
    case "param":
    case "error":
      return true;
    case "opaque":
      return type.name === "optional_type"
        ? kindOf(value) === "optional"
        : kindOf(value) === "opaque" && (value as OpaqueValue).type === type.name;
    default:
      return kindOf(value) === type.kind;
  }
}

/** What expressions can call, by name. */
export type Functions = ReadonlyMap<string, readonly Overload[]>;

export function functionsOf(...libraries: readonly (readonly Overload[])[]): Functions {
  const functions = new Map<string, Overload[]>();
  for (const overload of libraries.flat()) {
    const same = functions.get(overload.name);
    if (same) same.push(overload);
    else functions.set(overload.name, [overload]);
  }
  return functions;
}
