import { createHash } from "node:crypto";
import { type BackendTls, changedKeys, derive, type Pool } from "../../routing/index.ts";
import { authoritiesFile } from "./authorities.ts";
import { endpointAddress } from "./command.ts";
import type { ServerLine } from "./config.ts";
import type { Slot } from "./slots.ts";

/** Of each slot, by name. */
export type Servers = ReadonlyMap<Slot, ReadonlyMap<string, ServerLine>>;

/** The servers of all slots, for one set of pools after the other: it costs the pools that differ. */
export function createServerTable(): (
  pools: ReadonlyMap<string, Pool>,
  taken: ReadonlyMap<string, Slot>,
  directory: string,
) => Servers {
  let last = { pools: new Map() as ReadonlyMap<string, Pool>, taken: new Map() as ReadonlyMap<string, Slot> };
  let servers: Servers = new Map();
  return (pools, taken, directory) => {
    const keys = changedKeys(last.pools, pools);
    const gone = keys.flatMap((key) => last.taken.get(key) ?? []).map((slot) => [slot, undefined] as const);
    const made = keys.flatMap((key) => {
      const [slot, pool] = [taken.get(key), pools.get(key)];
      return slot === undefined || !pool ? [] : [[slot, serversOf(pool, directory)] as const];
    });
    last = { pools, taken };
    return (servers = derive(servers, new Map<Slot, ReadonlyMap<string, ServerLine> | undefined>([...gone, ...made])));
  };
}

/** The servers of a pool's slot: one for each endpoint that gets requests. */
export function serversOf(pool: Pool, directory: string): Map<string, ServerLine> {
  const servers = new Map<string, ServerLine>();
  const keywords = keywordsOf(pool, directory);
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

/** `undefined`: whoever cannot do the TLS that is asked for sends nothing at all. */
function keywordsOf(pool: Pool, directory: string): string[] | undefined {
  const keywords: string[] = [];
  if (pool.tls) {
    const tls = tlsKeywords(pool.tls, directory);
    if (!tls || pool.protocol === "tcp" || pool.protocol === "udp") return undefined;
    keywords.push(...tls, "alpn", pool.protocol === "h2c" ? "h2" : "http/1.1");
  } else if (pool.protocol === "h2c") keywords.push("proto", "h2");
  if (pool.proxyProtocol !== undefined) keywords.push(pool.proxyProtocol === 1 ? "send-proxy" : "send-proxy-v2");
  return [...keywords, ...always];
}

function tlsKeywords(
  { serverName, subjectAltNames, authorities, unverified, client }: BackendTls,
  directory: string,
): string[] | undefined {
  if (client || subjectAltNames.length > 0) return undefined;
  const named = /^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(serverName);
  const asked = named ? ["sni", `str(${serverName})`] : [];
  if (unverified) return ["ssl", "verify", "none", ...asked];
  const trusted = authoritiesFile(authorities, directory);
  if (!trusted || !named) return undefined;
  return ["ssl", "verify", "required", "ca-file", trusted.file, ...asked, "verifyhost", serverName];
}

/** An idle connection is kept for some seconds only, so that it is we who close it, and a server that goes is soon free of them. */
const always = ["pool-max-conn", "-1", "pool-purge-delay", "2s"];
