import { readFile } from "node:fs/promises";
import { type Facts, factsOf, readNodes } from "../../explain/index.ts";
import { systemClock, systemCommands } from "../../system/index.ts";
import { readGatewayMeaning } from "./gateways.ts";
import type { ReadCluster } from "./source.ts";

/** Where kube-proxy tells of its health, and Fairlead's proxy as well. */
const healthPort = 10_256;

/** What checks look at: the objects, and those nodes that are on this machine, unless `look` is false. */
export async function readFacts({ cluster, source }: ReadCluster, look = true): Promise<Facts> {
  const { controllerName, inspectKeyPair } = await import("../../dataplane/index.ts");
  const { state, directory } = source;
  const pid = directory ? await readPid(directory.pid) : undefined;
  // Objects of files are on no node.
  const nodes =
    source.client && look
      ? await readNodes({
          commands: systemCommands,
          nodes: cluster.objects.nodes,
          ...(pid === undefined ? {} : { pid }),
          ...(state ? { healthPort } : {}),
        })
      : [];
  const frontends = state?.frontends ?? [];
  const gateways = source.client && (await readGatewayMeaning(source.client, cluster));
  return factsOf(cluster, {
    inspect: inspectKeyPair,
    controllerName,
    frontends,
    nodes,
    ...(gateways ? { gateways } : {}),
    now: systemClock.now(),
    ...(state ? { ports: { http: state.ingress.httpPort, https: state.ingress.httpsPort } } : {}),
  });
}

async function readPid(path: string): Promise<number | undefined> {
  const text = await readFile(path, "utf8").catch(() => "");
  return Number(text.split(" ")[0]) || undefined;
}
