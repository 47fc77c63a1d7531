import type { Ingress } from "../../../kube/index.ts";
import { plainPath, readIngress, refOf, type Affinity, type Problem, type Reading } from "../../../routing/index.ts";
import { ProviderFailure } from "../../provider/contract.ts";
import { frontends, readStickiness, stickinessName, type Frontend } from "../../rancher/annotations.ts";
import { readCustomConfig, type CustomConfig } from "./custom-config.ts";

const classAnnotation = "kubernetes.io/ingress.class";
const className = "rancher";

/** True for Ingresses that lb-controller serves: those of the class `rancher`, and those of no class at all. */
export function isRancherIngress({ metadata, spec }: Ingress): boolean {
  const name = spec.ingressClassName ?? metadata.annotations?.[classAnnotation] ?? "";
  return name === "" || name === className;
}

/** What one Ingress says to lb-controller, taken by itself. */
export interface RancherReading {
  readonly ingress: Ingress;
  readonly reading: Reading;
  /** Ports that it opens; none when what it says of them is wrong. */
  readonly frontends: readonly Frontend[];
  readonly affinity?: Affinity;
  readonly config: CustomConfig;
  readonly problems: readonly Problem[];
}

const cookieName = /^[A-Za-z0-9_.-]{1,64}$/;
const domainName = /^\.?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/i;
const standardCookie = "rancherlb";
const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Pure. */
export function readRancherIngress(ingress: Ingress): RancherReading {
  const annotations = ingress.metadata.annotations ?? {};
  const problems: Problem[] = [];
  const wrong = (name: string, message: string, remedy: string, reason: Problem["reason"] = "InvalidAnnotation") =>
    void problems.push({
      object: refOf(ingress),
      field: `metadata.annotations[${name}]`,
      reason,
      message,
      remedy,
    });
  const reading = readIngress(ingress, {
    // As lb-controller's HAProxy: the beginning of the path, whatever the case.
    pathOf: (path, type) => {
      const plain = plainPath(path, type);
      if (type !== "ImplementationSpecific" || "refused" in plain || plain.value === "") return plain;
      const given = path.endsWith("/") ? `${plain.value}/` : plain.value;
      return { type: "RegularExpression", value: `(?i)${escaped(given)}.*` };
    },
  });
  const config = readCustomConfig(annotations["config"] ?? "");
  if (config.ignored.length > 0) {
    const some = config.ignored.slice(0, 5).map((line) => JSON.stringify(line));
    const more = config.ignored.length > 5 ? `, and ${config.ignored.length - 5} more` : "";
    wrong(
      "config",
      `${some.join(", ")}${more}: not taken over`,
      "leave it out; balance, timeout connect and timeout server are understood",
      "UnsupportedFeature",
    );
  }
  return {
    ingress,
    reading,
    frontends:
      attempt(() => frontends(annotations, Boolean(ingress.spec.tls?.some(({ secretName }) => secretName)))) ?? [],
    ...affinityOf(),
    config,
    problems: [...reading.problems, ...problems],
  };

  function affinityOf(): { affinity: Affinity } | undefined {
    const text = annotations[stickinessName];
    const policy = text ? attempt(() => readStickiness(text)) : undefined;
    if (!policy) return undefined;
    const { mode, postonly, domain } = policy;
    const cookie = policy.cookie || policy.name || standardCookie;
    if (mode !== "insert" || postonly) {
      const what = mode === "insert" ? "postonly" : `mode ${mode}`;
      wrong(stickinessName, `${what} is not supported; clients do not stay`, "use mode: insert", "UnsupportedFeature");
    } else if (!cookieName.test(cookie)) {
      wrong(stickinessName, `${JSON.stringify(cookie.slice(0, 40))} is no name of a cookie`, "use letters and digits");
    } else if (domain && (domain.length > 253 || !domainName.test(domain))) {
      wrong(stickinessName, `${JSON.stringify(domain.slice(0, 40))} is no domain`, "use a name such as example.com");
    } else return { affinity: { cookie, secure: false, ...(domain ? { domain } : {}) } };
    return undefined;
  }

  function attempt<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof ProviderFailure)) throw error;
      const [, name = "", message = error.message] = /^annotations? ([a-z.]+)[^:]*: (.*)$/s.exec(error.message) ?? [];
      wrong(name, message, "correct the annotation");
      return undefined;
    }
  }
}
