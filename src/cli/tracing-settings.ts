import { CliError } from "./errors.ts";

/** Options by which requests are traced. */
export interface TracingFlags {
  /** "": as the environment says. */
  readonly tracingEndpoint: string;
  /** Undefined: as the environment says. */
  readonly tracingSample: number | undefined;
}

/** Where spans go, and which. */
export interface TracingSettings {
  /** Share of the traces that begin here: 0 to 1. */
  readonly sample: number;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds for one message. */
  readonly timeout: number;
  readonly compress: boolean;
  /** File with authorities, PEM. */
  readonly certificate?: string;
  /** Names and values, `service.name` among them. */
  readonly resource: ReadonlyMap<string, string>;
}

type Environment = Readonly<Record<string, string | undefined>>;

const defaultTimeout = 10_000;

const wrong = (name: string, value: string, remedy: string): CliError =>
  new CliError("USAGE", `${name} ${JSON.stringify(value)} is not usable`, remedy);

/** A value of `--tracing-sample`, or of another option. Throws `CliError` for what is no share. */
export function sampleOf(value: unknown, option = "--tracing-sample"): number {
  const share = typeof value === "number" ? value : Number(String(value).trim() || Number.NaN);
  if (share >= 0 && share <= 1) return share;
  throw wrong(option, String(value), "give a share from 0 to 1, such as 0.01");
}

/**
 * What flags and the standard variables of OpenTelemetry say together; flags win. `undefined`: requests are not traced. Throws `CliError`
 * USAGE for what can not be followed; it never says a header's value.
 */
export function tracingSettings(flags: TracingFlags, environment: Environment): TracingSettings | undefined {
  /** The variable for traces alone, or that for all; an empty one counts as none. */
  const otlp = (name: string): { readonly name: string; readonly value: string } | undefined => {
    const names = [`OTEL_EXPORTER_OTLP_TRACES_${name}`, `OTEL_EXPORTER_OTLP_${name}`];
    const found = names.find((each) => environment[each]);
    return found === undefined ? undefined : { name: found, value: environment[found] ?? "" };
  };
  const url = flags.tracingEndpoint === "" ? endpointOf(otlp, environment) : ownEndpoint(flags.tracingEndpoint);
  if (url === undefined) {
    if (flags.tracingSample !== undefined)
      throw new CliError("USAGE", "--tracing-sample needs --tracing-endpoint", "say where spans are to go");
    return undefined;
  }
  const timeout = otlp("TIMEOUT");
  const compression = otlp("COMPRESSION");
  const headers = otlp("HEADERS");
  const certificate = otlp("CERTIFICATE")?.value;
  if (compression && compression.value !== "gzip" && compression.value !== "none")
    throw wrong(compression.name, compression.value, "use gzip or none");
  if (timeout && !/^[1-9]\d{0,8}$/.test(timeout.value))
    throw wrong(timeout.name, timeout.value, "give milliseconds, such as 10000");
  const resource = pairsOf("OTEL_RESOURCE_ATTRIBUTES", environment["OTEL_RESOURCE_ATTRIBUTES"] ?? "");
  const service = environment["OTEL_SERVICE_NAME"] || resource.get("service.name") || "fairlead";
  return {
    sample: flags.tracingSample ?? samplerOf(environment),
    url,
    headers: headers ? headersOf(headers.name, headers.value) : {},
    timeout: timeout ? Number(timeout.value) : defaultTimeout,
    compress: compression?.value === "gzip",
    ...(certificate === undefined ? {} : { certificate }),
    resource: new Map([...resource, ["service.name", service]]),
  };
}

function endpointOf(
  otlp: (name: string) => { readonly name: string; readonly value: string } | undefined,
  environment: Environment,
): string | undefined {
  const exporters = environment["OTEL_TRACES_EXPORTER"] || "otlp";
  if (environment["OTEL_SDK_DISABLED"]?.toLowerCase() === "true" || !exporters.split(",").includes("otlp"))
    return undefined;
  const found = otlp("ENDPOINT");
  if (!found) return undefined;
  const protocol = otlp("PROTOCOL");
  if (protocol?.value === "grpc")
    throw wrong(protocol.name, protocol.value, "spans are sent over HTTP, as a rule to port 4318: use http/json");
  const url = urlOf(found.name, found.value);
  // That for traces alone is taken as it is.
  if (found.name !== "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") url.pathname = url.pathname.replace(/\/*$/, "/v1/traces");
  return url.href;
}

/** One without a path is a receiver's, whose traces have the usual path. */
function ownEndpoint(endpoint: string): string {
  const url = urlOf("--tracing-endpoint", endpoint);
  if (url.pathname === "/") url.pathname = "/v1/traces";
  return url.href;
}

function urlOf(name: string, endpoint: string): URL {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:") || url.username !== "" || url.hash !== "")
    throw new CliError(
      "USAGE",
      `${name} is no URL that spans can be sent to`,
      "give a URL such as http://collector:4318; secrets go into OTEL_EXPORTER_OTLP_HEADERS",
    );
  return url;
}

function samplerOf(environment: Environment): number {
  const name = environment["OTEL_TRACES_SAMPLER"] || "parentbased_always_on";
  const argument = environment["OTEL_TRACES_SAMPLER_ARG"];
  if (name === "parentbased_always_on") return 1;
  if (name === "parentbased_always_off") return 0;
  if (name === "parentbased_traceidratio") return argument ? sampleOf(argument, "OTEL_TRACES_SAMPLER_ARG") : 1;
  throw wrong(
    "OTEL_TRACES_SAMPLER",
    name,
    "use parentbased_always_on, parentbased_always_off or parentbased_traceidratio",
  );
}

/** `NAME=VALUE` with commas between, percent-encoded as in W3C Baggage. */
function pairsOf(variable: string, text: string): Map<string, string> {
  const pairs = text.split(",").filter((each) => each.trim() !== "");
  return new Map(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      const name = pair.slice(0, at).trim();
      if (at < 1 || name === "") throw unreadable(variable);
      try {
        return [name, decodeURIComponent(pair.slice(at + 1).trim())] as const;
      } catch {
        throw unreadable(variable);
      }
    }),
  );
}

function headersOf(variable: string, text: string): Readonly<Record<string, string>> {
  const pairs = [...pairsOf(variable, text)];
  if (!pairs.every(([name, value]) => /^[\w!#$%&'*+.^`|~-]+$/.test(name) && /^[\t\x20-\x7e\x80-\xff]*$/.test(value)))
    throw unreadable(variable);
  return Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]));
}

const unreadable = (variable: string): CliError =>
  new CliError("USAGE", `${variable} cannot be read`, "give NAME=VALUE with commas between, percent-encoded");
