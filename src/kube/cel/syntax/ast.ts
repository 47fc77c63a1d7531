import type { Value } from "../values.ts";

/** One node of an expression. `at` is the offset in the source, in UTF-16 units, that messages point to. */
export type Expr = { readonly at: number; readonly depth: number } & (
  | { readonly kind: "literal"; readonly value: Value }
  | { readonly kind: "ident"; readonly name: string }
  | {
      readonly kind: "select";
      readonly operand: Expr;
      readonly field: string;
      /** `has(operand.field)` */
      readonly test: boolean;
      /** `operand.?field` */
      readonly optional: boolean;
    }
  | { readonly kind: "call"; readonly name: string; readonly target?: Expr; readonly args: readonly Expr[] }
  | { readonly kind: "list"; readonly items: readonly { readonly value: Expr; readonly optional: boolean }[] }
  | { readonly kind: "map"; readonly entries: readonly { key: Expr; value: Expr; optional: boolean }[] }
  | {
      readonly kind: "struct";
      readonly name: string;
      readonly fields: readonly { at: number; name: string; value: Expr; optional: boolean }[];
    }
  | {
      readonly kind: "comprehension";
      readonly macro: Comprehension;
      readonly range: Expr;
      readonly variables: readonly string[];
      /** The predicate of all, exists, existsOne and filter; the filter of map and of the transformations. */
      readonly condition?: Expr;
      /** What map and the transformations make of an element. */
      readonly step?: Expr;
    }
  /** `target.optMap(name, body)`, and optFlatMap. */
  | {
      readonly kind: "optMap";
      readonly target: Expr;
      readonly name: string;
      readonly body: Expr;
      readonly flat: boolean;
    }
);

export type Comprehension =
  | "all"
  | "exists"
  | "existsOne"
  | "filter"
  | "map"
  | "transformList"
  | "transformMap"
  | "transformMapEntry";

/** Names of operators, as messages and overloads show them. */
export const operators = {
  "+": "_+_",
  "-": "_-_",
  "*": "_*_",
  "/": "_/_",
  "%": "_%_",
  "==": "_==_",
  "!=": "_!=_",
  "<": "_<_",
  "<=": "_<=_",
  ">": "_>_",
  ">=": "_>=_",
  in: "@in",
  "&&": "_&&_",
  "||": "_||_",
} as const;
