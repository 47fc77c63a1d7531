/** How a quantity is written: `1500m`, `1536Mi` or `15e2`. */
export type QuantityFormat = "DecimalSI" | "BinarySI" | "DecimalExponent";

/** An exact amount, as apimachinery's `resource.Quantity`: down to 1e-9, up to about 9.2e18. */
export interface ParsedQuantity {
  /** Billionths. */
  readonly nano: bigint;
  readonly format: QuantityFormat;
}

const quantityFormError = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const suffixError = "unable to parse quantity's suffix";

const giga = 1_000_000_000n;
const limit = (2n ** 63n - 1n) * giga;
const decimalSuffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/** Reads a quantity. Throws RangeError with upstream's words when it is none. What is below 1e-9 is rounded away from zero. */
export function parseQuantity(text: string | number): ParsedQuantity {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?([eEinumkKMGTP]*)([-+]?\d*)$/.exec(String(text));
  const [, sign = "", whole = "", fraction = "", letters = "", digits = ""] = match ?? [];
  if (!match || whole + fraction === "" || whole.length + fraction.length > 64) throw new RangeError(quantityFormError);

  const { numerator, denominator, format } = scaleOf(letters, digits);
  const dividend = BigInt(whole + fraction) * giga * numerator;
  const divisor = 10n ** BigInt(fraction.length) * denominator;
  const exact = dividend / divisor;
  const rounded = exact * divisor === dividend ? exact : exact + 1n;
  const nano = rounded > limit ? limit : rounded;
  return { nano: sign === "-" ? -nano : nano, format };
}

function scaleOf(letters: string, digits: string): { numerator: bigint; denominator: bigint; format: QuantityFormat } {
  if (digits !== "") {
    if (letters !== "e" && letters !== "E") throw new RangeError(suffixError);
    const exponent = Number(digits);
    if (!Number.isInteger(exponent) || Math.abs(exponent) > 100) throw new RangeError(suffixError);
    return power(exponent, "DecimalExponent");
  }
  const binary = letters === "" ? -1 : binarySuffixes.indexOf(letters);
  if (binary > 0) return { numerator: 1024n ** BigInt(binary), denominator: 1n, format: "BinarySI" };
  const decimal = decimalSuffixes.indexOf(letters);
  if (decimal < 0) throw new RangeError(suffixError);
  return power((decimal - 3) * 3, "DecimalSI");
}

function power(exponent: number, format: QuantityFormat) {
  const factor = 10n ** BigInt(Math.abs(exponent));
  return exponent < 0 ? { numerator: 1n, denominator: factor, format } : { numerator: factor, denominator: 1n, format };
}

/** The canonical form: no fraction, the largest suffix that keeps the value exact; `0.1Gi` has no such binary one and becomes `107374182400m`. */
export function formatQuantity({ nano, format }: ParsedQuantity): string {
  if (nano === 0n) return "0";
  const small = nano < 1024n * giga && nano > -1024n * giga;
  if (format === "BinarySI" && !small && nano % giga === 0n) {
    let [amount, exponent] = [nano / giga, 0];
    while (amount % 1024n === 0n && exponent < binarySuffixes.length - 1)
      [amount, exponent] = [amount / 1024n, exponent + 1];
    return `${amount}${binarySuffixes[exponent]}`;
  }
  let [amount, exponent] = [nano, 0];
  while (amount % 1000n === 0n && exponent < decimalSuffixes.length - 1)
    [amount, exponent] = [amount / 1000n, exponent + 1];
  const tens = (exponent - 3) * 3;
  const suffix = format === "DecimalExponent" ? (tens === 0 ? "" : `e${tens}`) : decimalSuffixes[exponent];
  return `${amount}${suffix}`;
}

const ceilUnits = (nano: bigint) => (nano > 0n ? (nano + giga - 1n) / giga : (nano - giga + 1n) / giga);

/** The canonical form of what `text` says. Throws RangeError when it is no quantity. */
export const canonicalQuantity = (text: string | number): string => formatQuantity(parseQuantity(text));

/** Negative, 0 or positive, as `a` is less than, equal to or more than `b`. */
export function compareQuantities(a: string, b: string): number {
  const difference = parseQuantity(a).nano - parseQuantity(b).nano;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** The sum, in the format of the first that is not zero. */
export function addQuantities(...amounts: readonly string[]): string {
  const parsed = amounts.map(parseQuantity);
  const format = parsed.find(({ nano }) => nano !== 0n)?.format ?? "DecimalSI";
  return formatQuantity({ nano: parsed.reduce((sum, { nano }) => sum + nano, 0n), format });
}

/** Thousandths, rounded up: CPU as the scheduler counts it. */
export const milliValue = (text: string): number => {
  const { nano } = parseQuantity(text);
  return Number(nano > 0n ? (nano + 999_999n) / 1_000_000n : nano / 1_000_000n);
};

/** Whole units, rounded up: bytes of memory. */
export const unitValue = (text: string): number => Number(ceilUnits(parseQuantity(text).nano));
