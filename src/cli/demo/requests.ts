import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

/** What one attempt found out. */
export interface Answer {
  /** HTTP status code, or what a lookup gave. */
  readonly status: string;
  /** Pod that answered, or what a name resolved to. */
  readonly by: string;
  /** How long it took, where whoever asked knows better than the clock here. */
  readonly milliseconds?: number;
}

export interface HttpTarget {
  readonly url: string;
  /** Where to connect, when the name of the URL is not in this machine's DNS. */
  readonly address?: string;
  /** Certificates to trust, as PEM. */
  readonly ca?: string;
}

/** Milliseconds that any one attempt may take. */
const patience = 5_000;

/** One GET on a connection of its own; the echo image tells which pod answered. Throws when there is no answer. */
export function get({ url, address, ca }: HttpTarget): Promise<Answer> {
  const { protocol, hostname, port, pathname, search, host } = new URL(url);
  const secure = protocol === "https:";
  const options = {
    host: address ?? hostname,
    port: port || (secure ? 443 : 80),
    path: pathname + search,
    headers: { host },
    agent: false as const,
    timeout: patience,
    ...(secure ? { servername: hostname, ...(ca === undefined ? {} : { ca }) } : {}),
  };
  return new Promise((resolve, reject) => {
    const request = (secure ? httpsRequest : httpRequest)(options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const body = Buffer.concat(chunks).toString();
        resolve({ status: String(response.statusCode), by: podOf(body) });
      });
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${patience / 1000} s`)));
    request.on("error", reject);
    request.end();
  });
}

function podOf(body: string): string {
  try {
    const { pod } = JSON.parse(body) as { pod?: unknown };
    return typeof pod === "string" ? pod : "";
  } catch {
    return body.split("\n")[0]?.slice(0, 60) ?? "";
  }
}

/** Sends a datagram until it is echoed: `POD: TEXT`. UDP may lose one, so it is sent again each half second. */
export function ping(address: string, port: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    const send = () => socket.send("hello", port, address, () => {});
    const again = setInterval(send, 500);
    const end = (settle: () => void) => {
      clearInterval(again);
      clearTimeout(late);
      socket.close();
      settle();
    };
    const late = setTimeout(() => end(() => reject(new Error(`no echo within ${patience / 1000} s`))), patience);
    socket.on("error", (error) => end(() => reject(error)));
    socket.on("message", (message) => {
      const [by = "", ...rest] = message.toString().split(": ");
      end(() => resolve({ status: rest.join(": ") === "hello" ? "echoed" : "wrong echo", by }));
    });
    send();
  });
}

export interface DnsServer {
  readonly address: string;
  readonly port: number;
}

/** Looks a name up at one DNS server. Throws what `node:dns` throws. */
export async function lookUp(server: DnsServer, type: "A" | "SRV" | "CNAME", name: string): Promise<Answer> {
  const resolver = new Resolver({ timeout: patience, tries: 2 });
  resolver.setServers([`${server.address}:${server.port}`]);
  const found =
    type === "A"
      ? await resolver.resolve4(name)
      : type === "CNAME"
        ? await resolver.resolveCname(name)
        : (await resolver.resolveSrv(name)).map((record) => `${record.name}:${record.port}`);
  return { status: `${found.length} ${type}`, by: found.sort().join(" ") };
}
