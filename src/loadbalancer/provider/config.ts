import { readFileSync } from "node:fs";
import { shape, type Shape } from "./shape.ts";

/** A provider's configuration cannot be used. */
export class ProviderConfigError extends Error {
  readonly code = "PROVIDER_CONFIG";
}

const complain = (message: string) => new ProviderConfigError(message);

/** What the configuration says for one provider. Unknown names are refused. Throws ProviderConfigError. */
export interface ProviderConfig {
  readonly fields: Shape;
  text(name: string, otherwise?: string): string;
  optional(name: string): string | undefined;
  whole(name: string, least: number, most: number, otherwise: number): number;
  flag(name: string, otherwise: boolean): boolean;
  oneOf<const T extends string>(name: string, values: readonly T[], otherwise: T): T;
  texts(name: string): readonly string[];
  /** As it stands there, in the file that `NAMEFile` names, or in a variable of the environment. */
  secret(name: string, variable: string): string;
  optionalSecret(name: string, variable: string): string | undefined;
  /** Certificates of a file, as `createApi` wants them. */
  pem(name: string): { readonly ca?: string };
  /** An http or https URL without credentials, query and slash at its end. */
  url(name: string, variable?: string): string;
  /** The same, where it need not be given. */
  urlOr(name: string, otherwise: string): string;
}

/** Where Fairlead's own Service proxy, and kube-proxy, tell whether they work. */
export const proxyHealthPort = 10_256;

export function readConfig(
  value: unknown,
  names: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): ProviderConfig {
  const fields = shape(value ?? {}, "config", complain);
  for (const [name] of fields.entries()) {
    if (!names.includes(name)) throw complain(`config.${name} is unknown; there are ${names.join(", ")}`);
  }
  const optional = (name: string) => {
    const field = fields.at(name);
    return field.isAbsent() ? undefined : field.text();
  };
  const optionalSecret = (name: string, variable: string) => {
    const path = optional(`${name}File`);
    if (path === undefined) return optional(name) ?? env[variable];
    try {
      return readFileSync(path, "utf8").trim();
    } catch (error) {
      throw complain(`config.${name}File: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  const config: ProviderConfig = {
    fields,
    optional,
    optionalSecret,
    text(name, otherwise) {
      const found = optional(name) ?? otherwise;
      if (found === undefined || found === "") throw complain(`config.${name} is missing`);
      return found;
    },
    whole(name, least, most, otherwise) {
      const field = fields.at(name);
      const number = field.isAbsent() ? otherwise : field.number();
      if (Number.isInteger(number) && number >= least && number <= most) return number;
      throw complain(`config.${name}: a whole number from ${least} to ${most} is needed`);
    },
    flag: (name, otherwise) => (fields.at(name).isAbsent() ? otherwise : fields.at(name).flag()),
    oneOf(name, values, otherwise) {
      const found = optional(name) ?? otherwise;
      const value = values.find((one) => one === found);
      if (value === undefined) throw complain(`config.${name}: one of ${values.join(", ")} is needed`);
      return value;
    },
    texts: (name) =>
      fields.at(name).isAbsent()
        ? []
        : fields
            .at(name)
            .list()
            .map((one) => one.text()),
    secret(name, variable) {
      const found = optionalSecret(name, variable);
      if (found) return found;
      throw complain(`config.${name} is missing; give it, config.${name}File or the variable ${variable}`);
    },
    pem(name) {
      const path = optional(name);
      if (path === undefined) return {};
      try {
        return { ca: readFileSync(path, "utf8") };
      } catch (error) {
        throw complain(`config.${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
    url(name, variable) {
      const text = optional(name) ?? (variable === undefined ? undefined : env[variable]);
      if (text === undefined) throw complain(`config.${name} is missing`);
      const url = URL.canParse(text) ? new URL(text) : undefined;
      if (
        !url ||
        !["http:", "https:"].includes(url.protocol) ||
        url.username ||
        url.password ||
        url.search ||
        url.hash
      ) {
        throw complain(`config.${name}: a URL with http or https, without user, query and fragment, is needed`);
      }
      return url.href.replace(/\/+$/, "");
    },
    urlOr: (name, otherwise) => (optional(name) === undefined ? otherwise : config.url(name)),
  };
  return config;
}
