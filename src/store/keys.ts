import { StoreError, type Operation } from "./store.ts";

/** Bytes of one value: etcd's default request limit. */
export const maxValueBytes = 1.5 * 1024 * 1024;

/** UTF-8 bytes of one key. Kubernetes names and namespaces need less than 600. */
export const maxKeyBytes = 1024;

/** Operations of one write: etcd's default. */
export const maxOperations = 128;

/** Orders keys by their UTF-8 bytes. JavaScript's own order differs where surrogates meet U+E000 to U+FFFF. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return weight(x) - weight(y);
  }
  return a.length - b.length;
}

/** A surrogate stands for a code point above all of the basic plane. */
function weight(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/**
 * Refuses what no store takes. Throws StoreError TOO_LARGE for a value, key or write beyond the limits, and TypeError for what
 * only a faulty caller sends: an empty key, a NUL, broken UTF-16, or one key twice in a write.
 */
export function checkOperations(operations: readonly Operation[]): void {
  if (operations.length > maxOperations) {
    throw new StoreError(
      "TOO_LARGE",
      `a write of ${operations.length} operations: at most ${maxOperations} are allowed`,
    );
  }
  const seen = new Set<string>();
  for (const operation of operations) {
    const { key } = operation;
    if (key === "" || key.includes("\0") || !isWellFormed(key)) {
      throw new TypeError(`not a store key: ${JSON.stringify(key)}`);
    }
    if (Buffer.byteLength(key) > maxKeyBytes) {
      throw new StoreError("TOO_LARGE", `a key of ${Buffer.byteLength(key)} bytes: at most ${maxKeyBytes} are allowed`);
    }
    if (seen.has(key)) throw new TypeError(`the key ${key} is twice in one write`);
    seen.add(key);
    if (operation.type === "put" && operation.value.byteLength > maxValueBytes) {
      throw new StoreError(
        "TOO_LARGE",
        `the value of ${key} has ${operation.value.byteLength} bytes: at most ${maxValueBytes} are allowed`,
      );
    }
  }
}

function isWellFormed(key: string): boolean {
  return Buffer.from(key).toString() === key;
}
