import { createEventRecorder } from "../../client/index.ts";
import type { Dns } from "../../dns/index.ts";
import { beforePort, resources } from "../../kube/index.ts";
import type { Acme, ControlledPart, ControlledPlane, GatewayController, Ingress } from "../../dataplane/index.ts";
import type { Proxy } from "../../proxy/index.ts";
import type { Component } from "../../system/index.ts";
import { dataPlaneDirectory, type Observation, openAccessLog } from "../data-plane.ts";
import { ingressSocket } from "../control-socket.ts";
import type { ClusterState } from "../state.ts";
import { supervise } from "../supervise.ts";
import { type OpenTracing, openTracing, receiverAuthorities } from "../tracing.ts";
import { tracingSettings } from "../tracing-settings.ts";
import type { PartContext } from "./cluster.ts";
import { clusterDomain } from "./node.ts";

/** Port that the cluster's DNS listens on behind its Service, where it is free. */
const dnsPort = 10_053;

/** The parts that lead traffic in: load-balancer addresses, Ingress, DNS. */
export interface Exposure {
  readonly parts: readonly Component[];
  /** To be told of each proxy that is started on the first node: it knows where a Service really answers. */
  readonly onProxy: (proxy: Proxy) => void;
  /** Where DNS, Ingress and Services really answer, once all is ready. */
  addresses(): Pick<ClusterState, "dns" | "ingress" | "frontends">;
  summary(): readonly string[];
}

export function startExposure(context: PartContext): Exposure {
  const { directory, settings, capabilities, plan, pools, controlPlane, informers, metrics, clock, log, commands } =
    context;
  let proxy: Proxy | undefined;
  let ingress: Ingress | undefined;
  let gateway: GatewayController | undefined;
  let certificates: Acme | undefined;
  const nodeAddresses = plan.addressesOf(1);
  const [address = ""] = nodeAddresses;
  // In user space a cluster IP's port is a socket too, which one of all addresses would be in the way of.
  const listenOn =
    capabilities.proxyMode === "userspace"
      ? nodeAddresses
      : plan.families.map((family) => (family === "IPv4" ? "0.0.0.0" : "::"));
  const ports = { http: settings.httpPort, https: settings.httpsPort };
  const clientOf = (part: string) =>
    controlPlane.clientOf({ name: `system:fairlead:${part}`, groups: ["system:masters", "system:authenticated"] });

  const accessLog = openAccessLog(settings);
  const spans = tracingSettings(settings, process.env);
  const receiverCa = spans && receiverAuthorities(spans);
  let traces: Promise<OpenTracing> | undefined;
  /** What data planes tell of requests. */
  async function observation(): Promise<Observation> {
    if (!spans) return accessLog;
    traces ??= openTracing(spans, receiverCa, { metrics, clock, log: log.child({ component: "tracing" }) });
    return { ...accessLog, tracing: (await traces).tracing };
  }

  const loadBalancer = supervise(
    "loadbalancer",
    async (signal) => {
      const { createNeighbourProbe, startLoadBalancer } = await import("../../loadbalancer/index.ts");
      const client = clientOf("loadbalancer");
      return startLoadBalancer({
        client,
        informers,
        pools,
        // On loopback every address of a pool is the machine's own.
        ...(capabilities.network === "namespaces" ? { probe: createNeighbourProbe(commands, clock) } : {}),
        metrics,
        signal,
        clock,
        log: log.child({ component: "loadbalancer" }),
      });
    },
    context,
  );

  const controlled = new Map<ControlledPart, ControlledPlane>();
  let serveControl: Promise<void> | undefined;
  async function startControl(): Promise<void> {
    const { serveDataPlaneControl } = await import("../../dataplane/index.ts");
    serveDataPlaneControl({
      path: ingressSocket(directory),
      planes: () => [...controlled.values()],
      signal: context.signal,
      clock,
      log: log.child({ component: "ingress" }),
    });
  }

  const ingressPart = supervise(
    "ingress",
    async (signal) => {
      const { nginxControllerName, startIngress, startSwitchable } = await import("../../dataplane/index.ts");
      const client = clientOf("ingress");
      const own = log.child({ component: "ingress" });
      // As it was switched to, when this part starts again.
      const dataplane = startSwitchable(controlled.get("ingress")?.plane.serving ?? settings.dataplane, {
        signal,
        clock,
        log: own,
        metrics,
        address: listenOn,
        directory: dataPlaneDirectory(directory.root, "ingress"),
        ...(await observation()),
      });
      await dataplane.ready;
      const events = createEventRecorder(client, { component: "fairlead-ingress", log: own, clock, signal });
      ingress = startIngress({
        client,
        informers,
        dataplane,
        metrics,
        ports,
        signal,
        clock,
        events,
        addresses: () => nodeAddresses,
        onServed: () => certificates?.refresh(),
        nginx: {
          controllers: [nginxControllerName],
          options: () => ({}),
          configMaps: informers.of(resources.ConfigMap),
        },
        log: own,
      });
      const serves = ingress;
      dataplane.onSwitched(() => serves.translateAgain());
      controlled.set("ingress", { part: "ingress", plane: dataplane, unserved: () => serves.unserved() });
      serveControl ??= startControl();
      return ingress;
    },
    context,
  );

  const gatewayPart = supervise(
    "gateway",
    async (signal) => {
      const { startGateway, startSwitchable } = await import("../../dataplane/index.ts");
      const client = clientOf("gateway");
      const own = log.child({ component: "gateway" });
      const dataplane = startSwitchable(controlled.get("gateway")?.plane.serving ?? settings.dataplane, {
        signal,
        clock,
        log: own,
        metrics,
        address: listenOn,
        directory: dataPlaneDirectory(directory.root, "gateway"),
        ...(await observation()),
      });
      await dataplane.ready;
      const events = createEventRecorder(client, { component: "fairlead-gateway", log: own, clock, signal });
      const serves = startGateway({
        client,
        informers,
        dataplane,
        metrics,
        signal,
        clock,
        events,
        addresses: () => nodeAddresses,
        onServed: () => certificates?.refresh(),
        log: own,
      });
      gateway = serves;
      dataplane.onSwitched(() => serves.translateAgain());
      controlled.set("gateway", { part: "gateway", plane: dataplane, unserved: () => serves.unserved() });
      return serves;
    },
    context,
  );

  const { acme } = context;
  const acmePart =
    acme &&
    supervise(
      "acme",
      async (signal) => {
        const { startAcme } = await import("../../dataplane/index.ts");
        const client = clientOf("acme");
        const own = log.child({ component: "acme" });
        certificates = await startAcme({
          ...acme,
          client,
          informers,
          current: () => ingress?.current(),
          gateways: () => gateway?.current(),
          address: () => address,
          signal,
          clock,
          log: own,
          events: createEventRecorder(client, { component: "fairlead-acme", log: own, clock, signal }),
        });
        certificates.refresh();
        return certificates;
      },
      context,
    );

  const dns = supervise(
    "dns",
    async (signal) => {
      const { ListenError, startDns, writeDnsService } = await import("../../dns/index.ts");
      const client = clientOf("dns");
      const own = log.child({ component: "dns" });
      const start = async (port: number) => {
        const started = startDns({
          informers,
          clusterDomain,
          metrics,
          signal,
          clock,
          log: own,
          listen: nodeAddresses.map((each) => ({ address: each, port })),
          ownAddresses: plan.dns,
        });
        return { started, endpoints: await started.listening };
      };
      const { started, endpoints } = await start(dnsPort).catch((error: unknown) => {
        // Taken by someone else: pods only ever see the Service, so any port will do.
        if (error instanceof ListenError) return start(0);
        throw error;
      });
      const written = writeDnsService({ client, clusterIPs: plan.dns, endpoints, signal, clock, log: own });
      const part: Component = {
        name: "dns",
        ready: Promise.all([started.ready, written]).then(() => {}),
        stopped: (started satisfies Dns).stopped,
      };
      return part;
    },
    context,
  );

  // Spans of the last requests come when no data plane serves any more.
  const tracing: Component = {
    name: "tracing",
    ready: Promise.resolve(),
    stopped: Promise.allSettled([ingressPart.stopped, gatewayPart.stopped]).then(async () => (await traces)?.close()),
  };

  const addresses = (): Pick<ClusterState, "dns" | "ingress" | "frontends"> => {
    const bound = new Map(ingress?.listeners().map(({ name, port }) => [name, port]));
    const moved = proxy?.frontends("kube-system/kube-dns").find(({ protocol }) => protocol === "UDP");
    return {
      dns: { address: plan.dns[0] ?? "", port: moved?.actualPort ?? 53 },
      ingress: { address, httpPort: bound.get("http") ?? ports.http, httpsPort: bound.get("https") ?? ports.https },
      frontends: proxy?.frontends() ?? [],
    };
  };

  return {
    parts: [loadBalancer, ingressPart, gatewayPart, ...(acmePart ? [acmePart] : []), dns, tracing],
    onProxy: (started) => void (proxy = started),
    addresses,
    summary() {
      const found = addresses();
      return [
        ...nodeAddresses
          .map(beforePort)
          .map(
            (host, i) =>
              `${i === 0 ? "Ingress" : "       "}        http://${host}:${found.ingress.httpPort}  https://${host}:${found.ingress.httpsPort}`,
          ),
        `LoadBalancers  ${pools.join(", ")}`,
        `DNS            ${beforePort(found.dns.address)}:${found.dns.port} (${clusterDomain})`,
      ];
    },
  };
}
