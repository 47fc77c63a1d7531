import { join } from "node:path";
import { openPki } from "../../apiserver/index.ts";
import type { Client } from "../../client/index.ts";
import { type Deployment, type KubeObject, resources, type Service } from "../../kube/index.ts";
import type { Clock } from "../../system/index.ts";
import type { ClusterDirectory } from "../directory.ts";
import { CliError } from "../errors.ts";
import { applyManifests, readManifests } from "../manifests.ts";
import type { ClusterState } from "../state.ts";
import type { Answer } from "./requests.ts";
import type { Stage } from "./ways.ts";

const namespace = "shop";
const hosts = ["shop.example.test", "api.example.test"];

/** Image of the visiting pods: the demo maps it to the program beside this file. */
export const visitorImage = "fairlead.dev/demo-visitor";

export interface StageOptions {
  readonly client: Client;
  readonly directory: ClusterDirectory;
  readonly state: ClusterState;
  /** Folder with the example's manifests. */
  readonly manifests: string;
  readonly clock: Clock;
  readonly tell: (line: string) => void;
}

/** Applies the example with a certificate of its own, waits until it is ready, and gives what the ways need to know. */
export async function setStage(options: StageOptions): Promise<Stage> {
  const { client, directory, state, clock, tell } = options;
  const objects = await readManifests([options.manifests]);
  const isNamespace = ({ resource }: { resource: { kind: string } }) => resource.kind === "Namespace";
  await applyManifests(client, objects.filter(isNamespace));
  const pki = await openPki(join(directory.root, "demo-pki"), clock);
  const { cert, key } = await pki.server("shop", { name: hosts[0] ?? "", hosts });
  await client.apply(resources.Secret, {
    metadata: { name: "shop-tls", namespace },
    type: "kubernetes.io/tls",
    data: { "tls.crt": base64(cert), "tls.key": base64(key) },
  });
  await applyManifests(
    client,
    objects.filter((object) => !isNamespace(object)),
  );
  tell(`applied ${objects.length} objects of ${options.manifests}`);

  const deployments = objects.filter(({ resource }) => resource.kind === "Deployment").map(({ object }) => object);
  await until(clock, "the Deployments are available", () => whyNotAvailable(client, deployments));
  await until(clock, "the LoadBalancer has an address", async () => {
    const { status } = await client.get(resources.Service, { namespace, name: "storefront" });
    return status?.loadBalancer?.ingress?.[0]?.ip ? undefined : "none yet: `fairlead status` says why";
  });
  await until(clock, "the Ingress has an address", async () => {
    const { status } = await client.get(resources.Ingress, { namespace, name: "shop" });
    return status?.loadBalancer?.ingress?.length ? undefined : "none yet: `fairlead status` says why";
  });

  const [services, nodes, catalogPods] = await Promise.all([
    client.list(resources.Service, { namespace }),
    client.list(resources.Node),
    client.list(resources.Pod, { namespace, labelSelector: "app=catalog" }),
  ]);
  return {
    services: new Map(services.items.map((service: Service) => [service.metadata.name, service])),
    nodes: nodes.items,
    catalogPods: catalogPods.items,
    dns: state.dns,
    clusterDomain: state.clusterDomain,
    ingress: state.ingress,
    ca: pki.ca,
    fromPod: visit(options),
  };
}

const base64 = (text: string) => Buffer.from(text).toString("base64");

/** Milliseconds that a condition may take to come true. */
const patience = 90_000;

async function until(clock: Clock, what: string, whyNot: () => Promise<string | undefined>): Promise<void> {
  const end = clock.now() + patience;
  for (;;) {
    const reason = await whyNot();
    if (reason === undefined) return;
    if (clock.now() > end) throw new CliError("FAILED", `not within ${patience / 1000} s: ${what}: ${reason}`);
    await clock.sleep(50);
  }
}

async function whyNotAvailable(client: Client, deployments: readonly KubeObject[]): Promise<string | undefined> {
  const now = await client.list(resources.Deployment, { namespace });
  const byName = new Map(now.items.map((deployment: Deployment) => [deployment.metadata.name, deployment]));
  const waiting = deployments.flatMap(({ metadata }) => {
    const { spec, status } = byName.get(metadata.name) ?? {};
    const [ready, wanted] = [status?.availableReplicas ?? 0, spec?.replicas ?? 1];
    return ready >= wanted ? [] : `${metadata.name} ${ready}/${wanted}`;
  });
  return waiting.length > 0 ? waiting.join(", ") : undefined;
}

/** Sends a GET from a pod of its own, and reads the answer from its log. */
function visit({ client, state, clock }: StageOptions): (url: string) => Promise<Answer> {
  let visits = 0;
  return async (url) => {
    const name = `visitor-${++visits}`;
    const server = state.network === "loopback" ? [`${state.dns.address}:${state.dns.port}`] : [];
    await client.create(resources.Pod, {
      metadata: { name, namespace },
      spec: { restartPolicy: "Never", containers: [{ name: "visitor", image: visitorImage, args: [url, ...server] }] },
    });
    try {
      let phase: string | undefined;
      await until(clock, `pod ${name} has ended`, async () => {
        phase = (await client.get(resources.Pod, { namespace, name })).status?.phase;
        return phase === "Succeeded" || phase === "Failed" ? undefined : `it is ${phase}`;
      });
      let log = "";
      for await (const chunk of client.logs({ namespace, name })) log += Buffer.from(chunk).toString();
      if (phase === "Failed") throw new Error(log.split("\n").find((line) => line.includes("Error")) ?? log.trim());
      return JSON.parse(log) as Answer;
    } finally {
      await client.delete(resources.Pod, { namespace, name }, { gracePeriodSeconds: 0 });
    }
  };
}

/** Names of the example's hosts, for `/etc/hosts` or `curl --resolve`. */
export const exampleHosts: readonly string[] = hosts;
