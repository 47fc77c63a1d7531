import { Agent, EnvHttpProxyAgent, type Dispatcher } from "undici";
import { trust } from "../../system/index.ts";

export interface WayOptions {
  /** Bytes of one answer. */
  readonly mostBytes: number;
  /** Certificates, PEM, that are trusted instead of the usual ones. */
  readonly ca?: string;
  /** Do not look at the server's certificate. */
  readonly insecure?: boolean;
}

/**
 * How a call leaves this machine: straight, or through the proxy of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, upper or lower case, as curl and Go read
 * them: each for its own scheme, none for this machine. A proxy is believed by the same certificates as who is behind it.
 */
export function createWays({ mostBytes, ca, insecure }: WayOptions): (url: string, isDirect: boolean) => Dispatcher {
  const tls = { ...trust(ca), ...(insecure ? { rejectUnauthorized: false } : {}) };
  const options = { maxResponseSize: mostBytes, connect: tls };
  const straight = new Agent(options);
  const of = (name: string) => process.env[name.toLowerCase()] ?? process.env[name] ?? "";
  const [http, https] = [of("HTTP_PROXY"), of("HTTPS_PROXY")];
  const way = (proxy: string) =>
    proxy === ""
      ? straight
      : new EnvHttpProxyAgent({
          ...options,
          httpProxy: proxy,
          httpsProxy: proxy,
          requestTls: tls,
          proxyTls: tls,
          // A proxy leads plain HTTP on as it is: many let CONNECT through to port 443 only.
          proxyTunnel: false,
        });
  const ways: Readonly<Record<string, Dispatcher>> = { "http:": way(http), "https:": way(https) };
  return (url, isDirect) => {
    const { hostname, protocol } = new URL(url);
    return isDirect || isThisMachine(hostname) ? straight : (ways[protocol] ?? straight);
  };
}

const isThisMachine = (host: string) => host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
