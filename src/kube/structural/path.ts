/** Where in an object a value stands; its text is made only for messages. Undefined: the root. */
export interface Path {
  readonly parent: Path | undefined;
  /** A field, an index, or, as `{ key }`, a key of a map. */
  readonly step: string | number | { readonly key: string };
}

export function child(parent: Path | undefined, step: Path["step"]): Path {
  return { parent, step };
}

/** `spec.ports[0].port`, `spec.labels[a]`. */
export function textOf(path: Path | undefined): string {
  if (!path) return "";
  const before = textOf(path.parent);
  const { step } = path;
  if (typeof step === "number") return `${before}[${step}]`;
  if (typeof step === "object") return `${before}[${step.key}]`;
  return before === "" ? step : `${before}.${step}`;
}
