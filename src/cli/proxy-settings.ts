import { isIP } from "node:net";
import { defaultControlSocket } from "./control-socket.ts";
import { CliError } from "./errors.ts";
import type { ProxyMode } from "./settings.ts";

/** How `fairlead proxy` runs: flags, or a configuration file with the same names in camel case. */
export interface ProxySettings {
  readonly kubeconfig: string;
  readonly context: string;
  /** URL of the API, over what the kubeconfig says. */
  readonly master: string;
  /** Files and folders of Services and EndpointSlices, in place of a cluster. */
  readonly file: readonly string[];
  /** Name of the node. Empty: `NODE_NAME`, else the host's name in small letters. */
  readonly hostnameOverride: string;
  readonly proxyMode: ProxyMode | "auto";
  /** Where pods have their addresses. Empty: as `detectLocalMode` says. */
  readonly clusterCidr: readonly string[];
  readonly detectLocalMode: DetectLocalMode;
  /** Of BridgeInterface and InterfaceNamePrefix. */
  readonly podBridgeInterface: string;
  readonly podInterfaceNamePrefix: string;
  /** Where Services have their addresses. Empty: the cluster's ServiceCIDR objects say it. */
  readonly serviceCidr: readonly string[];
  /** CIDRs of node addresses, or `primary`. */
  readonly nodeportAddresses: readonly string[];
  readonly masqueradeAll: boolean;
  /** `address:port`. Empty: not served. */
  readonly healthzBindAddress: string;
  readonly metricsBindAddress: string;
  /** Unix socket of `fairlead proxy switch`. Empty: none. */
  readonly controlSocket: string;
  readonly v: number;
}

/** How pods of this node are told from other clients. */
type DetectLocalMode = (typeof detectLocalModes)[number];
const detectLocalModes = ["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"] as const;

/** Every default of `fairlead proxy`. */
export const defaultProxySettings: ProxySettings = {
  kubeconfig: "",
  context: "",
  master: "",
  file: [],
  hostnameOverride: "",
  proxyMode: "auto",
  clusterCidr: [],
  detectLocalMode: "ClusterCIDR",
  podBridgeInterface: "",
  podInterfaceNamePrefix: "",
  serviceCidr: [],
  nodeportAddresses: ["primary"],
  masqueradeAll: false,
  healthzBindAddress: "0.0.0.0:10256",
  metricsBindAddress: "127.0.0.1:10249",
  controlSocket: defaultControlSocket("proxy"),
  v: 0,
};

const wrong = (field: string, value: unknown, remedy: string): CliError =>
  new CliError("USAGE", `${field} ${JSON.stringify(value)} is not usable`, remedy);

const anyText = (field: string) => (value: unknown) => {
  if (typeof value !== "string") throw wrong(field, value, "give a text");
  return value;
};

/** A list, each entry of which may hold several with commas between. */
const words = (field: string, value: unknown): string[] =>
  (Array.isArray(value) ? value : [value]).flatMap((one) => {
    if (typeof one !== "string") throw wrong(field, value, "give texts");
    return one
      .split(",")
      .map((word) => word.trim())
      .filter(Boolean);
  });

function isCidr(text: string): boolean {
  const [address = "", prefix = "", ...rest] = text.split("/");
  const family = isIP(address);
  return family !== 0 && rest.length === 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}

const cidrs = (field: string) => (value: unknown) =>
  words(field, value).map((text) => {
    if (isCidr(text)) return text;
    throw wrong(field, text, "give CIDRs such as 10.244.0.0/16, with commas between");
  });

const bindAddress = (field: string, defaultPort: number) => (value: unknown) => {
  if (value === "") return "";
  const text = String(value);
  const where = parseBindAddress(text) ?? (isIP(text) === 0 ? undefined : { address: text, port: defaultPort });
  if (!where) throw wrong(field, value, `give ADDRESS:PORT such as 0.0.0.0:${defaultPort}, or an empty text for none`);
  return isIP(where.address) === 6 ? `[${where.address}]:${where.port}` : `${where.address}:${where.port}`;
};

/** `192.0.2.1:80`, `[2001:db8::1]:80` or `:80`; undefined for anything else. */
export function parseBindAddress(text: string): { address: string; port: number } | undefined {
  const [, six, four, digits] = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  const address = six ?? (four || "0.0.0.0");
  const port = Number(digits ?? Number.NaN);
  if (isIP(address) !== (six === undefined ? 4 : 6) || !(port > 0 && port < 65_536)) return undefined;
  return { address, port };
}

const interfaceName = (field: string) => (value: unknown) => {
  if (typeof value === "string" && (value === "" || /^[A-Za-z0-9_.-]{1,15}$/.test(value))) return value;
  throw wrong(field, value, "give the name of a network interface, such as cni0");
};

type Readers = { readonly [K in keyof ProxySettings]: (value: unknown) => ProxySettings[K] };

const readers: Readers = {
  kubeconfig: anyText("--kubeconfig"),
  context: anyText("--context"),
  master: anyText("--master"),
  file: (value) => (Array.isArray(value) ? value : [value]).map(anyText("--file")).filter(Boolean),
  hostnameOverride(value) {
    const name = anyText("--hostname-override")(value).trim().toLowerCase();
    if (name === "" || (name.length <= 253 && /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/.test(name))) return name;
    throw wrong("--hostname-override", value, "give the name of a Node: small letters, digits, - and .");
  },
  proxyMode(value) {
    if (value === "" || value === "auto") return "auto";
    if (value === "nftables" || value === "iptables" || value === "userspace") return value;
    const ipvs = "ipvs is not served: use nftables, which is as quick; or auto, iptables or userspace";
    throw wrong("--proxy-mode", value, value === "ipvs" ? ipvs : "use auto, nftables, iptables or userspace");
  },
  clusterCidr: cidrs("--cluster-cidr"),
  detectLocalMode(value) {
    if (value === "") return "ClusterCIDR";
    const mode = detectLocalModes.find((one) => one === value);
    if (mode) return mode;
    throw wrong("--detect-local-mode", value, `use ${detectLocalModes.join(", ")}`);
  },
  podBridgeInterface: interfaceName("--pod-bridge-interface"),
  podInterfaceNamePrefix: interfaceName("--pod-interface-name-prefix"),
  serviceCidr: cidrs("--service-cidr"),
  nodeportAddresses(value) {
    const list = words("--nodeport-addresses", value);
    for (const text of list)
      if (text !== "primary" && !isCidr(text))
        throw wrong("--nodeport-addresses", text, "give primary, or CIDRs such as 192.168.0.0/16, with commas between");
    return list.length > 0 ? list : defaultProxySettings.nodeportAddresses;
  },
  masqueradeAll(value) {
    if (typeof value === "boolean") return value;
    throw wrong("--masquerade-all", value, "use true or false");
  },
  healthzBindAddress: bindAddress("--healthz-bind-address", 10_256),
  metricsBindAddress: bindAddress("--metrics-bind-address", 10_249),
  controlSocket: anyText("--control-socket"),
  v(value) {
    const number = Number(value);
    if (Number.isInteger(number) && number >= 0 && number <= 10) return number;
    throw wrong("--v", value, "give a whole number from 0 to 10");
  },
};

/**
 * Settings from flags over a configuration file over the defaults. The file has our own names in camel case, or is the
 * KubeProxyConfiguration of a kube-proxy. `notes` are lines about what of that has no effect here. Throws CliError USAGE naming the field.
 */
export function readProxySettings(
  given: Readonly<Record<string, unknown>>,
  file: Readonly<Record<string, unknown>> = {},
): { readonly settings: ProxySettings; readonly notes: readonly string[] } {
  const foreign = file["kind"] === "KubeProxyConfiguration" ? ofKubeProxy(file) : undefined;
  const own = foreign?.own ?? file;
  for (const name of Object.keys(own)) {
    if (name in readers) continue;
    const known = Object.keys(readers).join(", ");
    throw new CliError("USAGE", `the configuration file has an unknown field ${JSON.stringify(name)}`, `use ${known}`);
  }
  const settings: Record<string, unknown> = { ...defaultProxySettings };
  for (const [name, read] of Object.entries(readers)) {
    const value = given[name] ?? own[name];
    if (value !== undefined && value !== null) settings[name] = read(value);
  }
  const needed = { BridgeInterface: "podBridgeInterface", InterfaceNamePrefix: "podInterfaceNamePrefix" } as const;
  const name = needed[settings["detectLocalMode"] as keyof typeof needed];
  if (name !== undefined && settings[name] === "")
    throw wrong("--detect-local-mode", settings["detectLocalMode"], `give ${flagOf(name)} with it`);
  return { settings: settings as unknown as ProxySettings, notes: foreign?.notes ?? [] };
}

const flagOf = (name: string): string => `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

const section = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};

/** Fields of a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1) that mean nothing here at any value. */
const withoutEffect = new Set([
  ..."apiVersion kind bindAddress bindAddressHardFail enableProfiling featureGates showHiddenMetricsForVersion ipvs winkernel".split(
    " ",
  ),
  ..."logging configSyncPeriod oomScoreAdj portRange udpIdleTimeout windowsRunAsService conntrack linux windows".split(
    " ",
  ),
]);

/** A KubeProxyConfiguration in our names, and what of it was left aside. */
function ofKubeProxy(file: Readonly<Record<string, unknown>>) {
  const mode = file["mode"];
  const family = section(file[mode === "iptables" ? "iptables" : "nftables"]);
  const connection = section(file["clientConnection"]);
  const own: Record<string, unknown> = {
    kubeconfig: connection["kubeconfig"],
    hostnameOverride: file["hostnameOverride"],
    proxyMode: mode,
    clusterCidr: file["clusterCIDR"],
    detectLocalMode: file["detectLocalMode"],
    podBridgeInterface: section(file["detectLocal"])["bridgeInterface"],
    podInterfaceNamePrefix: section(file["detectLocal"])["interfaceNamePrefix"],
    nodeportAddresses: file["nodePortAddresses"],
    masqueradeAll: family["masqueradeAll"],
    healthzBindAddress: file["healthzBindAddress"],
    metricsBindAddress: file["metricsBindAddress"],
  };
  const used = new Set([
    ..."clientConnection hostnameOverride mode clusterCIDR detectLocalMode detectLocal nodePortAddresses".split(" "),
    ..."iptables nftables healthzBindAddress metricsBindAddress".split(" "),
  ]);
  const left = Object.keys(file).filter((name) => !used.has(name) && !["apiVersion", "kind"].includes(name));
  const unknown = left.filter((name) => !withoutEffect.has(name));
  if (unknown.length > 0) {
    const remedy = "see kubeproxy.config.k8s.io/v1alpha1";
    throw new CliError(
      "USAGE",
      `the KubeProxyConfiguration has an unknown field ${JSON.stringify(unknown[0])}`,
      remedy,
    );
  }
  const defined = Object.fromEntries(
    Object.entries(own).filter(([, value]) => value !== undefined && value !== null && value !== ""),
  );
  const set = left.filter(
    (name) => JSON.stringify(file[name] ?? null).replaceAll(/[[\]{}",:\s]|null|\w+":null/g, "") !== "",
  );
  return { own: defined, notes: set.map((name) => `${name} of the KubeProxyConfiguration has no effect here`) };
}
