import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = join(fileURLToPath(new URL("../..", import.meta.url)));

/** Program of the processes that serve for the embedded data plane, built of the sources as they are. */
export async function embeddedProgram(): Promise<string> {
  const { prepare } = (await import(pathToFileURL(join(root, "scripts/prepare.mjs")).href)) as {
    readonly prepare: (say: (line: string) => void) => boolean;
  };
  if (!prepare(() => {})) throw new Error("the build failed");
  return join(root, "dist/dataplane/embedded/workers/main.js");
}
