import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { Tracing } from "../dataplane/index.ts";
import type { Clock, Logger, Metrics } from "../system/index.ts";
import { CliError } from "./errors.ts";
import type { TracingSettings } from "./tracing-settings.ts";
import { packageVersion } from "./version.ts";

/** Requests are traced, and their spans sent. */
export interface OpenTracing {
  readonly tracing: Tracing;
  /** Sends what waits; to be called when no data plane serves any more. */
  close(): Promise<void>;
}

export interface TracingParts {
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The file of authorities that the receiver's certificate is checked by. Throws `CliError`. */
export function receiverAuthorities({ certificate }: TracingSettings): string | undefined {
  if (certificate === undefined) return undefined;
  try {
    return readFileSync(certificate, "utf8");
  } catch (error) {
    throw new CliError("BAD_FILE", `OTEL_EXPORTER_OTLP_CERTIFICATE: ${(error as Error).message}`);
  }
}

/** Begins to send spans. `ca`: `receiverAuthorities`. */
export async function openTracing(
  { sample, url, headers, timeout, compress, resource }: TracingSettings,
  ca: string | undefined,
  { metrics, clock, log }: TracingParts,
): Promise<OpenTracing> {
  const { createPost, createSpanExporter, textAttribute } = await import("../dataplane/index.ts");
  const version = await packageVersion();
  const about = new Map([["service.version", version], ["host.name", hostname()], ...resource]);
  const exporter = createSpanExporter({
    post: createPost({ url, headers, timeout, compress, ...(ca === undefined ? {} : { ca }) }),
    resource: [...about].map(([name, value]) => textAttribute(name, value)),
    version,
    metrics,
    clock,
    log,
  });
  return { tracing: { sample, add: exporter.add, lost: exporter.lost }, close: exporter.close };
}
