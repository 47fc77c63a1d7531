import type { ServicePlan } from "../services/index.ts";
import { type Clock, type Logger, whenAborted } from "../system/index.ts";
import { openHttpServer, type Answer } from "./http-server.ts";
import { createListener, type Listener } from "./userspace/listener.ts";

type HealthCheck = NonNullable<ServicePlan["healthCheck"]>;

/**
 * Answers on each Service's `healthCheckNodePort`: 200 while this node has ready endpoints of it and the proxy is healthy,
 * else 503, with the body that kube-proxy gives.
 */
export interface HealthChecks {
  update(key: string, check: HealthCheck | undefined): void;
  /** The node has these addresses now. */
  setAddresses(addresses: readonly string[]): void;
  readonly stopped: Promise<void>;
}

export function createHealthChecks(options: {
  readonly addresses: readonly string[];
  readonly healthy: () => boolean;
  /** Told when the port of a Service cannot be opened. */
  readonly onProblem?: (key: string, port: number, problem: string) => void;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}): HealthChecks {
  const { healthy, signal, clock, log } = options;
  let { addresses } = options;
  const running = new Map<string, { check: HealthCheck; listeners: readonly Listener[] }>();

  function close(key: string): void {
    for (const listener of running.get(key)?.listeners ?? []) listener.close();
    running.delete(key);
  }

  function open(key: string, check: HealthCheck): void {
    const entry: { check: HealthCheck; listeners: readonly Listener[] } = { check, listeners: [] };
    const report = (problem: string) => {
      log.warn({ service: key, problem }, "the health check of a Service cannot be asked");
      options.onProblem?.(key, check.port, problem);
    };
    running.set(key, entry);
    entry.listeners = addresses.map((address) =>
      createListener({
        address,
        port: check.port,
        open: (where) => openHttpServer(where, () => answer(key, entry.check.localEndpoints, healthy())),
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
    setAddresses(next) {
      if (signal.aborted || addresses.join() === next.join()) return;
      addresses = next;
      const checks = [...running].map(([key, { check }]) => [key, check] as const);
      for (const [key] of checks) close(key);
      for (const [key, check] of checks) open(key, check);
    },
    stopped: new Promise((resolve) => {
      whenAborted(signal, () => {
        for (const key of running.keys()) close(key);
        resolve();
      });
    }),
  };
}

function answer(key: string, localEndpoints: number, serviceProxyHealthy: boolean): Answer {
  const [namespace, name] = key.split("/");
  return {
    status: localEndpoints > 0 && serviceProxyHealthy ? 200 : 503,
    headers: {
      "content-type": "application/json",
      "x-content-type-options": "nosniff",
      "x-load-balancing-endpoint-weight": String(localEndpoints),
    },
    // To the byte as kube-proxy writes it: some load balancers are configured to look for a piece of it.
    body: JSON.stringify({ service: { namespace, name }, localEndpoints, serviceProxyHealthy }, null, "\t"),
  };
}
