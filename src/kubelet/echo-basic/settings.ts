/** How one process behaves, from its environment: the names and defaults are those of the image that it stands for. */
export interface EchoBasicSettings {
  readonly mode: "http" | "grpc" | "tcp" | "udp";
  /** Address to listen on. */
  readonly address: string;
  readonly httpPort: number;
  readonly h2cPort: number;
  readonly tlsPort: number;
  readonly udpPort: number;
  /** Files; TLS is served when both are named. */
  readonly certificate?: string;
  readonly key?: string;
  /** File with authorities: a client's certificate, if it shows one, must be of theirs. */
  readonly clientAuthorities?: string;
  readonly pod: {
    readonly namespace: string;
    readonly ingress: string;
    readonly service: string;
    readonly pod: string;
  };
}

type Env = Readonly<Record<string, string | undefined>>;

/** Throws `Error` naming the variable that cannot be read. */
export function readSettings(env: Env): EchoBasicSettings {
  const mode = env["GRPC_ECHO_SERVER"]
    ? "grpc"
    : env["TCP_ECHO_SERVER"]
      ? "tcp"
      : env["UDP_ECHO_SERVER"]
        ? "udp"
        : "http";
  const port = (name: string, fallback: number): number => {
    const value = Number(env[name] || fallback);
    if (Number.isInteger(value) && value > 0 && value < 65_536) return value;
    throw new Error(`${name}=${env[name]}: a port is 1 to 65535`);
  };
  const certificate = env["TLS_SERVER_CERT"];
  // Two spellings are in use.
  const key = mode === "http" ? env["TLS_SERVER_PRIVKEY"] : env["TLS_SERVER_PRIV_KEY"];
  const clientAuthorities = env["TLS_CLIENT_CACERTS"];
  return {
    mode,
    address: env["POD_IP"] ?? "0.0.0.0",
    httpPort: mode === "tcp" ? port("TCP_PORT", 3000) : port("HTTP_PORT", 3000),
    h2cPort: port("H2C_PORT", 3001),
    tlsPort: mode === "tcp" ? port("TLS_PORT", 8443) : port("HTTPS_PORT", 8443),
    udpPort: port("UDP_PORT", 8080),
    ...(certificate && key ? { certificate, key } : {}),
    ...(clientAuthorities ? { clientAuthorities } : {}),
    pod: {
      namespace: env["NAMESPACE"] ?? "",
      ingress: env["INGRESS_NAME"] ?? "",
      service: env["SERVICE_NAME"] ?? "",
      pod: env["POD_NAME"] ?? "",
    },
  };
}
