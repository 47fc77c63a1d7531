import { createStrategy } from "../base-strategy.ts";
import { parseJson, type JsonSyntaxError } from "../decode/json.ts";
import type { Secret } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { validateImmutable } from "../validation/metadata.ts";
import { isObject, own, setOwn } from "../values/equal.ts";
import { base64Size, maxDataBytes, validateImmutableData, validateKeys } from "./config-data.ts";

export const secretStrategy = createStrategy(resources.Secret, {
  defaults(secret) {
    secret.type ||= "Opaque";
    if (!secret.stringData) return;
    // stringData is for writing only: it becomes data.
    const data: Record<string, unknown> = { ...secret.data };
    for (const [key, value] of Object.entries(secret.stringData))
      setOwn(data, key, Buffer.from(value).toString("base64"));
    secret.data = data as Record<string, string>;
    delete secret.stringData;
  },
  *validate(secret, _context, old) {
    if (old) {
      yield* validateImmutable(secret.type, old.type, "type");
      yield* validateImmutableData(secret, old, ["data"]);
    }
    const { data = {} } = secret;
    yield* validateKeys(data, "data");
    const size = Object.values(data).reduce((sum, value) => sum + base64Size(value), 0);
    if (size > maxDataBytes) yield fault.tooLong("data", maxDataBytes);
    yield* own(typeRules, secret.type ?? "")?.(secret) ?? [];
  },
  selectableFields: ({ type }) => ({ type: type ?? "" }),
});

/** What a type wants to find in a Secret. */
const typeRules: Readonly<Record<string, (secret: Secret) => Faults>> = {
  *"kubernetes.io/service-account-token"({ metadata }) {
    const name = "kubernetes.io/service-account.name";
    if (!metadata.annotations?.[name]) yield fault.required(`metadata.annotations[${name}]`);
  },
  "kubernetes.io/dockercfg": (secret) => validateJsonKey(secret, ".dockercfg"),
  "kubernetes.io/dockerconfigjson": (secret) => validateJsonKey(secret, ".dockerconfigjson"),
  *"kubernetes.io/basic-auth"({ data = {} }) {
    if (Object.hasOwn(data, "username") || Object.hasOwn(data, "password")) return;
    yield fault.required("data[username]");
    yield fault.required("data[password]");
  },
  *"kubernetes.io/ssh-auth"({ data = {} }) {
    if (!data["ssh-privatekey"]) yield fault.required("data[ssh-privatekey]");
  },
  *"kubernetes.io/tls"({ data = {} }) {
    for (const key of ["tls.crt", "tls.key"]) if (!Object.hasOwn(data, key)) yield fault.required(`data[${key}]`);
  },
};

function* validateJsonKey({ data = {} }: Secret, key: string): Faults {
  const path = `data[${key}]`;
  const value = data[key];
  if (value === undefined) {
    yield fault.required(path);
    return;
  }
  const problem = jsonObjectFault(Buffer.from(value, "base64").toString());
  if (problem !== undefined) yield fault.invalid(path, "<secret contents redacted>", problem);
}

/** Why a text is not a JSON object. The engine's own message would quote the text. */
function jsonObjectFault(text: string): string | undefined {
  try {
    return isObject(parseJson(text).value)
      ? undefined
      : "json: cannot unmarshal the value into Go value of type map[string]interface {}";
  } catch (error) {
    return (error as JsonSyntaxError).message;
  }
}
