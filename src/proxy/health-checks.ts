import { createServer } from "node:http";
import type { ServicePlan } from "../services/index.ts";
import type { Clock, Logger } from "../system/index.ts";
import { createListener, type Listener } from "./userspace/listener.ts";
import type { Server } from "./userspace/target.ts";

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
  readonly clock: Clock;
  readonly log: Logger;
}): HealthChecks {
  const { addresses, healthy, signal, clock, log } = options;
  const running = new Map<string, { check: HealthCheck; listeners: readonly Listener[] }>();

  function close(key: string): void {
    for (const listener of running.get(key)?.listeners ?? []) listener.close();
    running.delete(key);
  }

  function open(key: string, check: HealthCheck): void {
    const entry: { check: HealthCheck; listeners: readonly Listener[] } = { check, listeners: [] };
    const report = (problem: string) =>
      log.warn({ service: key, problem }, "the health check of a Service cannot be asked");
    running.set(key, entry);
    entry.listeners = addresses.map((address) =>
      createListener({
        address,
        port: check.port,
        open: (where) => openServer(where, () => answer(key, entry.check.localEndpoints, healthy())),
        report,
        signal,
        clock,
      }),
    );
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

interface Answer {
  readonly status: number;
  readonly localEndpoints: number;
  readonly body: string;
}

function answer(key: string, localEndpoints: number, serviceProxyHealthy: boolean): Answer {
  const [namespace, name] = key.split("/");
  return {
    status: localEndpoints > 0 && serviceProxyHealthy ? 200 : 503,
    localEndpoints,
    body: JSON.stringify({ service: { namespace, name }, localEndpoints, serviceProxyHealthy }),
  };
}

function openServer(where: { address: string; port: number }, ask: () => Answer): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((_request, response) => {
      const { status, localEndpoints, body } = ask();
      response.writeHead(status, {
        "content-type": "application/json",
        "x-content-type-options": "nosniff",
        "x-load-balancing-endpoint-weight": String(localEndpoints),
      });
      response.end(body);
    });
    server.once("error", reject);
    server.listen(where.port, where.address, () => {
      resolve({ refresh() {}, close: () => server.close().closeAllConnections() });
    });
  });
}
