import { keyOf, type Service } from "../../../kube/index.ts";
import { poolOf, type Problem } from "../../../routing/index.ts";
import type { TemplateValue } from "./go-template.ts";
import { annotations, readSettings } from "./settings.ts";
import { byAge, clusterEndpoints, isServed, isTcpService, type TranslateInput } from "./translate.ts";

export interface TemplateInput extends Pick<
  TranslateInput,
  "services" | "slices" | "tcpServices" | "targetService" | "namespace" | "forwardServices" | "balance"
> {
  /** `--ssl-cert`, `--ssl-ca-cert` and `--syslog`, as templates have them. */
  readonly sslCert: string;
  readonly startSyslog: boolean;
}

/** A Service's port in the words of service-loadbalancer's templates. */
type Row = Readonly<Record<string, TemplateValue>>;

/**
 * What service-loadbalancer gives its templates: `services.http`, `.httpsTerm` and `.tcp`, `sslCert`, `defLbAlgorithm`, `startSyslog`. All of it
 * is checked by its own grammar before, so that no user's text becomes a line of somebody's configuration. Pure.
 */
export function templateData(input: TemplateInput): {
  readonly data: TemplateValue;
  readonly problems: readonly Problem[];
} {
  const problems: Problem[] = [];
  const groups: Record<"http" | "httpsTerm" | "tcp", Row[]> = { http: [], httpsTerm: [], tcp: [] };
  const taken = new Set<string>();
  for (const service of input.services.filter((one) => isServed(one, input)).sort(byAge)) {
    const { settings, faults } = readSettings(service, input.balance);
    const object = { kind: "Service", namespace: service.metadata.namespace ?? "", name: service.metadata.name };
    problems.push(...faults.map((fault) => ({ ...fault, object, reason: "InvalidAnnotation" as const })));
    if (settings.sslTerm && !input.sslCert) {
      problems.push({
        object,
        field: `metadata.annotations[${annotations.sslTerm}]`,
        reason: "InvalidCertificate",
        message: "it is to be served by HTTPS, and there is no certificate; it is not served in clear",
        remedy: "give --ssl-cert",
      });
      continue;
    }
    for (const port of service.spec.ports ?? []) {
      if ((port.protocol ?? "TCP") !== "TCP") continue;
      const isTcp = isTcpService(input.tcpServices, service, port);
      const { paths } = settings;
      const target = {
        namespace: object.namespace,
        service: object.name,
        port: port.name ? { name: port.name } : { number: port.port },
        protocol: "tcp" as const,
      };
      const endpoints = input.forwardServices
        ? clusterEndpoints(service, port)
        : poolOf(target, service, input.slices(keyOf(service))).pool.endpoints.filter(({ ready }) => ready);
      // What a backend cannot be reached by would be a fault of the whole file: a Service without endpoints has none.
      const row: Row = {
        Name: nameOf(service, port.port),
        Ep: endpoints.map((one) =>
          one.address.includes(":") ? `[${one.address}]:${one.port}` : `${one.address}:${one.port}`,
        ),
        BackendPort: endpoints[0]?.port ?? port.port,
        FrontendPort: isTcp ? port.port : 80,
        Host: settings.host,
        SslTerm: settings.sslTerm,
        AclMatch: paths ? [...(paths.ignoreCase ? ["-i"] : []), ...paths.prefixes].join(" ") : "",
        Algorithm: settings.balance,
        SessionAffinity: service.spec.sessionAffinity === "ClientIP",
        CookieStickySession: settings.cookie,
      };
      groups[isTcp ? "tcp" : settings.sslTerm ? "httpsTerm" : "http"].push(row);
    }
  }
  const { sslCert, startSyslog, balance } = input;
  return { data: { services: groups, sslCert, defLbAlgorithm: balance, startSyslog: String(startSyslog) }, problems };

  /** `NAME` or `NAME:PORT`; of two namespaces with one name, the younger's has its namespace before it. */
  function nameOf({ metadata }: Service, port: number): string {
    const end = port === 80 ? "" : `:${port}`;
    const plain = `${metadata.name}${end}`;
    const name = taken.has(plain) ? `${metadata.namespace ?? ""}.${plain}` : plain;
    taken.add(name);
    return name;
  }
}
