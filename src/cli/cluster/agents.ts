import { spawn } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Pki } from "../../apiserver/index.ts";
import type { ClusterDirectory } from "../directory.ts";
import { lanName, lanNamespace } from "../lan.ts";
import { endProcess } from "../process-file.ts";
import { vipUser } from "./vip.ts";
import type { AgentConfig } from "../agent.ts";

/** Files of one further node's agent. */
export function agentFiles(directory: ClusterDirectory, name: string) {
  const file = (suffix: string) => join(directory.agents, `${name}.${suffix}`);
  return { config: file("json"), process: file("pid"), log: file("log") };
}

/** Milliseconds that an agent gets to end by itself. */
const patience = 10_000;

/** Ends the agents of a cluster, wherever they came from; pods go on running. Settles when they have gone. */
export async function endAgents(directory: ClusterDirectory): Promise<void> {
  const names = await readdir(directory.agents).catch(() => []);
  const files = names.filter((name) => name.endsWith(".pid")).map((name) => join(directory.agents, name));
  await Promise.all(files.map((file) => endProcess(file, patience)));
}

export interface AgentOptions {
  readonly directory: ClusterDirectory;
  readonly pki: Pki;
  readonly name: string;
  readonly number: number;
  readonly config: Omit<AgentConfig, "credentials" | "client" | "proxyClient" | "vipClient" | "ca">;
  /** It holds load-balancer addresses. */
  readonly vip: boolean;
}

/**
 * Starts the agent of a further node in that node's network namespace. It outlives this process and finds the API again by
 * itself; the next start of the cluster replaces it.
 */
export async function startAgent({ directory, pki, name, number, config, vip }: AgentOptions): Promise<void> {
  const files = agentFiles(directory, name);
  await mkdir(directory.agents, { recursive: true, mode: 0o700 });
  const identity = { user: `system:node:${name}`, groups: ["system:nodes"] };
  const [client, proxyClient, vipClient, credentials] = await Promise.all([
    pki.client(name, identity),
    pki.client(`${name}-proxy`, { user: "system:kube-proxy", groups: [] }),
    vip ? pki.client(`${name}-vip`, { user: vipUser, groups: [] }) : undefined,
    pki.server(`${name}-kubelet`, { name: identity.user, groups: identity.groups, hosts: [name, ...config.addresses] }),
  ]);
  const full: AgentConfig = {
    ...config,
    client,
    proxyClient,
    ...(vipClient ? { vipClient } : {}),
    ca: pki.ca,
    credentials: { ...credentials, ca: pki.ca },
  };
  await writeFile(files.config, JSON.stringify(full), { mode: 0o600 });
  const inside = [
    "--net=" + join("/run/netns", lanNamespace(lanName(directory.root), number)),
    "--",
    process.execPath,
    process.argv[1] ?? "",
  ];
  const child = spawn("nsenter", [...inside, "agent", "--dir", directory.root, "--node", name], {
    detached: true,
    stdio: "ignore",
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  child.unref();
}
