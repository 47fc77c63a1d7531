/** How one echo process behaves, from its environment. */
export interface EchoSettings {
  /** Address to listen on. */
  readonly address: string;
  readonly httpPorts: readonly number[];
  readonly tcpPorts: readonly number[];
  readonly udpPorts: readonly number[];
  /** How long it goes on accepting after SIGTERM, in milliseconds. */
  readonly drainMs: number;
  /** Access lines a second at most; 0 for none. */
  readonly logsPerSecond: number;
  readonly pod: { readonly name: string; readonly namespace: string; readonly node: string; readonly address: string };
}

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Reads the settings. Ports come from PORT or PORTS (HTTP), TCP_PORT and UDP_PORT, each a list with commas; without
 * any HTTP port, from the ports that the container declares (FAIRLEAD_PORTS, such as `8080/TCP,53/UDP`); else 8080.
 * Throws `Error` naming the variable that cannot be read.
 */
export function readSettings(env: Env): EchoSettings {
  const declared = (env["FAIRLEAD_PORTS"] ?? "").split(",").map((entry) => entry.split("/"));
  const declaredPorts = (protocol: string): number[] =>
    declared.filter(([port, name]) => port && name === protocol).map(([port]) => Number(port));
  const tcpPorts = ports(env, "TCP_PORT") ?? [];
  const udpPorts = ports(env, "UDP_PORT") ?? declaredPorts("UDP");
  const declaredHttp = declaredPorts("TCP").filter((port) => !tcpPorts.includes(port));
  const httpPorts = ports(env, "PORTS") ?? ports(env, "PORT") ?? (declaredHttp.length > 0 ? declaredHttp : [8080]);
  const drainSeconds = Number(env["DRAIN_SECONDS"] ?? 2);
  if (!(drainSeconds >= 0 && drainSeconds <= 3600)) throw new Error("DRAIN_SECONDS must be 0 to 3600");
  return {
    address: env["POD_IP"] ?? "0.0.0.0",
    httpPorts,
    tcpPorts,
    udpPorts,
    drainMs: drainSeconds * 1000,
    logsPerSecond: env["LOG"] === "0" ? 0 : env["LOG"] === "1" ? Infinity : 20,
    pod: {
      name: env["POD_NAME"] ?? env["HOSTNAME"] ?? "",
      namespace: env["POD_NAMESPACE"] ?? env["FAIRLEAD_NAMESPACE"] ?? "",
      node: env["NODE_NAME"] ?? env["FAIRLEAD_NODE"] ?? "",
      address: env["POD_IP"] ?? "",
    },
  };
}

function ports(env: Env, name: string): number[] | undefined {
  const value = env[name];
  if (!value) return undefined;
  const list = value.split(",").map((part) => Number(part.trim()));
  if (list.some((port) => !Number.isInteger(port) || port < 1 || port > 65535)) {
    throw new Error(`${name}=${value}: each port must be 1 to 65535`);
  }
  return list;
}
