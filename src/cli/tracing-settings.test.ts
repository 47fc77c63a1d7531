import { expect, it } from "vitest";
import { CliError } from "./errors.ts";
import { tracingSettings } from "./tracing-settings.ts";

const none = { tracingEndpoint: "", tracingSample: undefined };
const flags = { tracingEndpoint: "http://collector:4318", tracingSample: 0.25 };

it("is off unless somebody asks for it", () => {
  expect(tracingSettings(none, {})).toBeUndefined();
  expect(tracingSettings(none, { OTEL_SERVICE_NAME: "web" })).toBeUndefined();
  const OTEL_EXPORTER_OTLP_ENDPOINT = "http://collector:4318";
  expect(tracingSettings(none, { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SDK_DISABLED: "true" })).toBeUndefined();
  expect(tracingSettings(none, { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_EXPORTER: "none" })).toBeUndefined();
});

it.each([
  ["http://collector:4318", {}, "http://collector:4318/v1/traces"],
  ["https://collector/otlp/v1/traces", {}, "https://collector/otlp/v1/traces"],
  ["", { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318/" }, "http://collector:4318/v1/traces"],
  ["", { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector/otlp" }, "http://collector/otlp/v1/traces"],
  ["", { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://collector/mine" }, "http://collector/mine"],
  [
    "http://flag",
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://variable", OTEL_SDK_DISABLED: "true" },
    "http://flag/v1/traces",
  ],
])("--tracing-endpoint %j and %o lead to %s", (tracingEndpoint, environment, url) => {
  expect(tracingSettings({ ...none, tracingEndpoint }, environment)).toMatchObject({ url });
});

it("has all else of the environment, and what is for traces alone first", () => {
  const settings = tracingSettings(flags, {
    OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=other",
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: "Authorization=Bearer%20a%2Cb, x-tenant=shop",
    OTEL_EXPORTER_OTLP_TIMEOUT: "2500",
    OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
    OTEL_EXPORTER_OTLP_CERTIFICATE: "/etc/ca.crt",
    OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=prod,service.name=mine",
    OTEL_TRACES_SAMPLER: "parentbased_always_off",
  });
  expect(settings).toEqual({
    sample: 0.25,
    url: "http://collector:4318/v1/traces",
    headers: { authorization: "Bearer a,b", "x-tenant": "shop" },
    timeout: 2_500,
    compress: true,
    certificate: "/etc/ca.crt",
    resource: new Map([
      ["deployment.environment.name", "prod"],
      ["service.name", "mine"],
    ]),
  });
  expect(tracingSettings(flags, { OTEL_SERVICE_NAME: "edge" })?.resource.get("service.name")).toBe("edge");
  expect(tracingSettings(flags, {})?.resource.get("service.name")).toBe("fairlead");
});

it.each([
  [{}, 1],
  [{ OTEL_TRACES_SAMPLER: "parentbased_always_off" }, 0],
  [{ OTEL_TRACES_SAMPLER: "parentbased_traceidratio" }, 1],
  [{ OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.01" }, 0.01],
])("%o: a share of %d", (environment, sample) => {
  expect(tracingSettings({ ...flags, tracingSample: undefined }, environment)).toMatchObject({ sample });
});

it.each([
  [{ ...none, tracingSample: 1 }, {}, "--tracing-sample needs"],
  [{ ...flags, tracingEndpoint: "collector:4318" }, {}, "--tracing-endpoint"],
  [{ ...flags, tracingEndpoint: "http://me:secret@collector" }, {}, "--tracing-endpoint"],
  [none, { OTEL_EXPORTER_OTLP_ENDPOINT: "grpc://collector" }, "OTEL_EXPORTER_OTLP_ENDPOINT"],
  [
    none,
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4317", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
    "OTEL_EXPORTER_OTLP_PROTOCOL",
  ],
  [{ ...flags, tracingSample: undefined }, { OTEL_TRACES_SAMPLER: "always_on" }, "OTEL_TRACES_SAMPLER"],
  [
    { ...flags, tracingSample: undefined },
    { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "2" },
    "OTEL_TRACES_SAMPLER_ARG",
  ],
  [flags, { OTEL_EXPORTER_OTLP_COMPRESSION: "zstd" }, "OTEL_EXPORTER_OTLP_COMPRESSION"],
  [flags, { OTEL_EXPORTER_OTLP_TIMEOUT: "10s" }, "OTEL_EXPORTER_OTLP_TIMEOUT"],
  [flags, { OTEL_RESOURCE_ATTRIBUTES: "a" }, "OTEL_RESOURCE_ATTRIBUTES"],
  [flags, { OTEL_EXPORTER_OTLP_HEADERS: "token=secret%0d%0ax: y" }, "OTEL_EXPORTER_OTLP_HEADERS"],
  [flags, { OTEL_EXPORTER_OTLP_HEADERS: "token=secret%" }, "OTEL_EXPORTER_OTLP_HEADERS"],
])("%o with %o is refused by name, without a secret", (given, environment, name) => {
  const refused = (): unknown => tracingSettings(given, environment);
  expect(refused).toThrow(CliError);
  expect(refused).toThrow(name);
  expect(refused).not.toThrow("secret");
});
