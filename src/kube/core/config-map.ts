import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";
import { fault } from "../validation/fault.ts";
import { base64Size, maxDataBytes, validateImmutableData, validateKeys } from "./config-data.ts";

export const configMapStrategy = createStrategy(resources.ConfigMap, {
  *validate(configMap, _context, old) {
    const { data = {}, binaryData = {} } = configMap;
    if (old) yield* validateImmutableData(configMap, old, ["data", "binaryData"]);
    yield* validateKeys(data, "data");
    for (const key of Object.keys(data)) {
      if (Object.hasOwn(binaryData, key)) {
        yield fault.invalid(`data[${key}]`, key, "duplicate of key present in binaryData");
      }
    }
    yield* validateKeys(binaryData, "binaryData");
    const text = Object.values(data).reduce((sum, value) => sum + Buffer.byteLength(value), 0);
    const binary = Object.values(binaryData).reduce((sum, value) => sum + base64Size(value), 0);
    if (text + binary > maxDataBytes) yield fault.tooLong("[]", maxDataBytes);
  },
});
