import { createServer, type Server } from "node:http";
import type { ServicePlan } from "../services/index.ts";
import type { Logger } from "../system/index.ts";

type HealthCheck = NonNullable<ServicePlan["healthCheck"]>;

/**
 * Answers on each Service's `healthCheckNodePort`: 200 while this node has ready endpoints of it and the proxy is healthy,
 * else 503, with the body that kube-proxy gives.
 */
export interface HealthChecks {
  update(key: string, check: HealthCheck | undefined): void;
  readonly stopped: Promise<void>;
}

export function createHealthChecks(options: {
  readonly addresses: readonly string[];
  readonly healthy: () => boolean;
  readonly signal: AbortSignal;
  readonly log: Logger;
}): HealthChecks {
  const { addresses, healthy, signal, log } = options;
  const running = new Map<string, { check: HealthCheck; readonly servers: readonly Server[] }>();

  function close(key: string): void {
    for (const server of running.get(key)?.servers ?? []) server.close().closeAllConnections();
    running.delete(key);
  }

  function open(key: string, check: HealthCheck): void {
    const [namespace, name] = key.split("/");
    const entry = { check, servers: addresses.map(() => createServer()) };
    running.set(key, entry);
    for (const [i, server] of entry.servers.entries()) {
      server.on("request", (_request, response) => {
        const { localEndpoints } = entry.check;
        const serviceProxyHealthy = healthy();
        const status = localEndpoints > 0 && serviceProxyHealthy ? 200 : 503;
        response.writeHead(status, {
          "content-type": "application/json",
          "x-content-type-options": "nosniff",
          "x-load-balancing-endpoint-weight": String(localEndpoints),
        });
        response.end(JSON.stringify({ service: { namespace, name }, localEndpoints, serviceProxyHealthy }));
      });
      server.on("error", (error) =>
        log.warn({ service: key, error: error.message }, "health check port cannot be opened"),
      );
      server.listen(check.port, addresses[i]);
    }
  }

  return {
    update(key, check) {
      const known = running.get(key);
      if (known && check && known.check.port === check.port) {
        known.check = check;
        return;
      }
      if (known) close(key);
      if (check && !signal.aborted) open(key, check);
    },
    stopped: new Promise((resolve) => {
      signal.addEventListener(
        "abort",
        () => {
          for (const key of running.keys()) close(key);
          resolve();
        },
        { once: true },
      );
    }),
  };
}
