/**
 * One kubectl command, and what it must print. Cases run in their order, on one cluster. In words and environment
 * `$LAB` is a folder of the lab and `$NODE` the first node.
 */
export interface KubectlCase {
  readonly args: readonly string[];
  /** Standard input. */
  readonly input?: string;
  /** Exit code; 0 when absent. */
  readonly code?: number;
  /** Patterns that standard output must match. */
  readonly out?: readonly RegExp[];
  /** Patterns that standard error must match. */
  readonly err?: readonly RegExp[];
  readonly env?: Record<string, string>;
  /** Asked again for a while until it holds: figures of a pod come some time after the pod. */
  readonly soon?: boolean;
}

/** Splits at blanks; what stands in quotes stays together. */
const words = (line: string): string[] =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");

/** A command that ends well. */
export const k = (
  line: string,
  out: readonly RegExp[] = [],
  rest: Omit<KubectlCase, "args" | "out"> = {},
): KubectlCase => ({ args: words(line), out, ...rest });

/** A command that fails with 1, unless `rest` says otherwise. */
export const fails = (
  line: string,
  err: readonly RegExp[],
  rest: Omit<KubectlCase, "args" | "err"> = {},
): KubectlCase => ({ args: words(line), err, code: 1, ...rest });
