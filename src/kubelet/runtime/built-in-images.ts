import { fileURLToPath } from "node:url";
import type { ImageMap } from "./images.ts";

/** Images that come with this package. `program` is the built echo program, where it is not beside this file. */
export function builtInImages(
  program: string = fileURLToPath(new URL("../echo/main.js", import.meta.url)),
  conformance: string = fileURLToPath(new URL("../echo-basic/main.js", import.meta.url)),
): ImageMap {
  const node = [process.execPath, "--max-semi-space-size=1"];
  return {
    "fairlead.dev/echo": { command: [...node, program] },
    // The backend of the Gateway API's conformance tests.
    "registry.k8s.io/gateway-api/echo-basic": { command: [...node, conformance] },
  };
}
