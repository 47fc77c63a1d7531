import { createHash } from "node:crypto";
import type { Pool } from "../../routing/index.ts";
import { endpointAddress } from "./command.ts";
import type { ServerLine } from "./config.ts";

/** Says where the files are that the TLS of a pool needs. */
export interface TlsFiles {
  readonly authorities: string;
  readonly client?: string;
}

/** The servers of a pool's slot: one for each endpoint that gets requests. */
export function serversOf(pool: Pool, tls: TlsFiles | undefined): Map<string, ServerLine> {
  const servers = new Map<string, ServerLine>();
  const keywords = keywordsOf(pool, tls);
  if (!keywords) return servers;
  const suffix =
    keywords.length === always.length
      ? ""
      : `-${createHash("sha256").update(keywords.join(" ")).digest("hex").slice(0, 8)}`;
  for (const { address, port, ready } of pool.endpoints) {
    if (!ready) continue;
    const name = `e${address.replace(/[.:]/g, "-")}-${port}${suffix}`;
    servers.set(name, { name, address: endpointAddress(address, port), keywords });
  }
  return servers;
}

function keywordsOf(pool: Pool, tls: TlsFiles | undefined): string[] | undefined {
  const keywords: string[] = [];
  if (pool.tls) {
    // Whoever cannot do the TLS that is asked for sends nothing at all.
    const name = /^[A-Za-z0-9.-]+$/.test(pool.tls.serverName) ? pool.tls.serverName : undefined;
    if (!tls || name === undefined || pool.tls.subjectAltNames.length > 0) return undefined;
    keywords.push("ssl", "verify", "required", "ca-file", tls.authorities, "sni", `str(${name})`, "verifyhost", name);
    keywords.push("alpn", pool.protocol === "h2c" ? "h2" : "http/1.1");
    if (tls.client !== undefined) keywords.push("crt", tls.client);
  } else if (pool.protocol === "h2c") keywords.push("proto", "h2");
  if (pool.proxyProtocol !== undefined) keywords.push(pool.proxyProtocol === 1 ? "send-proxy" : "send-proxy-v2");
  return [...keywords, ...always];
}

/** An idle connection is kept for some seconds only, so that it is we who close it, and a server that goes is soon free of them. */
const always = ["pool-max-conn", "-1", "pool-purge-delay", "2s"];
