import { setMaxListeners } from "node:events";
import { hostname } from "node:os";
import { Command, Option } from "commander";
import { createEventRecorder, createInformers, startLeaderElection } from "../client/index.ts";
import {
  nginxControllerName,
  publishedAddresses,
  type ControlledPlane,
  type DataPlaneName,
  serveDataPlaneControl,
  startSwitchable,
  type SwitchableDataPlane,
  type Acme,
  startAcme,
  type GatewayController,
  type GatewayOptions,
  startGateway,
  startIngress,
} from "../dataplane/index.ts";
import { resources } from "../kube/index.ts";
import { createLogger, createMetrics, type Logger, type LogLevel, systemClock } from "../system/index.ts";
import {
  anywhere,
  dataPlaneName,
  everyAddress,
  listenAddresses,
  type Observation,
  openAccessLog,
  requireDataPlane,
} from "./data-plane.ts";
import { CliError } from "./errors.ts";
import { type AcmeFlags, acmeSettings, withAcmeOptions } from "./acme-flags.ts";
import { aborted, objectName, ownAddress } from "./front-end.ts";
import { keepHeapSmall } from "./heap.ts";
import { ingressStatusCommand, ingressSwitchCommand } from "./ingress-switch.ts";
import { defaultControlSocket, makeSocketFolder } from "./control-socket.ts";
import { clientFor } from "./loadbalancer.ts";
import { surviveFaults, untilSignal } from "./signals.ts";
import { startStatusEndpoint } from "./status-endpoint.ts";
import { openTracing, receiverAuthorities } from "./tracing.ts";
import { sampleOf, tracingSettings } from "./tracing-settings.ts";

interface Flags extends AcmeFlags {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly address?: readonly string[];
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly httpBindPort?: number;
  readonly httpsBindPort?: number;
  readonly publishAddress?: readonly string[];
  readonly publishService?: string;
  readonly trustedForwarder?: readonly string[];
  readonly dataplane: DataPlaneName;
  readonly accessLog: string;
  readonly routeFigures: boolean;
  readonly tracingEndpoint: string;
  readonly tracingSample: number | undefined;
  readonly ingressNginx: boolean;
  readonly ingressNginxConfigMap?: string;
  readonly tcpServicesConfigmap?: string;
  readonly udpServicesConfigmap?: string;
  readonly defaultSslCertificate?: string;
  readonly gatewayApi: boolean;
  readonly gatewayAddress?: readonly string[];
  readonly statusAddress: string;
  readonly controlSocket: string;
  readonly shutdownDelay: number;
  readonly leaderElectNamespace: string;
  readonly logLevel: LogLevel;
}

const collect = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];

export function ingressCommand(): Command {
  const command = new Command("ingress")
    .description(
      "Serve the Ingresses and Gateways of any cluster.\nRun it once or more often: each serves all Ingresses, and one of them writes statuses and serves Gateways.",
    )
    .option(
      "--kubeconfig <file>",
      "how to reach the cluster (default: KUBECONFIG, ~/.kube/config, the pod's service account)",
    )
    .option("--context <name>", "context of the kubeconfig")
    .option("--address <ips>", "addresses to listen on, with commas between (default: all)", (value) =>
      listenAddresses(value),
    )
    .option(
      "--dataplane <name>",
      "what serves them: embedded, haproxy or nginx",
      (value) => dataPlaneName(value),
      "embedded" as const,
    )
    .option("--access-log <file>", "a line of JSON for each request; /dev/stdout is a file too", "")
    .option("--route-figures", "count requests by route on haproxy and nginx too; embedded always does", false)
    .option(
      "--tracing-endpoint <url>",
      "send a span for each request to this receiver of OTLP over HTTP (default: OTEL_EXPORTER_OTLP_ENDPOINT; none)",
      "",
    )
    .option(
      "--tracing-sample <share>",
      "of the traces that begin here: 0 to 1 (default: OTEL_TRACES_SAMPLER; 1)",
      (value) => sampleOf(value),
    )
    .option("--http-port <port>", "port for HTTP, as clients see it", portOf, 80)
    .option("--https-port <port>", "port for HTTPS, as clients see it", portOf, 443)
    .option("--http-bind-port <port>", "port to open, where a Service leads there from --http-port", portOf)
    .option("--https-bind-port <port>", "the same for HTTPS", portOf)
    .option(
      "--publish-service <namespace/name>",
      "Service that leads to these processes: statuses of Ingresses say its addresses, and Gateways are led to its endpoints",
    )
    .option("--publish-address <address>", "IP address or name for the statuses instead; may be repeated", collect)
    .option("--trusted-forwarder <cidr>", "proxies whose X-Forwarded-* are believed; may be repeated", collect)
    .option("--ingress-nginx", "serve the classes of ingress-nginx (controller k8s.io/ingress-nginx) as it does", false)
    .option("--ingress-nginx-config-map <namespace/name>", "its ConfigMap: defaults for what annotations do not say")
    .option(
      "--tcp-services-configmap <namespace/name>",
      "ports for TCP, as ingress-nginx has them: PORT: NAMESPACE/SERVICE:PORT",
    )
    .option("--udp-services-configmap <namespace/name>", "the same for UDP")
    .option("--default-ssl-certificate <namespace/name>", "Secret with the certificate for names that have none")
    .option("--no-gateway-api", "serve Ingresses only")
    .option(
      "--gateway-address <ips>",
      "where Services of Gateways find this process, one of each family (default: POD_IPS or POD_IP, else an interface)",
      (value) => listenAddresses(value, "--gateway-address"),
    )
    .option("--status-address <ip:port>", "for /healthz, /readyz and /metrics", anywhere(10_254))
    .option("--control-socket <path>", "of `ingress switch`; empty: none", defaultControlSocket("ingress"))
    .option("--shutdown-delay <seconds>", "go on serving for so long after SIGTERM, unready", secondsOf, 0)
    .option("--leader-elect-namespace <namespace>", "namespace of the Lease (default: the pod's)", ownNamespace())
    .addOption(new Option("--log-level <level>", "debug, info, warn or error").default("info"))
    .addHelpText(
      "after",
      `
Ingresses of classes with the controller fairlead.dev/ingress are served, and Gateways of classes with fairlead.dev/gateway. Without a class of
its own it makes one: fairlead. Ingresses of classes with fairlead.dev/ingress-nginx mean what they mean to ingress-nginx, annotations included. /readyz answers 200 while every route of the cluster is served.

Examples:
  fairlead ingress --kubeconfig ~/.kube/config --http-port 8080 --https-port 8443
  fairlead ingress --publish-service fairlead/fairlead-ingress --http-bind-port 8080 --https-bind-port 8443`,
    )
    .action((flags: Flags) => run(flags))
    .addCommand(ingressSwitchCommand())
    .addCommand(ingressStatusCommand());
  return withAcmeOptions(command);
}

function ownNamespace(): string {
  return process.env["POD_NAMESPACE"] ?? "kube-system";
}

function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535)
    throw new CliError("USAGE", `${JSON.stringify(text)} is no port: 0 to 65535`);
  return port;
}

function secondsOf(text: string): number {
  if (!/^\d{1,4}$/.test(text))
    throw new CliError("USAGE", `${JSON.stringify(text)} is no number of seconds: 0 to 9999`);
  return Number(text);
}

async function run(flags: Flags): Promise<void> {
  await requireDataPlane(flags.dataplane);
  const published =
    flags.publishService === undefined ? undefined : objectName("--publish-service", flags.publishService);
  const optionsFrom =
    flags.ingressNginxConfigMap === undefined
      ? undefined
      : objectName("--ingress-nginx-config-map", flags.ingressNginxConfigMap);
  const streamsFrom = (
    [
      ["TCP", "--tcp-services-configmap", flags.tcpServicesConfigmap],
      ["UDP", "--udp-services-configmap", flags.udpServicesConfigmap],
    ] as const
  ).flatMap(([transport, option, text]) => (text === undefined ? [] : [{ transport, from: objectName(option, text) }]));
  const defaultCertificate =
    flags.defaultSslCertificate === undefined
      ? undefined
      : objectName("--default-ssl-certificate", flags.defaultSslCertificate);
  const acmeOptions = await acmeSettings(flags, flags.leaderElectNamespace);
  const spans = tracingSettings(flags, process.env);
  const receiverCa = spans && receiverAuthorities(spans);
  const accessLog = openAccessLog(flags);
  const client = await clientFor(flags);
  const log = createLogger({ level: flags.logLevel });
  const stop = new AbortController();
  const { signal } = stop;
  setMaxListeners(0, signal);
  const clock = systemClock;
  let draining = false;
  const ended = untilSignal(stop, () => {
    draining = true;
    return flags.shutdownDelay > 0 ? clock.sleep(flags.shutdownDelay * 1000, signal) : undefined;
  });
  surviveFaults(log);
  keepHeapSmall();

  const metrics = createMetrics();
  const traces = spans && (await openTracing(spans, receiverCa, { metrics, clock, log }));
  const observation: Observation = { ...accessLog, ...(traces ? { tracing: traces.tracing } : {}) };
  const informers = createInformers(client, { signal, log });
  const dataplane = dataplaneOf(flags, { metrics, signal, clock, log, ...observation });
  // Annotations may name some too. Those of a class of ours alone get no further rights than before.
  const readsConfigMaps = optionsFrom !== undefined || streamsFrom.length > 0 || flags.ingressNginx || flags.gatewayApi;
  const configMaps = readsConfigMaps ? informers.of(resources.ConfigMap) : undefined;
  const publish = published && informers.of(resources.Service);
  let leading = false;
  let acme: Acme | undefined;
  const ingress = startIngress({
    client,
    informers,
    dataplane,
    metrics,
    ports: { http: flags.httpPort, https: flags.httpsPort },
    bindPorts: { http: flags.httpBindPort ?? flags.httpPort, https: flags.httpsBindPort ?? flags.httpsPort },
    addresses: () => [
      ...(flags.publishAddress ?? []),
      ...(published && publish ? publishedAddresses(publish.get(published)) : []),
    ],
    leading: () => leading,
    onServed: () => acme?.refresh(),
    nginx: {
      controllers: [nginxControllerName, ...(flags.ingressNginx ? ["k8s.io/ingress-nginx"] : [])],
      options: () => (optionsFrom && configMaps?.get(optionsFrom)?.data) ?? {},
      streams: () =>
        streamsFrom.flatMap(({ transport, from }) => {
          const configMap = configMaps?.get(from);
          return configMap ? [{ transport, configMap }] : [];
        }),
      ...(configMaps ? { configMaps } : {}),
    },
    ...(defaultCertificate ? { defaultCertificate: `${defaultCertificate.namespace}/${defaultCertificate.name}` } : {}),
    signal,
    clock,
    log,
    events: createEventRecorder(client, { component: "fairlead-ingress", host: hostname(), log, clock, signal }),
  });
  configMaps?.onChange(({ before, after }) => {
    const { namespace, name } = (after ?? before)?.metadata ?? {};
    const read = [optionsFrom, ...streamsFrom.map(({ from }) => from)];
    if (read.some((each) => each?.namespace === namespace && each?.name === name)) ingress.translateAgain();
  });
  publish?.onChange(({ before, after }) => {
    const changed = after ?? before;
    const { namespace, name } = changed?.metadata ?? {};
    if (namespace === published?.namespace && name === published?.name) ingress.refresh();
  });
  const gateway = flags.gatewayApi
    ? serveGateways(flags, {
        client,
        informers,
        metrics,
        signal,
        clock,
        log,
        ...observation,
        ...(published ? { replicas: published } : {}),
        leading: () => leading,
        onServed: () => acme?.refresh(),
      })
    : undefined;
  dataplane.onSwitched(() => ingress.translateAgain());
  if (flags.controlSocket !== "") {
    await makeSocketFolder(flags.controlSocket, log);
    const own: ControlledPlane = { part: "ingress", plane: dataplane, unserved: () => ingress.unserved() };
    const planes = () => [own, ...(gateway ? [gateway.controlled] : [])];
    serveDataPlaneControl({ path: flags.controlSocket, planes, signal, clock, log });
  }
  const unserved = (): string | undefined => {
    if (draining) return "shutting down";
    const why = ingress.unserved() ?? gateway?.controlled.unserved();
    if (why !== undefined) return why;
    const closed = ingress.listeners().find(({ name, port }) => port === undefined && /^https?$/.test(name));
    return closed && `${closed.name}: ${closed.error ?? "its port is not open"}`;
  };
  const at = flags.statusAddress;
  const status = await startStatusEndpoint({ option: "--status-address", at, unready: unserved, metrics }).catch(
    (error: unknown) => {
      stop.abort(error);
      throw error;
    },
  );

  const election = startLeaderElection({
    client,
    clock,
    log,
    signal,
    lease: { namespace: flags.leaderElectNamespace, name: "fairlead-ingress" },
    identity: `${hostname()}_${process.pid}`,
    lead: async (until) => {
      leading = true;
      log.info({}, "this one leads: it writes statuses");
      ingress.refresh();
      gateway?.refresh();
      try {
        if (acmeOptions) {
          // Without certificates all else still works.
          acme = await startAcme({
            ...acmeOptions,
            client,
            informers,
            current: () => ingress.current(),
            ...(gateway ? { gateways: () => gateway.current() } : {}),
            address: () => addressesOf(flags)[0] ?? "",
            signal: until,
            clock,
            log,
            events: createEventRecorder(client, {
              component: "fairlead-acme",
              host: hostname(),
              log,
              clock,
              signal: until,
            }),
          }).catch((error: unknown) => {
            log.error({ error: String(error), remedy: "--gateway-address" }, "certificates are not got");
            return undefined;
          });
          acme?.refresh();
        }
        await aborted(until);
      } finally {
        leading = false;
        acme = undefined;
      }
    },
  });
  void ingress.ready.then(
    () => log.info({ listeners: ingress.listeners() }, "every route is served"),
    () => {},
  );
  await ended;
  await Promise.allSettled([election.stopped, ingress.stopped, gateway?.stopped]);
  await traces?.close();
  status.close();
}

interface Parts extends Observation {
  readonly metrics: ReturnType<typeof createMetrics>;
  readonly signal: AbortSignal;
  readonly clock: typeof systemClock;
  readonly log: Logger;
}

function dataplaneOf(flags: Flags, parts: Parts): SwitchableDataPlane {
  try {
    const trustedForwarders = flags.trustedForwarder ?? [];
    return startSwitchable(flags.dataplane, { ...parts, address: flags.address ?? everyAddress(), trustedForwarders });
  } catch (error) {
    if (error instanceof TypeError) throw new CliError("USAGE", `--trusted-forwarder: ${error.message}`);
    throw error;
  }
}

/** Serves Gateways by a data plane of their own. */
function serveGateways(
  flags: Flags,
  parts: Parts & Pick<GatewayOptions, "client" | "informers" | "replicas" | "leading" | "onServed">,
): GatewayController & { readonly controlled: ControlledPlane } {
  const { client, signal, clock, log } = parts;
  const dataplane = dataplaneOf(flags, parts);
  const gateway = startGateway({
    ...parts,
    dataplane,
    addresses: () => addressesOf(flags),
    events: createEventRecorder(client, { component: "fairlead-gateway", host: hostname(), log, clock, signal }),
  });
  dataplane.onSwitched(() => gateway.translateAgain());
  gateway.ready.catch((error: unknown) => {
    if (!signal.aborted) log.error({ error: String(error) }, "Gateways are not served");
  });
  return { ...gateway, controlled: { part: "gateway", plane: dataplane, unserved: () => gateway.unserved() } };
}

/** Where others reach this process. */
function addressesOf({ gatewayAddress }: Flags): readonly string[] {
  const { POD_IPS: all, POD_IP: one } = process.env;
  return gatewayAddress ?? (all ? listenAddresses(all, "POD_IPS") : [one ?? ownAddress()]);
}
