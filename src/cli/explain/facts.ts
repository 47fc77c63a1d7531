import { readFile } from "node:fs/promises";
import { type ExposureOptions, type Facts, factsOf, readNodes } from "../../explain/index.ts";
import { systemClock, systemCommands } from "../../system/index.ts";
import { readGatewayMeaning } from "./gateways.ts";
import type { ClusterSource, ReadCluster } from "./source.ts";

/** Where kube-proxy tells of its health, and Fairlead's proxy as well. */
const healthPort = 10_256;

/** What checks look at: the objects, and those nodes that are on this machine, unless `look` is false. */
export async function readFacts({ cluster, source }: ReadCluster, look = true): Promise<Facts> {
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
  const gateways = source.client && (await readGatewayMeaning(source.client, cluster));
  return factsOf(cluster, {
    ...(await exposureOptions(source)),
    nodes,
    ...(gateways ? { gateways } : {}),
    now: systemClock.now(),
  });
}

/** What it takes to say where things answer: who serves, by which ports, and what does not work as asked for. */
export async function exposureOptions({ state, facts }: ClusterSource): Promise<ExposureOptions> {
  const { controllerName, inspectKeyPair } = await import("../../dataplane/index.ts");
  return {
    clusterDomain: facts.clusterDomain,
    frontends: state?.frontends ?? [],
    controllerName,
    inspect: inspectKeyPair,
    ports: { http: state?.ingress.httpPort ?? 80, https: state?.ingress.httpsPort ?? 443 },
  };
}

async function readPid(path: string): Promise<number | undefined> {
  const text = await readFile(path, "utf8").catch(() => "");
  return Number(text.split(" ")[0]) || undefined;
}
