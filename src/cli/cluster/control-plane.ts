import { hostname } from "node:os";
import type { AccountKeys, KeyPair, LegacyDraft, Pki, UserInfo } from "../../apiserver/index.ts";
import { type Client, createLocalClient } from "../../client/index.ts";
import { beforePort } from "../../kube/index.ts";
import { type Clock, freePort, type Logger, type Metrics } from "../../system/index.ts";
import type { ClusterDirectory } from "../directory.ts";
import { CliError, type ExitName } from "../errors.ts";
import { expectData, openingError, openStore, type StoreSettings } from "../open-store.ts";
import type { OidcSettings } from "./oidc-flags.ts";
import type { Settings } from "../settings.ts";
import type { AddressPlan } from "./addresses.ts";
import { type AuditSettings, openAudit } from "./audit.ts";
import { openEncryption } from "./encryption.ts";
import { audiences, tokenIssuers } from "./token-issuers.ts";

export interface ControlPlaneOptions {
  readonly directory: ClusterDirectory;
  readonly settings: StoreSettings &
    AuditSettings &
    Pick<
      Settings,
      | "apiPort"
      | "nodes"
      | "encryptionProviderConfig"
      | "authenticationConfig"
      | "tokenAuthFile"
      | "oidcCaFile"
      | keyof OidcSettings
      | "shutdownDelayDuration"
      | "v"
    >;
  readonly plan: AddressPlan;
  readonly network: "namespaces" | "loopback";
  /** What the server's own certificate is kept as. Default `apiserver`. */
  readonly certificate?: string;
  readonly metrics: Metrics;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Who writes, in `managedFields`: `system:kube-scheduler` is `kube-scheduler`. */
const managerOf = ({ name }: UserInfo): string => name.replace(/^.*:/, "");

/** A store and the API over it, answering over HTTPS and in process. */
export interface ControlPlane {
  /** `https://127.0.0.1:6443` or `https://[::1]:6443`, as in the kubeconfig. */
  readonly server: string;
  readonly pki: Pki;
  /** Other API servers use the same store: what one process alone may do needs an election. */
  readonly shared: boolean;
  /** Makes the token that a Secret holds for an account. */
  signToken(draft: LegacyDraft): Promise<string>;
  /** A client in process that is this user. */
  clientOf(user: UserInfo): Client;
  /** The same, whose writes give way to requests over the network while these keep the process busy. */
  backgroundClientOf(user: UserInfo): Client;
  /**
   * Ends the API for its clients, before the signal ends it for good: `/readyz` fails; after the delay of the settings no connection is taken
   * any more, requests under way end, then watches do. Settles when nothing is under way, at the latest after a minute and that delay.
   */
  drain(): Promise<void>;
  /** Settles when the store is closed. */
  readonly stopped: Promise<void>;
}

const admin: UserInfo = { name: "kubernetes-admin", groups: ["system:masters", "system:authenticated"] };

/** Opens the store, serves the API and writes the kubeconfig. Settles when the API answers. Throws CliError. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { directory, settings, plan, network, metrics, signal, clock, log } = options;
  const api = await import("../../apiserver/index.ts");
  expectData(settings, directory);
  // The store is open and the certificates are there at the same time: neither needs the other.
  const [encryption, pki] = await Promise.all([
    openStore(settings, directory).then((raw) => openEncryption({ raw, settings, directory, signal, clock, log })),
    openPki(directory, clock),
  ]);
  const { store } = encryption;
  const audit = await openAudit(settings, { directory, clock, log }).catch(async (error: unknown) => {
    await store.close();
    throw error;
  });
  const address = plan.node(1);
  // Who has no IPv4 address elsewhere need not have one on loopback.
  const loopback = plan.families[0] === "IPv6" ? "::1" : "127.0.0.1";
  const hosts = [
    "localhost",
    hostname(),
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "127.0.0.1",
    loopback,
    plan.apiService,
    ...plan.addressesOf(1),
  ];
  const [frontProxy, serving, kubeletClient, user] = await Promise.all([
    pki.frontProxy(),
    pki.server(options.certificate ?? "apiserver", { name: "kube-apiserver", hosts: [...new Set(hosts)] }),
    pki.client("apiserver-kubelet-client", { user: "kube-apiserver-kubelet-client", groups: [] }),
    pki.client("admin", { user: admin.name, groups: ["system:masters"] }),
    // For who scrapes `/metrics`: it can do nothing else.
    pki.client("monitoring", { user: "fairlead-monitoring", groups: ["system:monitoring"] }),
  ]);
  let keys: Promise<AccountKeys> | undefined;
  const accountKeys = (): Promise<AccountKeys> =>
    (keys ??= pki.accountKeys().then(({ signingKey, publicKeys }) => api.accountKeys(signingKey, publicKeys)));
  // The API ends before the store does: no request may meet a closed one.
  const everywhere = plan.families.includes("IPv6") ? "::" : "0.0.0.0";
  const host = network === "loopback" ? loopback : everywhere;
  const port = settings.apiPort || (await freePort());
  const apiserver = api.createApiServer({
    store,
    clock,
    log,
    signal,
    serviceCidrs: plan.serviceCIDRs,
    advertise: {
      address,
      port,
    },
    metrics,
    gatewayApi: true,
    flowControl: {},
    verbosity: settings.v,
    ...audit.options,
    authentication: { accountKeys, issuers: audiences, tokens: await tokenIssuers(settings, () => clock.now()) },
    allowLoopback: network === "loopback",
    aggregation: {
      clientCa: pki.ca,
      frontProxyCa: frontProxy.ca,
      client: () => frontProxy.client("front-proxy-client", { user: api.frontProxyName, groups: [] }),
    },
    kubelet: api.createKubeletClient({
      ca: pki.ca,
      ...kubeletClient,
    }),
  });
  const served = await api
    .serveHttps(apiserver.handler, {
      host,
      port,
      ...serving,
      clientCa: pki.ca,
      frontProxyCa: frontProxy.ca,
      authenticator: apiserver.authenticator,
      metrics,
      signal,
      log,
    })
    .catch(async (error: unknown) => {
      await store.close();
      if (!(error instanceof api.ServeError)) throw error;
      const code: ExitName = error.code === "PORT_IN_USE" ? "PORT_IN_USE" : "NOT_PERMITTED";
      throw new CliError(code, error.message.replace(/; choose.*/, ""), "choose another with --api-port", {
        cause: error,
      });
    });
  await apiserver.ready.catch((error: unknown) => {
    throw openingError(settings, directory, error);
  });
  const rewriting = encryption.keep();
  const server = `https://${beforePort(loopback)}:${served.port}`;
  await writeAdmin(directory, server, pki.ca, user);
  return {
    server,
    pki,
    shared: store.shared,
    signToken: async (draft) => api.signLegacyToken((await accountKeys()).signing, draft),
    clientOf: (as) => createLocalClient(apiserver.handler, as, { fieldManager: managerOf(as), metrics }),
    backgroundClientOf: (as) => createLocalClient(apiserver.inBackground, as, { fieldManager: managerOf(as), metrics }),
    async drain() {
      apiserver.leave();
      if (settings.shutdownDelayDuration > 0) await clock.sleep(settings.shutdownDelayDuration, signal).catch(() => {});
      served.drain();
      await apiserver.drain();
    },
    stopped: Promise.all([apiserver.stopped, served.stopped, rewriting])
      .then(() => audit.close())
      .then(() => store.close()),
  };

  async function writeAdmin(where: ClusterDirectory, url: string, ca: string, client: KeyPair): Promise<void> {
    await api.writeKubeconfig(where.kubeconfig, { cluster: "fairlead", server: url, ca, user: admin.name, client });
  }

  async function openPki(where: ClusterDirectory, time: Clock): Promise<Pki> {
    return api.openPki(where.pki, time).catch((error: unknown) => {
      if (!(error instanceof api.PkiError)) throw error;
      throw new CliError("CORRUPT", error.message, undefined, { cause: error });
    });
  }
}
