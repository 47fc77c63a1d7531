import { setMaxListeners } from "node:events";
import { resources, statusError, StatusError, type Resource } from "../kube/index.ts";
import { type Store, StoreError } from "../store/index.ts";
import { createMetrics, type Clock, type Component, type Logger, type Metrics } from "../system/index.ts";
import { createAdmission, keepPolicyStatus } from "./admission/index.ts";
import { createAggregation, type AggregationOptions } from "./aggregation/index.ts";
import {
  createServiceAllocator,
  isAllocated,
  ensureServiceCidrs,
  familiesOf,
  keepServiceCidrs,
  portRecords,
  type PortRange,
} from "./allocation/index.ts";
import { actingUser, actionOf, authorize, createAuthorizer } from "./auth/index.ts";
import type { Authenticator } from "./authentication/index.ts";
import { createAuditor, type AuditPolicy, type AuditRecord, type AuditSink } from "./audit/index.ts";
import { createApiServers } from "./api-servers.ts";
import { bootstrap } from "./bootstrap.ts";
import type { CustomResources } from "./custom/index.ts";
import { createDiscovery, tellOfVersion } from "./discovery/index.ts";
import { createNetworkEgress, createServiceResolver, type Egress } from "./egress/index.ts";
import type { Connector } from "./connect/index.ts";
import { errorText, statusOf, unavailable } from "./failure.ts";
import { createFlowControl, flowControlDump, keepFlowControl } from "./flowcontrol/index.ts";
import { withKnown, type ApiHandler, type ApiRequest, type ApiResponse } from "./handler.ts";
import { healthChecks } from "./health-checks.ts";
import { createIdentity, type AuthenticationOptions } from "./identity.ts";
import { createIntake, createLane, givingWay, requestTime } from "./intake/index.ts";
import { startMaintenance } from "./maintenance.ts";
import { metricsGroup } from "./metrics-api/kinds.ts";
import type { createMetricsApi } from "./metrics-api/metrics-api.ts";
import { keepOwnService, type Advertised } from "./own-service.ts";
import { createRegistry } from "./registry/index.ts";
import { createRequestLog } from "./request-log.ts";
import { createRequestFigures } from "./request-figures.ts";
import { bodyLimit, bodyTooLarge } from "./request/body.ts";
import { prefersProtobuf } from "./request/negotiate.ts";
import { isPassedOn, requestInfo, type RequestInfo, type ResourceInfo } from "./request/request-info.ts";
import { errorResponse, pageNotFound, textResponse } from "./request/respond.ts";
import {
  anonymous,
  createCatalog,
  createProtobufForms,
  createResources,
  type KubeletClient,
} from "./resources/index.ts";
import { watchStore } from "./store-health.ts";
import { tellOfStorage, timed } from "./storage-figures.ts";
import { startStorage } from "./storage/index.ts";
import { createIssuerDiscovery } from "./tokens/index.ts";

export interface ApiServerOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** Ends everything. */
  readonly signal: AbortSignal;
  /** Blocks that cluster addresses of Services come from, the primary family's first: ["10.96.0.0/16"], or with "fd00:10:96::/112" after it. */
  readonly serviceCidrs: readonly string[];
  /** Default 30000 to 32767. */
  readonly nodePortRange?: PortRange;
  /** Where clients in the cluster reach this server: behind the Service `kubernetes`. */
  readonly advertise: Advertised;
  /** Loopback addresses may be endpoints: a cluster without root lives on 127/8. */
  readonly allowLoopback?: boolean;
  /** How clients say who they are, beside certificates. Absent: no bearer tokens. */
  readonly authentication?: AuthenticationOptions;
  /** Fetches logs from nodes. */
  readonly kubelet: KubeletClient;
  /** By what aggregated servers know this one and its clients. Absent: it has nothing to show them. */
  readonly aggregation?: AggregationOptions;
  /** The cluster gets the definitions of the Gateway API, if it has none of its own. Default false. */
  readonly gatewayApi?: boolean;
  /** How webhooks and aggregated servers are reached. Absent: over the network. */
  readonly egress?: Egress;
  /** What `/metrics` shows, with the figures of this server among it. Absent: those alone. */
  readonly metrics?: Metrics;
  /** How much is logged, as kube-apiserver's `--v`: 0 (default) slow requests, 3 every request. */
  readonly verbosity?: number;
  /** Records who did what. Absent: nobody does. */
  readonly audit?: { readonly policy: AuditPolicy; readonly sink: AuditSink };
  /** Priority and fairness of requests over the network, by FlowSchemas. Absent: none, nor the objects that every cluster has. */
  readonly flowControl?: FlowControlSettings;
  /** Admission policies and ServiceCIDRs are kept, as kube-controller-manager does. Default true. */
  readonly keepers?: boolean;
}

export interface FlowControlSettings {
  /** Requests that are worked on at once. Default 600. */
  readonly seats?: number;
}

/** The store cannot be read: `ready` has told of it. */
const isDamaged = (error: unknown): boolean => error instanceof StoreError && error.code === "CORRUPT";

/**
 * The API over a store. `ready` settles when it answers and all that every cluster has is there; it rejects with StoreError CORRUPT when
 * what is stored is damaged, and then nothing was written.
 */
export interface ApiServer extends Component {
  readonly handler: ApiHandler;
  /** The same for controllers in this process: their writes give way to requests over the network while these keep it busy. */
  readonly inBackground: ApiHandler;
  /** Says who a client is: for those who bring requests from outside. */
  readonly authenticator: Authenticator;
  /** From now on `/readyz` fails: no further clients are wanted. */
  leave(): void;
  /**
   * Turns new requests over the network away, waits for those under way, then ends watches in a regular way. Settles when that is done, at
   * the latest after `patience` milliseconds (default 60,000) and a few seconds for watches.
   */
  drain(patience?: number): Promise<void>;
}

/** Paths whose answers tell of all kinds. */
const namesKinds = /^\/(api|apis|openapi)(\/|$)/;

/** Milliseconds that a request waits for the store to be read. */
const patience = 10_000;

export function createApiServer(options: ApiServerOptions): ApiServer {
  const { clock, log, signal, serviceCidrs, allowLoopback = false, kubelet, metrics = createMetrics() } = options;
  // One signal stops many parts: that is no leak.
  setMaxListeners(0, signal);
  const { store, problem: storeProblem } = watchStore(timed(options.store, metrics));
  const nodePortRange = options.nodePortRange ?? { first: 30_000, last: 32_767 };
  const kinds: Resource[] = [...Object.values<Resource>(resources), portRecords];
  const storage = startStorage({ store, kinds, signal, clock, log });
  const catalog = createCatalog();
  tellOfStorage(metrics, storage, store, catalog);
  tellOfVersion(metrics);
  const figures = createRequestFigures(metrics, catalog);
  const authorizer = createAuthorizer(storage);
  const { authenticator, issuer } = createIdentity(options, storage);
  const egress = options.egress ?? createNetworkEgress({ resolve: createServiceResolver(storage), signal });
  const admission = createAdmission({ storage, catalog, authorizer, egress, metrics, log, now: () => clock.now() });
  const registry = createRegistry({
    storage,
    admission,
    allocates: isAllocated,
    allocate: createServiceAllocator({ storage, serviceCidrs, nodePortRange, now: () => clock.now() }),
    allowLoopback,
    serviceFamilies: familiesOf(serviceCidrs),
    now: () => clock.now(),
  });
  let connector: Promise<Connector> | undefined;
  /** Read when the first one asks. */
  const connect: Connector = async (request, info, served) => {
    connector ??= import("./connect/index.ts").then(({ createConnector }) =>
      createConnector({ registry, storage, kubelet, authorizer, admission, allowLoopback }),
    );
    return (await connector)(request, info, served);
  };
  let metricsApi: Promise<ReturnType<typeof createMetricsApi>> | undefined;
  /** Read when the first one asks. */
  const answerMetrics = async (request: ApiRequest, info: ResourceInfo): Promise<ApiResponse> => {
    metricsApi ??= import("./metrics-api/metrics-api.ts").then((api) =>
      api.createMetricsApi({ storage, kubelet, clock }),
    );
    return (await metricsApi)(request, info);
  };
  let custom: CustomResources | undefined;
  let defined = false;
  let lost = false;
  /** Kinds that are defined in the store; read off the way of the start. */
  const customKinds = (async () => {
    await storage.ready;
    const { startCustomResources } = await import("./custom/index.ts");
    custom = startCustomResources({ catalog, storage, registry, egress, clock, log, signal });
    await custom.ready;
    defined = true;
  })().catch((error: unknown) => {
    lost = true;
    if (!signal.aborted && !isDamaged(error)) log.error({ error: errorText(error) }, "custom resources are not served");
  });
  const protobuf = createProtobufForms();
  const answerResource = createResources({
    settled: () => (defined ? undefined : customKinds),
    connect,
    catalog,
    store,
    storage,
    registry,
    clock,
    authorizer,
    authenticator,
    issuer,
    kubelet,
    protobuf,
    storeProblem,
  });

  let isReady = (): void => {};
  const bootstrapped = new Promise<void>((resolve) => {
    isReady = resolve;
  });
  // A server that ends before it has begun keeps nobody waiting.
  signal.addEventListener("abort", () => isReady(), { once: true });
  const aggregation = createAggregation({
    ...options.aggregation,
    metrics,
    storage,
    registry,
    catalog,
    egress,
    clock,
    log,
    signal,
    after: bootstrapped,
  });
  const keptFlows =
    options.flowControl && keepFlowControl({ storage, registry, clock, log, signal, after: bootstrapped });
  const flowControl =
    keptFlows && createFlowControl({ storage, metrics, ...options.flowControl, ensured: () => keptFlows.written() });
  const intake = createIntake({
    metrics,
    terminated: (info, code) => figures.terminated(info, code),
    ...(flowControl ? { flowControl } : {}),
    sizeOf(info) {
      const served = info.type === "resource" ? catalog.find(info.group, info.version, info.resource) : undefined;
      return served ? storage.of(served.stored).size : 0;
    },
  });
  const answerPath = createDiscovery(catalog, aggregation.groups, options.advertise);
  const answerIssuer = createIssuerDiscovery(issuer, () => options.advertise);

  let started = false;
  let leaving = false;
  const checks = healthChecks({
    following: () => storage.following,
    loaded: () => storage.revision > 0,
    started: () => started,
    customKinds: () => (lost ? "custom resources are not served" : undefined),
    store: storeProblem,
    leaving: () => leaving,
  });

  /** Requests that come early wait for the first state, but not for ever. */
  const isLoaded = (): Promise<boolean> | true => storage.revision > 0 || storage.reached(1, patience);

  const tell = createRequestLog(log, options.verbosity ?? 0);
  const auditor = options.audit && createAuditor({ ...options.audit, metrics, now: () => clock.now() });

  const answer = async (
    request: ApiRequest,
    info: RequestInfo,
    record: AuditRecord | undefined,
    waited: (milliseconds: number) => void,
  ): Promise<ApiResponse> => {
    const loaded = isLoaded();
    if (loaded !== true && !(await loaded)) throw unavailable("the store could not be read yet");
    // The same for a right to act as somebody else.
    if (request.impersonation) await storage.caughtUp();
    const user = actingUser(request.impersonation, request.user ?? anonymous, authorizer);
    if (record && request.impersonation) record.actsFor(user);
    const waiting = intake.enter(request, info, user);
    if (waiting) {
      const since = performance.now();
      await waiting.finally(() => waited(performance.now() - since));
    }
    // A role given a moment ago holds for the next request: a refusal waits for what was written before it.
    const isAllowed = authorizer.allows(user, actionOf(info));
    if (!isAllowed) await storage.caughtUp();
    if (record) {
      const { allowed, reason } = authorizer.decide(user, actionOf(info));
      record.annotate("authorization.k8s.io/decision", allowed ? "allow" : "forbid");
      record.annotate("authorization.k8s.io/reason", reason);
    }
    try {
      if (!isAllowed) authorize(authorizer, user, info);
    } catch (error) {
      figures.decided(false);
      throw error;
    }
    figures.decided(true);
    const aggregated = aggregation.find(info.path);
    if (aggregated) return aggregated(request, user);
    if (info.type === "resource" && info.group === metricsGroup) return answerMetrics(request, info);
    if (info.type === "resource") {
      // A body is read for those alone who may send one.
      const read = request.origin?.readBody;
      const whole = withKnown(request, {
        user,
        ...(read ? { body: await read() } : {}),
        ...(record ? { annotate: record.annotate } : {}),
        waited,
      });
      if (whole.body instanceof Uint8Array && whole.body.length > bodyLimit) throw bodyTooLarge();
      record?.asked(whole);
      return answerResource(whole, info);
    }
    if (request.method !== "GET" && request.method !== "HEAD")
      throw statusError("MethodNotAllowed", "the server does not allow this method on the requested resource", {});
    const dump = flowControl && flowControlDump(request.path, request.query, () => flowControl.levels());
    if (dump !== undefined) return textResponse(200, dump);
    if (!defined && namesKinds.test(request.path)) await customKinds;
    return (await answerPath(request, checks, metrics)) ?? (await answerIssuer(info.path)) ?? pageNotFound();
  };

  const handler: ApiHandler = {
    passesOn: (request) => isPassedOn(request) || aggregation.find(request.path) !== undefined,
    async handle(request) {
      const begun = performance.now();
      const info = requestInfo(request);
      const record = auditor?.begin(request, info, request.user ?? anonymous);
      let broken = false;
      let idle = 0;
      const waited = (milliseconds: number): void => void (idle += milliseconds);
      const response = await intake
        .answer(request, info, () => answer(request, info, record, waited))
        .catch((error: unknown) => {
          const status = statusOf(error, request, log);
          broken = status.reason === "InternalError" && !(error instanceof StatusError);
          return errorResponse(status);
        });
      record?.answered(response, broken);
      const took = performance.now() - begun;
      tell(request, info, response, took);
      const encoded =
        response.type === "object" && response.whole && prefersProtobuf(request.headers["accept"])
          ? await protobuf.answer(response)
          : response;
      return figures.answered(request, info, took / 1000, idle / 1000, encoded);
    },
    refused(request, error) {
      const info = requestInfo(request);
      figures.refused(info, error.code);
      // Who it was is not known.
      auditor?.begin(request, info, { name: "", groups: [] })?.answered(errorResponse(error), false);
    },
  };

  const apiServers = createApiServers(store, options.advertise);
  const ownService = { registry, storage, serviceCidrs, apiServers };
  const ready = (async () => {
    await storage.ready;
    await bootstrap(ownService);
    await ensureServiceCidrs({ registry, storage, serviceCidrs, clock });
    started = true;
    isReady();
  })();
  const installed = (async () => {
    if (!options.gatewayApi) return;
    await Promise.all([ready, customKinds]);
    const { gatewayApi, installDefaults } = await import("./custom/index.ts");
    await installDefaults({ storage, registry, signal }, await gatewayApi());
  })().catch((error: unknown) => {
    if (!signal.aborted && !isDamaged(error))
      log.error({ error: errorText(error) }, "the Gateway API could not be installed");
  });
  const maintenance = startMaintenance({ store, storage, registry, clock, log, signal, after: ready });
  const kept = keepOwnService({ ...ownService, clock, log, signal, after: ready });
  const keepers =
    options.keepers === false
      ? []
      : [
          keepPolicyStatus({ storage, registry, catalog, clock, log, signal, after: ready }),
          keepServiceCidrs({ registry, storage, serviceCidrs, clock, log, signal, after: ready }),
        ];
  return {
    name: "apiserver",
    handler,
    inBackground: givingWay(handler, createLane({ underWay: () => intake.underWay })),
    authenticator,
    leave() {
      leaving = true;
    },
    async drain(patience = requestTime) {
      leaving = true;
      await intake.drain(patience);
    },
    ready,
    stopped: Promise.all([
      storage.stopped.then(() => custom?.stopped),
      installed,
      maintenance.stopped,
      kept.stopped,
      ...keepers.map(({ stopped }) => stopped),
      aggregation.stopped,
      keptFlows?.stopped,
    ]).then(() => {}),
  };
}
