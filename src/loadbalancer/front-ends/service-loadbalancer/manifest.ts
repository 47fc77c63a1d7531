/** `loadbalancer.json` of service-loadbalancer: a balancer that is configured by a template and told by a command. */
export interface Manifest {
  readonly name: string;
  /** File of the template. */
  readonly template: string;
  /** File that is written. */
  readonly config: string;
  /** For `sh -c`, after the file was written. */
  readonly reloadCmd: string;
  /** In place of `--balance-algorithm`. */
  readonly algorithm?: string;
}

const needed = ["name", "template", "config", "reloadCmd"] as const;
const known: ReadonlySet<string> = new Set([...needed, "algorithm", "startSyslog"]);

/** Says what is wrong, naming the field. */
export function readManifest(text: string): Manifest | { readonly fault: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { fault: `is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { fault: "is not a map" };
  const map = value as Readonly<Record<string, unknown>>;
  for (const name of needed) {
    const given = map[name];
    if (typeof given !== "string" || given.trim() === "") return { fault: `${name}: a text is needed` };
  }
  const strange = Object.keys(map).find((name) => !known.has(name));
  if (strange !== undefined)
    return { fault: `${JSON.stringify(strange.slice(0, 40))} is unknown; there are ${[...known].join(", ")}` };
  const algorithm = map["algorithm"];
  if (algorithm !== undefined && typeof algorithm !== "string") return { fault: "algorithm: a text is needed" };
  const [name = "", template = "", config = "", reloadCmd = ""] = needed.map((one) => String(map[one]));
  return { name, template, config, reloadCmd, ...(algorithm ? { algorithm } : {}) };
}
