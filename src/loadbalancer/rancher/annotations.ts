import { ProviderFailure } from "../provider/contract.ts";

/** Beginnings of the annotations of lb-controller. */
export const annotationPrefixes = ["http.port", "https.port", "allow.http", "scale", "config", "io.rancher."] as const;

/** Of cookies that keep a client with its pod. */
export const stickinessName = "io.rancher.stickiness.policy";

export interface Stickiness {
  readonly name: string;
  readonly cookie: string;
  readonly domain: string;
  readonly mode: string;
  readonly indirect: boolean;
  readonly nocache: boolean;
  readonly postonly: boolean;
}

const refused = (message: string) => new ProviderFailure("Refused", message);

/** A port that an Ingress opens. */
export interface Frontend {
  readonly port: number;
  readonly protocol: "http" | "https";
}

/** `http.port`, `https.port` and `allow.http` of an Ingress. Throws ProviderFailure Refused. */
export function frontends(annotations: Readonly<Record<string, string>>, tls: boolean): readonly Frontend[] {
  const allow = annotations["allow.http"]?.trim().toLowerCase();
  if (allow !== undefined && !["true", "false", "t", "f", "1", "0"].includes(allow)) {
    throw refused(`annotation allow.http: true or false is needed, not ${JSON.stringify(allow.slice(0, 40))}`);
  }
  const port = (name: string, otherwise: number) => {
    const text = annotations[name];
    return text === undefined ? otherwise : whole(name, text, 1, 65_535);
  };
  const all = [
    ...(allow === undefined || ["true", "t", "1"].includes(allow)
      ? [{ port: port("http.port", 80), protocol: "http" as const }]
      : []),
    ...(tls ? [{ port: port("https.port", 443), protocol: "https" as const }] : []),
  ];
  if (all.length === 0) throw refused("annotation allow.http: without HTTP a certificate is needed; add spec.tls");
  if (all[0]?.port === all[1]?.port)
    throw refused("annotations http.port and https.port: two different ports are needed");
  return all;
}

/** A whole number that an annotation says. Throws ProviderFailure Refused. */
export function whole(name: string, text: string, least: number, most: number): number {
  const number = /^\d{1,5}$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw refused(
    `annotation ${name}: a whole number from ${least} to ${most} is needed, not ${JSON.stringify(text.slice(0, 40))}`,
  );
}

/** Lines of `name: value`, as lb-controller reads them. Throws ProviderFailure Refused. */
export function readStickiness(text: string): Stickiness {
  const texts = { name: "", cookie: "", domain: "", mode: "" };
  const flags = { indirect: false, nocache: false, postonly: false };
  for (const line of text.split("\n").map((one) => one.trim())) {
    if (line === "") continue;
    const at = line.indexOf(":");
    const [name, value] = [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    if (at < 0) throw refused(`annotation ${stickinessName}: ${JSON.stringify(line.slice(0, 40))} is no "name: value"`);
    if (Object.hasOwn(texts, name)) texts[name as keyof typeof texts] = value;
    else if (Object.hasOwn(flags, name)) flags[name as keyof typeof flags] = value.toLowerCase() === "true";
    else throw refused(`annotation ${stickinessName}: ${JSON.stringify(name.slice(0, 40))} is unknown`);
  }
  if (!["", "insert", "rewrite", "prefix"].includes(texts.mode)) {
    throw refused(`annotation ${stickinessName}: mode: insert, rewrite or prefix is needed`);
  }
  return { ...texts, mode: texts.mode || "insert", ...flags };
}
