import { createHash } from "node:crypto";
import {
  ProviderFailure,
  type Exposure,
  type HttpBackend,
  type HttpExposure,
  type HttpRule,
} from "../provider/contract.ts";
import type { Http } from "./desired.ts";
import type { L7Rule, ListenerLimits, Pool } from "./model.ts";

const digest = (value: unknown) => createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 20);
/** Headers that tell pods of the client. */
const headers = ["X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"];

/** An Ingress as Octavia has it: a listener, a pool a backend, a policy a path. Pure. Throws ProviderFailure Refused. */
export function httpOf(
  { rules, fallback }: HttpExposure,
  { ports }: Exposure,
  of: { readonly limits: ListenerLimits; readonly pool: (nodePort: number) => Pool },
): Http {
  const pools = new Map<string, Pool>();
  const poolFor = ({ namespace, service, port, nodePort }: HttpBackend): string => {
    if (nodePort === undefined) {
      const words = `Service ${namespace}/${service} has no node port; make it of type NodePort`;
      throw new ProviderFailure("Refused", words);
    }
    const name = `http-${digest([namespace, service, port])}`;
    pools.set(name, of.pool(nodePort));
    return name;
  };
  const policies = new Map<string, Http["policies"][number]>();
  for (const rule of rules) {
    const pool = poolFor(rule.backend);
    const conditions = conditionsOf(rule);
    const name = `http-${digest([conditions, pool])}`;
    if (!policies.has(name)) policies.set(name, { name, pool, rules: conditions });
  }
  const rest = fallback && poolFor(fallback);
  return {
    listener: { protocol: "HTTP", port: ports[0]?.port ?? 80, headers, cidrs: [], limits: of.limits },
    pools,
    policies: [...policies.values()],
    ...(rest === undefined ? {} : { fallback: rest }),
  };
}

/** All have to be met. Octavia ignores a policy without any. */
function conditionsOf({ host, path, match }: HttpRule): readonly L7Rule[] {
  const hosts: readonly L7Rule[] =
    host === ""
      ? []
      : host.startsWith("*.")
        ? [{ type: "HOST_NAME", compare: "REGEX", value: `^[^.]+${escaped(host.slice(1))}(:[0-9]+)?$` }]
        : [{ type: "HOST_NAME", compare: "EQUAL_TO", value: host }];
  return [...hosts, pathOf(path, match)];
}

/** Prefixes match by element: `/shop` is `/shop` and all under it. */
function pathOf(path: string, match: HttpRule["match"]): L7Rule {
  if (match === "Exact") return { type: "PATH", compare: "EQUAL_TO", value: path };
  const bare = path.replace(/\/+$/, "");
  return bare === ""
    ? { type: "PATH", compare: "STARTS_WITH", value: "/" }
    : { type: "PATH", compare: "REGEX", value: `^${escaped(bare)}(/|$)` };
}

const escaped = (text: string) => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
