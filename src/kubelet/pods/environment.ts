import {
  beforePort,
  type ConfigMap,
  type Container,
  type EnvVarSource,
  type Secret,
  type Service,
} from "../../kube/index.ts";
import { ConfigError } from "./config-error.ts";
import { type DownwardFacts, fieldValue, resourceValue } from "./downward-api.ts";
import { expand } from "./expansion.ts";

/** Reads what a pod refers to, in the pod's namespace; undefined when it does not exist. */
export interface Lookup {
  configMap(name: string): Promise<ConfigMap | undefined>;
  secret(name: string): Promise<Secret | undefined>;
}

/**
 * A container's environment: Service variables, then envFrom, then env, each over the one before; `$(NAME)` in a
 * value refers to what came earlier. Throws `ConfigError` naming what is missing.
 */
export async function environmentFor(
  container: Container,
  facts: DownwardFacts,
  services: Readonly<Record<string, string>>,
  lookup: Lookup,
): Promise<Record<string, string>> {
  const fromSources: Record<string, string> = {};
  for (const { prefix = "", configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef) {
      const map = await lookup.configMap(configMapRef.name ?? "");
      if (!map && !configMapRef.optional) throw new ConfigError(`configmap "${configMapRef.name}" not found`);
      for (const [key, value] of Object.entries(map?.data ?? {})) fromSources[prefix + key] = value;
    }
    if (secretRef) {
      const secret = await lookup.secret(secretRef.name ?? "");
      if (!secret && !secretRef.optional) throw new ConfigError(`secret "${secretRef.name}" not found`);
      for (const [key, value] of Object.entries(secret?.data ?? {})) fromSources[prefix + key] = decode(value);
    }
  }
  const env: Record<string, string> = { ...services, ...fromSources };
  for (const { name, value, valueFrom } of container.env ?? []) {
    const found = valueFrom ? await sourceValue(valueFrom, container, facts, lookup) : expand(value ?? "", env);
    if (found !== undefined) env[name] = found;
  }
  return env;
}

async function sourceValue(
  source: EnvVarSource,
  container: Container,
  facts: DownwardFacts,
  lookup: Lookup,
): Promise<string | undefined> {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = source;
  if (fieldRef) return fieldValue(fieldRef.fieldPath, facts);
  if (resourceFieldRef) return resourceValue(resourceFieldRef, container, facts);
  const ref = configMapKeyRef ?? secretKeyRef;
  if (!ref) throw new ConfigError("valueFrom names no source that this kubelet knows");
  const kind = configMapKeyRef ? "configmap" : "secret";
  const object = configMapKeyRef ? await lookup.configMap(ref.name ?? "") : await lookup.secret(ref.name ?? "");
  if (!object && !ref.optional) throw new ConfigError(`${kind} "${ref.name}" not found`);
  const data = object?.data?.[ref.key];
  const missing = kind === "configmap" ? "ConfigMap" : "Secret";
  if (data === undefined && !ref.optional) {
    throw new ConfigError(`couldn't find key ${ref.key} in ${missing} ${facts.pod.metadata.namespace}/${ref.name}`);
  }
  return data === undefined || kind === "configmap" ? data : decode(data);
}

/**
 * The variables that tell of Services (`REDIS_SERVICE_HOST`, `REDIS_PORT_6379_TCP_ADDR`...): those of the pod's
 * namespace when it wants them, and always those of `kubernetes`. A Service without an address has none.
 */
export function serviceVariables(
  services: readonly Service[],
  pod: { readonly namespace: string; readonly links: boolean },
): Record<string, string> {
  const wanted = services.filter(({ metadata }) => {
    if (metadata.namespace === "default" && metadata.name === "kubernetes") return true;
    return pod.links && metadata.namespace === pod.namespace;
  });
  // Its own namespace last, so that a Service called kubernetes there wins.
  wanted.sort(
    (a, b) => Number(a.metadata.namespace === pod.namespace) - Number(b.metadata.namespace === pod.namespace),
  );
  return Object.assign({}, ...wanted.map(variablesOf)) as Record<string, string>;
}

function variablesOf({ metadata, spec }: Service): Record<string, string> {
  const address = spec.clusterIP;
  const [first] = spec.ports ?? [];
  if (!address || address === "None" || !first) return {};
  const name = shout(metadata.name);
  const host = beforePort(address);
  const url = (port: { port: number; protocol?: string }): string =>
    `${(port.protocol ?? "TCP").toLowerCase()}://${host}:${port.port}`;
  const env: Record<string, string> = {
    [`${name}_SERVICE_HOST`]: address,
    [`${name}_SERVICE_PORT`]: String(first.port),
    [`${name}_PORT`]: url(first),
  };
  for (const port of spec.ports ?? []) {
    if (port.name) env[`${name}_SERVICE_PORT_${shout(port.name)}`] = String(port.port);
    const protocol = port.protocol ?? "TCP";
    const prefix = `${name}_PORT_${port.port}_${protocol}`;
    env[prefix] = url(port);
    env[`${prefix}_PROTO`] = protocol.toLowerCase();
    env[`${prefix}_PORT`] = String(port.port);
    env[`${prefix}_ADDR`] = address;
  }
  return env;
}

const shout = (name: string): string => name.toUpperCase().replaceAll("-", "_");
const decode = (base64: string): string => Buffer.from(base64, "base64").toString();
