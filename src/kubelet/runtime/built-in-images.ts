import { fileURLToPath } from "node:url";
import type { ImageMap } from "./images.ts";

/** Images that come with this package. `program` is the built echo program, where it is not beside this file. */
export function builtInImages(program: string = fileURLToPath(new URL("../echo/main.js", import.meta.url))): ImageMap {
  return { "fairlead.dev/echo": { command: [process.execPath, "--max-semi-space-size=1", program] } };
}
