import type { ApiResponse } from "../handler.ts";
import { textResponse } from "../request/respond.ts";

/** Named checks behind `/healthz`, `/livez` and `/readyz`. */
export interface HealthCheck {
  readonly name: string;
  /** It tells whether requests should come here, not whether the process is well: of `/readyz` alone. */
  readonly readyOnly?: boolean;
  /** Undefined: all is well; else what is not. */
  check(): string | undefined;
}

const endpoints = ["healthz", "livez", "readyz"] as const;
export type HealthEndpoint = (typeof endpoints)[number];

export const isHealthEndpoint = (text: string): text is HealthEndpoint => endpoints.some((one) => one === text);

const fresh = { "cache-control": "no-cache, no-store, must-revalidate" };

/**
 * The answer of one endpoint in upstream's form, with the queries `verbose` and `exclude`; with a `name`, of one check. What exactly is wrong is
 * told by the check's own path alone, which needs a right of its own. Undefined: there is no such check.
 */
export function health(
  endpoint: HealthEndpoint,
  name: string,
  query: URLSearchParams,
  checks: readonly HealthCheck[],
): ApiResponse | undefined {
  const asked = checks.filter(({ readyOnly = false }) => endpoint === "readyz" || !readyOnly);
  if (name !== "") {
    const one = asked.find((check) => check.name === name);
    if (!one) return undefined;
    const problem = one.check();
    return text(
      problem === undefined ? 200 : 500,
      problem === undefined ? "ok" : `internal server error: ${problem}\n`,
    );
  }
  const excluded = new Set(query.getAll("exclude"));
  let failed = false;
  const lines = asked.map((check) => {
    if (excluded.delete(check.name)) return `[+]${check.name} excluded: ok\n`;
    if (check.check() === undefined) return `[+]${check.name} ok\n`;
    failed = true;
    return `[-]${check.name} failed: reason withheld\n`;
  });
  if (excluded.size > 0) {
    const names = [...excluded].sort().map((one) => JSON.stringify(one));
    lines.push(`warn: some health checks cannot be excluded: no matches for ${names.join(",")}\n`);
  }
  if (failed) return text(500, `${lines.join("")}${endpoint} check failed\n`);
  return text(200, query.has("verbose") ? `${lines.join("")}${endpoint} check passed\n` : "ok");
}

/** The paths of all checks. */
export function healthPaths(checks: readonly HealthCheck[]): string[] {
  return endpoints.flatMap((endpoint) => [
    `/${endpoint}`,
    ...checks
      .filter(({ readyOnly = false }) => endpoint === "readyz" || !readyOnly)
      .map(({ name }) => `/${endpoint}/${name}`),
  ]);
}

function text(status: number, body: string): ApiResponse {
  const response = textResponse(status, body);
  return { ...response, headers: { ...response.headers, ...fresh } };
}
