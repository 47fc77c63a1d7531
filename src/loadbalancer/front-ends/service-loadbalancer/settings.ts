import type { Service } from "../../../kube/index.ts";
import type { Balance } from "../../../routing/index.ts";

/** Annotations of service-loadbalancer (kubernetes/contrib). */
export const annotations = {
  algorithm: "serviceloadbalancer/lb.algorithm",
  host: "serviceloadbalancer/lb.host",
  sslTerm: "serviceloadbalancer/lb.sslTerm",
  aclMatch: "serviceloadbalancer/lb.aclMatch",
  cookie: "serviceloadbalancer/lb.cookie-sticky-session",
} as const;

/** What a Service asks for by its annotations. */
export interface ServiceSettings {
  readonly balance: Balance;
  readonly host: string;
  readonly sslTerm: boolean;
  /** Beginnings of paths, in place of the Service's name; the path is left as it is. */
  readonly paths?: { readonly prefixes: readonly string[]; readonly ignoreCase: boolean };
  readonly cookie: boolean;
}

/** What is wrong with an annotation. */
export interface SettingsFault {
  readonly field: string;
  readonly message: string;
  readonly remedy: string;
}

export const balances: ReadonlySet<string> = new Set<Balance>(["roundrobin", "leastconn", "first", "source"]);

const host = /^(?:\*\.)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;
const prefix = /^\/[A-Za-z0-9/._~-]{0,200}$/;

/** Reads a Service's annotations. What is wrong counts as not said, and is told. */
export function readSettings(
  { metadata, spec }: Service,
  standard: Balance,
): { readonly settings: ServiceSettings; readonly faults: readonly SettingsFault[] } {
  const faults: SettingsFault[] = [];
  const said = (name: keyof typeof annotations): string => metadata.annotations?.[annotations[name]]?.trim() ?? "";
  const wrong = (name: keyof typeof annotations, message: string, remedy: string) =>
    void faults.push({ field: `metadata.annotations[${annotations[name]}]`, message, remedy });
  const short = (text: string) => JSON.stringify(text.slice(0, 80));

  const flag = (name: "sslTerm" | "cookie"): boolean => {
    const text = said(name);
    if (text === "" || /^(?:0|f|F|false|FALSE|False)$/.test(text)) return false;
    if (/^(?:1|t|T|true|TRUE|True)$/.test(text)) return true;
    wrong(name, `${short(text)} is neither true nor false`, "write true or false");
    return false;
  };

  let balance = standard;
  const algorithm = said("algorithm");
  if (balances.has(algorithm)) balance = algorithm as Balance;
  else if (algorithm) wrong("algorithm", `${short(algorithm)} is no algorithm`, `use ${[...balances].join(", ")}`);
  // The API says "None" where nobody says anything: only ClientIP means that clients stay.
  if (spec.sessionAffinity === "ClientIP") balance = "source";

  let wanted = said("host").toLowerCase();
  if (wanted && (wanted.length > 253 || !host.test(wanted))) {
    wrong("host", `${short(wanted)} is not a host name`, "use a DNS name such as www.example.com");
    wanted = "";
  }

  const words = said("aclMatch").split(/\s+/).filter(Boolean);
  const ignoreCase = words[0] === "-i";
  const prefixes = ignoreCase ? words.slice(1) : words;
  const isGood = prefixes.length > 0 && prefixes.length <= 16 && prefixes.every((one) => prefix.test(one));
  if (words.length > 0 && !isGood)
    wrong("aclMatch", `${short(words.join(" "))} is no list of paths`, "write `/path` or `-i /path /other`");
  return {
    settings: {
      balance,
      host: wanted,
      sslTerm: flag("sslTerm"),
      ...(isGood ? { paths: { prefixes, ignoreCase } } : {}),
      cookie: flag("cookie"),
    },
    faults,
  };
}
