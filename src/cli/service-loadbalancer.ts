import { readFile } from "node:fs/promises";
import { Command, Option } from "commander";
import {
  certificateNames,
  type DataPlaneName,
  inspectAuthorities,
  inspectKeyPair,
  type KeyPair,
  startDataPlane,
} from "../dataplane/index.ts";
import type { Client } from "../client/index.ts";
import {
  balances,
  parseGoTemplate,
  readManifest,
  renderOnce,
  startPlugin,
  startServiceLoadBalancer,
  TemplateError,
  type ServiceRoutes,
  type TcpService,
} from "../loadbalancer/index.ts";
import type { Balance } from "../routing/index.ts";
import { systemCommands, type LogLevel } from "../system/index.ts";
import { dataPlaneName, everyAddress, listenAddresses, requireDataPlane } from "./data-plane.ts";
import { CliError } from "./errors.ts";
import { goBoolean, port, runFrontEnd, wholeNumber } from "./front-end.ts";
import { clientFor } from "./loadbalancer.ts";
import { startStatusEndpoint } from "./status-endpoint.ts";

interface Flags {
  readonly useKubernetesClusterService: boolean;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly tcpServices?: readonly TcpService[];
  readonly targetService?: string;
  readonly forwardServices: boolean;
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly statsPort: number;
  readonly ownPort: number;
  readonly sslCert?: string;
  readonly sslCaCert?: string;
  readonly errorPage?: string;
  readonly defaultReturnCode: number;
  readonly balanceAlgorithm: Balance;
  readonly namespace?: string;
  readonly address?: readonly string[];
  readonly dataplane: DataPlaneName;
  readonly cfg?: string;
  readonly dry: boolean;
  readonly syslog: boolean;
  readonly logLevel: LogLevel;
}

export function serviceLoadbalancerCommand(): Command {
  return new Command("service-loadbalancer")
    .description(
      "Serve all Services of a cluster by path, host or port, with the flags and annotations of kubernetes/contrib's service-loadbalancer.",
    )
    .option("--use-kubernetes-cluster-service [bool]", "false: the cluster that KUBECONFIG names", goBoolean, true)
    .option("--kubeconfig <file>", "how to reach the cluster (default: KUBECONFIG, the pod's service account)")
    .option("--context <name>", "context of the kubeconfig")
    .option("--tcp-services <name:port,...>", "served on ports of their own, whatever they speak", tcpServices)
    .option("--target-service <name>", "the only Service that is served")
    .option("--forward-services [bool]", "packets go to the Services' cluster IPs, not to the pods", goBoolean, false)
    .option("--http-port <port>", "for HTTP", port, 80)
    .option("--https-port <port>", "for HTTPS, of Services with lb.sslTerm", port, 443)
    .option("--stats-port <port>", "what is served, as text; /healthz, /readyz, /metrics", port, 1936)
    .option("--own-port <port>", "/healthz, and the page for what no Service takes", port, 8081)
    .option("--ssl-cert <file>", "PEM: certificate, chain and key")
    .option("--ssl-ca-cert <file>", "PEM of authorities whose certificates clients are asked for")
    .option("--error-page <url>", "file: or http: page for what no Service takes")
    .option("--default-return-code <code>", "its code", wholeNumber(200, 599), 404)
    .option("--balance-algorithm <name>", "roundrobin, leastconn, first or source", algorithm, "roundrobin" as const)
    .option("--namespace <namespace>", "the only namespace (default: all)")
    .option("--address <ips>", "addresses to listen on, with commas between (default: all)", (value) =>
      listenAddresses(value),
    )
    .option("--dataplane <name>", "what serves them: embedded or haproxy", dataPlaneName, "embedded" as const)
    .option("--cfg <file>", "loadbalancer.json: another balancer, by a template and a reload command, serves them")
    .option("--dry [bool]", "with --cfg: print what the template makes, and end", goBoolean, false)
    .option("--syslog [bool]", "with --cfg: startSyslog of the template", goBoolean, false)
    .addOption(new Option("--v <level>").hideHelp())
    .addOption(new Option("--log-level <level>", "debug, info, warn or error").default("info"))
    .addHelpText(
      "after",
      `
Each TCP port of each Service is at http://ADDRESS/NAME, or /NAME:PORT when the port is not 80; the Service sees the rest of the path. Of two
Services of one name the older has /NAME, and each has /NAMESPACE/NAME. Services of type LoadBalancer are left out.

Annotations of Services:
  serviceloadbalancer/lb.algorithm: leastconn            or roundrobin, first, source
  serviceloadbalancer/lb.host: www.example.com           only for this host
  serviceloadbalancer/lb.sslTerm: "true"                 by HTTPS, and not in clear
  serviceloadbalancer/lb.aclMatch: "-i /test"            paths that begin so, unchanged
  serviceloadbalancer/lb.cookie-sticky-session: "true"   a client stays with its pod, by the cookie SERVERID
sessionAffinity: ClientIP keeps a client's address with its pod.

Examples:
  fairlead service-loadbalancer --tcp-services=mysql:3306,nginxsvc:443 --http-port=8080
  KUBECONFIG=eu.conf fairlead service-loadbalancer --use-kubernetes-cluster-service=false
  fairlead service-loadbalancer --cfg=loadbalancer.json --dry`,
    )
    .action(run);
}

function algorithm(text: string): Balance {
  if (balances.has(text)) return text as Balance;
  throw new CliError("USAGE", `--balance-algorithm ${JSON.stringify(text)}: use ${[...balances].join(", ")}`);
}

function tcpServices(text: string): TcpService[] {
  return text
    .split(",")
    .filter(Boolean)
    .map((part) => {
      const [, namespace, name = "", number = ""] =
        /^(?:([a-z0-9-]+)\/)?([a-z0-9-]+):(\d{1,5})$/.exec(part.trim()) ?? [];
      if (!name || Number(number) < 1 || Number(number) > 65_535)
        throw new CliError("USAGE", `--tcp-services ${JSON.stringify(part)} is not NAME:PORT or NAMESPACE/NAME:PORT`);
      return { name, port: Number(number), ...(namespace === undefined ? {} : { namespace }) };
    });
}

async function run(flags: Flags): Promise<void> {
  if (!flags.useKubernetesClusterService && flags.kubeconfig === undefined && !process.env["KUBECONFIG"])
    throw new CliError("USAGE", "--use-kubernetes-cluster-service=false: KUBECONFIG is needed");
  if (flags.dataplane === "nginx")
    throw new CliError("USAGE", "--dataplane nginx serves no TCP", "use embedded or haproxy");
  if (flags.cfg === undefined) await requireDataPlane(flags.dataplane);
  const keyPair = flags.sslCert === undefined ? undefined : await keyPairOf(flags.sslCert);
  const authorities = flags.sslCaCert === undefined ? undefined : await authoritiesOf(flags.sslCaCert);
  const page = flags.errorPage === undefined ? undefined : await pageOf(flags.errorPage);
  const client = await clientFor(flags);
  if (flags.cfg !== undefined) return runPlugin(flags, flags.cfg, client);
  await runFrontEnd(client, flags.logLevel, async (parts) => {
    const { metrics, signal, clock, log } = parts;
    const balancer = startServiceLoadBalancer({
      ...parts,
      dataplane: startDataPlane(flags.dataplane, {
        metrics,
        signal,
        clock,
        log,
        address: flags.address ?? everyAddress(),
      }),
      tcpServices: flags.tcpServices ?? [],
      ...(flags.targetService ? { targetService: flags.targetService } : {}),
      ...(flags.namespace ? { namespace: flags.namespace } : {}),
      forwardServices: flags.forwardServices,
      balance: flags.balanceAlgorithm,
      httpPort: flags.httpPort,
      httpsPort: flags.httpsPort,
      ...(keyPair ? { keyPair } : {}),
      ...(authorities === undefined ? {} : { authorities }),
      fallback: {
        address: "127.0.0.1",
        port: flags.ownPort,
        ready: true,
        owner: { object: { kind: "Service", name: "default-backend" }, field: "" },
      },
    });
    const open = async (option: string, number: number, more: (path: string) => Answer | undefined) => {
      const unready = () => balancer.unserved();
      const endpoint = await startStatusEndpoint({ option, at: `0.0.0.0:${number}`, unready, metrics, more });
      signal.addEventListener("abort", () => endpoint.close(), { once: true });
    };
    await open("--stats-port", flags.statsPort, (path) =>
      path === "/" ? [200, listOf(balancer.current())] : undefined,
    );
    const notFound: Answer =
      page === undefined
        ? [flags.defaultReturnCode, "default backend\n"]
        : [flags.defaultReturnCode, page, "text/html; charset=utf-8"];
    await open("--own-port", flags.ownPort, (path) => (path === "/" ? notFound : undefined));
    return [balancer];
  });
}

/** Another balancer serves them: what a manifest names is filled in and told. */
async function runPlugin(flags: Flags, path: string, client: Client): Promise<void> {
  const manifest = readManifest(await fileOf("--cfg", path));
  if ("fault" in manifest) throw new CliError("BAD_FILE", `--cfg: ${path} ${manifest.fault}`);
  const balance = manifest.algorithm === undefined ? flags.balanceAlgorithm : algorithm(manifest.algorithm);
  const template = await fileOf("--cfg: template", manifest.template);
  try {
    parseGoTemplate(template);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    throw new CliError("BAD_FILE", `--cfg: ${manifest.template} ${error.message}`);
  }
  const sslCert = flags.sslCert === undefined ? "" : `crt ${flags.sslCert}`;
  const options = {
    manifest,
    template,
    commands: systemCommands,
    tcpServices: flags.tcpServices ?? [],
    ...(flags.targetService ? { targetService: flags.targetService } : {}),
    ...(flags.namespace ? { namespace: flags.namespace } : {}),
    forwardServices: flags.forwardServices,
    balance,
    sslCert: sslCert && flags.sslCaCert !== undefined ? `${sslCert} ca-file ${flags.sslCaCert}` : sslCert,
    startSyslog: flags.syslog,
  };
  if (flags.dry) {
    process.stdout.write(await renderOnce({ ...options, client }));
    return;
  }
  await runFrontEnd(client, flags.logLevel, async (parts) => {
    const { metrics, signal } = parts;
    const plugin = startPlugin({ ...parts, ...options });
    const at = `0.0.0.0:${flags.ownPort}`;
    const endpoint = await startStatusEndpoint({ option: "--own-port", at, unready: () => plugin.unserved(), metrics });
    signal.addEventListener("abort", () => endpoint.close(), { once: true });
    return [plugin];
  });
}

type Answer = [status: number, body: string, type?: string];

/** What is served, a line for each way in. */
function listOf(routes: ServiceRoutes | undefined): string {
  const ways = (routes?.ways ?? []).map(
    ({ at, service, port: of, balance }) => `${at}  ${service}:${of}  ${balance}\n`,
  );
  const problems = (routes?.problems ?? []).map(
    ({ object, field, message }) =>
      `not served as asked: ${object.namespace ?? ""}/${object.name} ${field}: ${message}\n`,
  );
  return [...ways.sort(), ...problems].join("") || "no Service is served\n";
}

async function fileOf(option: string, path: string): Promise<string> {
  return readFile(path, "utf8").catch((error: unknown) => {
    throw new CliError("BAD_FILE", `${option}: ${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? ""}`);
  });
}

async function keyPairOf(path: string): Promise<KeyPair & { readonly names: readonly string[] }> {
  const text = await fileOf("--ssl-cert", path);
  const blocks = text.match(/-----BEGIN ([A-Z ]+)-----[\s\S]*?-----END \1-----/g) ?? [];
  const certificate = blocks.filter((one) => one.includes("BEGIN CERTIFICATE")).join("\n");
  const key = blocks.find((one) => one.includes("PRIVATE KEY")) ?? "";
  const fault = !certificate ? "has no certificate" : !key ? "has no key" : inspectKeyPair(certificate, key);
  if (fault)
    throw new CliError("BAD_FILE", `--ssl-cert: ${path} ${fault}`, "put certificate, chain and key into one PEM file");
  return { certificate, key, names: certificateNames(certificate) };
}

async function authoritiesOf(path: string): Promise<string> {
  const text = await fileOf("--ssl-ca-cert", path);
  const fault = inspectAuthorities(text);
  if (fault) throw new CliError("BAD_FILE", `--ssl-ca-cert: ${path} ${fault}`);
  return text;
}

/** Bytes of an error page; more is surely a mistake. */
const largestPage = 1 << 20;

async function pageOf(url: string): Promise<string> {
  if (url.startsWith("file://") || url.startsWith("/")) return fileOf("--error-page", url.replace(/^file:\/\//, ""));
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    if (!response.ok) throw new Error(`it answers ${response.status}`);
    const text = await response.text();
    if (text.length > largestPage) throw new Error(`it has more than ${largestPage} characters`);
    return text;
  } catch (error) {
    throw new CliError("BAD_FILE", `--error-page ${url}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
