import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { Command, Option } from "commander";
import { apiVersionOf, resources, type Service } from "../kube/index.ts";
import {
  assessIngresses,
  createReplay,
  type GatewayObjects,
  gatewayObjects,
  type GatewayTarget,
  type Problem,
  probeModels,
  type ReplayReport,
  type RoutingModel,
  type StreamServices,
  translateGateways,
  translateIngresses,
  type Translation,
} from "../routing/index.ts";
import { CliError, systemCodeOf } from "./errors.ts";
import { type Moving, noSlices, readMoving, type ReadFlags } from "./migrate/read.ts";
import { type MigrationReport, migrationText, type StreamVerdict } from "./migrate/text.ts";
import { parseTextFormat, render, type TextFormat } from "./output.ts";

interface Flags extends ReadFlags {
  readonly accessLog?: string;
  readonly host?: string;
  readonly to?: "gateway-api";
  readonly gateway: string;
  readonly gatewayClass: string;
  readonly output: TextFormat;
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
const ourClass = "ingress-nginx";

export function migrateCommand(): Command {
  const nginx = new Command("ingress-nginx")
    .description("Say what Ingresses that were written for ingress-nginx will do here. Nothing is changed.")
    .addOption(
      new Option("-f, --filename <path>", "manifests: files, folders or -; may be given again").argParser(collect),
    )
    .option("--kubeconfig <file>", "the cluster that they are on (default: KUBECONFIG, else a cluster of ours)")
    .option("--context <name>", "context of the kubeconfig")
    .option(
      "--config-map <namespace/name>",
      "ingress-nginx's ConfigMap: defaults for what annotations do not say (default: what its controller names)",
    )
    .option("--tcp-services-configmap <namespace/name>", "its ConfigMap of TCP ports (default: the same)")
    .option("--udp-services-configmap <namespace/name>", "that of UDP ports")
    .addOption(
      new Option("--class <name>", "class whose Ingresses are meant (default: those of ingress-nginx)").argParser(
        collect,
      ),
    )
    .option("--access-log <file>", "access log to lead through the new routing; - is standard input, .gz is unpacked")
    .option("--host <host>", "host of its lines, where they say none")
    .addOption(new Option("--to <api>", "print objects that mean the same").choices(["gateway-api"]))
    .option("--gateway <namespace/name>", "the Gateway that they belong to", "default/ingress")
    .option("--gateway-class <name>", "its class", "fairlead")
    .addOption(new Option("-o, --output <format>", "text, json or yaml").default("text").argParser(parseTextFormat))
    .addHelpText(
      "after",
      `
Each annotation is the same, not needed, different, unreadable, or refused: the last makes its Ingress answer 500, so that no guard is missing
in silence. What is surprising in ingress-nginx is kept, and told with the paths that depend on it. An access log in ingress-nginx's own
format names no host: its requests are compared by the backend that they went to.

With --to gateway-api the objects are printed, and the report goes to standard error. They are compared with the Ingresses by requests that
stand for every path, and with the access log.

Exit code: 0 when everything will behave the same, 1 when something differs, above 1 on an error.

Examples:
  fairlead migrate ingress-nginx -f ingresses/
  fairlead migrate ingress-nginx --kubeconfig ~/.kube/config --config-map ingress-nginx/ingress-nginx-controller
  fairlead migrate ingress-nginx -f ingresses/ --access-log access.log
  fairlead migrate ingress-nginx -f ingresses/ --to gateway-api > gateway.yaml`,
    )
    .action(migrateNginx);
  return new Command("migrate").description("Say what a move from another controller changes").addCommand(nginx);
}

async function migrateNginx(flags: Flags): Promise<void> {
  try {
    const report = await migrate(flags);
    if (report.differs) process.exitCode = 1;
  } catch (error) {
    // 1 says that something differs.
    if (error instanceof CliError && error.code !== "FAILED") throw error;
    throw new CliError("BAD_FILE", error instanceof Error ? error.message : String(error), undefined, { cause: error });
  }
}

async function migrate(flags: Flags): Promise<{ differs: boolean }> {
  const target = targetOf(flags);
  const moving = await readMoving(flags);
  if (moving.ingresses.length === 0)
    throw new CliError(
      "BAD_FILE",
      moving.others.length > 0
        ? `none of ${moving.others.length} Ingresses is of ingress-nginx`
        : "there is no Ingress of ingress-nginx",
      "name its class with --class",
    );
  const translation = translate(moving);
  const assessment = assessIngresses({
    ingresses: moving.ingresses,
    options: moving.options,
    problems: translation.problems,
  });
  const streams = streamVerdicts(moving.streams, translation.problems);
  const made =
    flags.to === undefined ? undefined : gatewayObjects(translation.model, target, lookupsOf(moving, translation));
  const model = made ? modelOf(made, moving) : translation.model;
  const replay = flags.accessLog === undefined ? undefined : await replayFile(flags.accessLog, model, flags.host);
  const probes = made && probeModels(translation.model, model);
  const report: MigrationReport = {
    ...assessment,
    controllers: moving.controllers.map(({ object, flags: each }) => ({ object, flags: each })),
    streams,
    others: moving.others,
    warnings: moving.warnings,
    ...(replay ? { replay } : {}),
    ...(made && probes ? { gateway: { notes: made.notes, probes } } : {}),
  };
  for (const warning of moving.warnings) process.stderr.write(`warning: ${warning}\n`);
  const objects = made && [made.gateway, ...made.sets, ...made.routes];
  if (flags.output !== "text")
    process.stdout.write(await render({ ...report, ...(objects ? { objects } : {}) }, flags.output));
  else if (objects) {
    process.stderr.write(migrationText(report));
    process.stdout.write((await Promise.all(objects.map((each) => render(each, "yaml")))).join("---\n"));
  } else process.stdout.write(migrationText(report));
  const judged = [
    ...report.ingresses,
    ...report.options,
    ...streams,
    ...report.controllers.flatMap((each) => each.flags),
  ];
  const differs =
    judged.some(({ verdict }) => verdict !== "same" && verdict !== "unneeded") ||
    (replay?.different ?? 0) > 0 ||
    (probes?.differences.length ?? 0) > 0 ||
    (made?.notes.length ?? 0) > 0;
  return { differs };
}

function targetOf({ gateway, gatewayClass }: Flags): GatewayTarget {
  const [, namespace, name] = /^([a-z0-9-]{1,63})\/([a-z0-9.-]{1,253})$/.exec(gateway) ?? [];
  if (namespace === undefined || name === undefined)
    throw new CliError("USAGE", `--gateway ${JSON.stringify(gateway)} is not NAMESPACE/NAME`);
  return { namespace, name, className: gatewayClass };
}

function translate(moving: Moving): Translation {
  const controller = "fairlead.dev/ingress-nginx";
  const translation = translateIngresses({
    // Which class they have has been decided.
    ingresses: moving.ingresses.map((ingress) => ({
      ...ingress,
      spec: { ...ingress.spec, ingressClassName: ourClass },
    })),
    classes: [
      {
        apiVersion: apiVersionOf(resources.IngressClass),
        kind: "IngressClass",
        metadata: { name: ourClass },
        spec: { controller },
      },
    ],
    service: moving.service,
    slices: () => noSlices,
    secret: moving.secret,
    inspect: () => undefined,
    controllerName: "",
    nginx: {
      controllers: [controller],
      options: moving.options,
      streams: moving.streams,
      configMap: moving.configMap,
    },
    ports: { http: 80, https: 443 },
  });
  // Files seldom have the Services: a cluster will say which are missing.
  const problems = moving.fromFiles
    ? translation.problems.filter(({ reason }) => reason !== "ServiceNotFound")
    : translation.problems;
  return { ...translation, problems };
}

/** What becomes of each line of the ConfigMaps of ports. */
function streamVerdicts(maps: readonly StreamServices[], problems: readonly Problem[]): StreamVerdict[] {
  return maps.flatMap(({ transport, configMap }) =>
    Object.entries(configMap.data ?? {}).map(([port, value]): StreamVerdict => {
      const problem = problems.find(
        ({ object, field }) =>
          object.kind === "ConfigMap" && object.name === configMap.metadata.name && field === `data[${port}]`,
      );
      const line = { name: `${transport} ${port}`, value };
      return problem
        ? { ...line, verdict: "unreadable", why: problem.message, remedy: problem.remedy }
        : { ...line, verdict: "same" };
    }),
  );
}

function lookupsOf(moving: Moving, { model }: Translation) {
  return {
    pool: (key: string) => model.pools.get(key),
    portNumber: (namespace: string, service: string, port: string) =>
      moving.service(`${namespace}/${service}`)?.spec.ports?.find(({ name }) => name === port)?.port,
  };
}

/** What the written objects mean: they are read by the same code that serves them. */
function modelOf({ gateway, sets, routes }: GatewayObjects, moving: Moving): RoutingModel {
  const controllerName = "fairlead.dev/gateway";
  const apiVersion = "gateway.networking.k8s.io/v1";
  const ports = new Map<string, Set<number>>();
  for (const { metadata, spec } of routes)
    for (const rule of spec.rules ?? [])
      for (const { name, namespace = metadata.namespace ?? "", port = 80 } of rule.backendRefs ?? []) {
        const key = `${namespace}/${name}`;
        ports.set(key, (ports.get(key) ?? new Set()).add(port));
      }
  const assumed = (key: string): Service => {
    const [namespace = "", name = ""] = key.split("/");
    const list = [...(ports.get(key) ?? [80])].map((port) => ({ name: `p${port}`, port }));
    return { apiVersion: "v1", kind: "Service", metadata: { namespace, name }, spec: { ports: list } };
  };
  return translateGateways({
    controllerName,
    classes: [
      {
        apiVersion,
        kind: "GatewayClass",
        metadata: { name: gateway.spec.gatewayClassName },
        spec: { controllerName },
      },
    ],
    gateways: [gateway],
    listenerSets: sets,
    httpRoutes: routes,
    grpcRoutes: [],
    tlsRoutes: [],
    tcpRoutes: [],
    udpRoutes: [],
    grants: [],
    policies: [],
    namespaceLabels: (name) => ({ "kubernetes.io/metadata.name": name }),
    service: (key) => moving.service(key) ?? assumed(key),
    slices: () => noSlices,
    secret: moving.secret,
    configMap: () => undefined,
    inspect: () => undefined,
    inspectAuthorities: () => undefined,
    namesOf: () => [],
    protocols: new Set(["HTTP", "HTTPS"]),
    mixedTls: true,
    bindPort: (_gateway, _transport, port) => port,
  }).model;
}

/** Lines of a log after which it is said how far it is read. */
const progressEvery = 1_000_000;

async function replayFile(path: string, model: RoutingModel, host: string | undefined): Promise<ReplayReport> {
  const replay = createReplay(model, host === undefined ? {} : { host });
  try {
    const file: Readable = path === "-" ? process.stdin : createReadStream(path);
    const input = path.endsWith(".gz") ? file.pipe(createGunzip()) : file;
    const failed = new Promise<never>((_, reject) => {
      file.on("error", reject);
      input.on("error", reject);
    });
    const read = async (): Promise<void> => {
      let lines = 0;
      for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
        replay.line(line);
        if (++lines % progressEvery === 0) process.stderr.write(`${lines} lines of the access log are read\n`);
      }
    };
    await Promise.race([read(), failed]);
  } catch (error) {
    const why = systemCodeOf(error) === "ENOENT" ? "does not exist" : `cannot be read: ${String(error)}`;
    throw new CliError("BAD_FILE", `${JSON.stringify(path)} ${why}`, "check --access-log", { cause: error });
  }
  return replay.report();
}
