// Holds requests against Microsoft's own models of the API: those of @azure/arm-network 36.0.0 (MIT, generated from Azure's specification of
// Microsoft.Network 2025-05-01), as JSON schema. What only Azure writes is no part of a request; `required` of nested properties, which the package
// does not keep, is from the specification.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import Ajv from "ajv";

const file = join(import.meta.dirname, "network-2025-05-01.json.gz");
const { definitions } = JSON.parse(gunzipSync(readFileSync(file)).toString());
const required = {
  LoadBalancingRule: ["protocol", "frontendPort"],
  Probe: ["protocol", "port"],
  SecurityRule: ["protocol", "access", "priority", "direction"],
};
for (const [name, fields] of Object.entries(required)) {
  definitions[name].required = ["properties"];
  definitions[name].properties.properties.required = fields;
}
const limits = {
  LoadBalancingRule: { frontendPort: [0, 65_534], backendPort: [0, 65_535], idleTimeoutInMinutes: [4, 100] },
  Probe: { port: [1, 65_535], intervalInSeconds: [5, 2 ** 31 - 1] },
  SecurityRule: { priority: [100, 4_096] },
};
for (const [name, fields] of Object.entries(limits)) {
  for (const [field, [minimum, maximum]] of Object.entries(fields)) {
    Object.assign(definitions[name].properties.properties.properties[field], { type: "integer", minimum, maximum });
  }
}
const ajv = new Ajv.default({ strict: false, allErrors: true, validateFormats: false, logger: false });
ajv.addSchema({ definitions }, "network");
const validators = Object.fromEntries(
  ["LoadBalancer", "PublicIPAddress", "SecurityRule"].map((name) => [
    name,
    ajv.compile({ $ref: `network#/definitions/${name}` }),
  ]),
);

/** What is wrong with a body. */
export function problemsOf(name, body) {
  const validate = validators[name];
  if (validate(body)) return [];
  return validate.errors.map((one) => `${one.instancePath} ${one.message} ${JSON.stringify(one.params)}`);
}
