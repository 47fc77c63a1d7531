import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join, resolve } from "node:path";
import { ClientError } from "./client.ts";
import type { ClientConfig, Credentials, ExecPlugin } from "./config.ts";

export interface KubeconfigOptions {
  /** One file. Absent: the files of `KUBECONFIG`, else `~/.kube/config`, else the service account of the pod this runs in. */
  readonly path?: string;
  /** Name of a context. Absent: `current-context`. */
  readonly context?: string;
  /** Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

type Section = Readonly<Record<string, unknown>>;
interface Entry {
  readonly value: Section;
  readonly file: string;
}
interface Merged {
  readonly clusters: Map<string, Entry>;
  readonly users: Map<string, Entry>;
  readonly contexts: Map<string, Entry>;
  current: string | undefined;
}

const serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * How to reach the cluster that a kubeconfig names, by client-go's rules: of several files the first to define something
 * wins, and relative paths count from the file that holds them. Throws ClientError KUBECONFIG naming file, field and remedy.
 */
export async function loadKubeconfig(options: KubeconfigOptions = {}): Promise<ClientConfig> {
  const env = options.env ?? process.env;
  const named = options.path ? [options.path] : env["KUBECONFIG"]?.split(delimiter).filter(Boolean);
  const files = named?.length ? named : [join(env["HOME"] ?? homedir(), ".kube", "config")];
  const merged: Merged = { clusters: new Map(), users: new Map(), contexts: new Map(), current: undefined };
  let found = 0;
  for (const file of files) {
    const text = await readText(file, options.path !== undefined);
    if (text === undefined) continue;
    found++;
    await merge(merged, file, text);
  }
  if (found === 0) {
    const inPod = named?.length ? undefined : await podConfig(env);
    if (inPod) return inPod;
    throw wrong(`no kubeconfig at ${files.join(", ")}: give --kubeconfig FILE or set KUBECONFIG`);
  }
  return resolveContext(merged, options.context ?? merged.current, files.join(", "));
}

async function readText(file: string, required: boolean): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" && !required) return undefined;
    throw wrong(code === "ENOENT" ? `${file} does not exist` : `${file} can't be read: ${code}`, error);
  }
}

async function merge(merged: Merged, file: string, text: string): Promise<void> {
  const { parse } = await import("yaml");
  let content: unknown;
  try {
    content = parse(text);
  } catch (error) {
    throw wrong(`${file} is not YAML: ${error instanceof Error ? error.message.split("\n")[0] : ""}`, error);
  }
  if (!isSection(content))
    throw wrong(`${file} is not a kubeconfig: it must be a map with clusters, users and contexts`);
  for (const [list, item] of [
    ["clusters", "cluster"],
    ["users", "user"],
    ["contexts", "context"],
  ] as const) {
    const entries = content[list] ?? [];
    if (!Array.isArray(entries)) throw wrong(`${file}: ${list} must be a list`);
    for (const [i, entry] of entries.entries()) {
      if (!isSection(entry) || typeof entry["name"] !== "string") throw wrong(`${file}: ${list}[${i}].name is missing`);
      const value = isSection(entry[item]) ? entry[item] : {};
      if (!merged[list].has(entry["name"])) merged[list].set(entry["name"], { value, file });
    }
  }
  if (typeof content["current-context"] === "string" && content["current-context"]) {
    merged.current ??= content["current-context"];
  }
}

async function resolveContext(merged: Merged, name: string | undefined, files: string): Promise<ClientConfig> {
  if (!name) throw wrong(`${files}: current-context is not set: give --context or set it`);
  const context = pick(merged.contexts, name, files, "context");
  const clusterName = textOf(context, "cluster");
  if (!clusterName) throw wrong(`${context.file}: context "${name}" names no cluster`);
  const cluster = pick(merged.clusters, clusterName, files, "cluster");
  const userName = textOf(context, "user");
  const user = userName ? pick(merged.users, userName, files, "user") : { value: {}, file: files };
  const server = textOf(cluster, "server");
  if (!server || !/^https?:\/\//.test(server) || !URL.canParse(server)) {
    throw wrong(
      `${cluster.file}: cluster "${clusterName}": server must be a URL like https://host:6443, not "${server ?? ""}"`,
    );
  }
  if (textOf(cluster, "proxy-url")) {
    throw wrong(
      `${cluster.file}: cluster "${clusterName}": proxy-url is not supported: reach the server directly, or remove it`,
    );
  }
  const ca = await pem(cluster, "certificate-authority");
  const serverName = textOf(cluster, "tls-server-name");
  const namespace = textOf(context, "namespace");
  return {
    server: server.replace(/\/+$/, ""),
    ...(ca ? { ca } : {}),
    ...(serverName ? { serverName } : {}),
    ...(cluster.value["insecure-skip-tls-verify"] === true ? { insecure: true } : {}),
    ...(namespace ? { namespace } : {}),
    credentials: await credentialsOf(user),
  };
}

async function credentialsOf(user: Entry): Promise<Credentials> {
  const { value, file } = user;
  const text = (field: string) => textOf(user, field);
  const [certificate, key] = [await pem(user, "client-certificate"), await pem(user, "client-key")];
  if (Boolean(certificate) !== Boolean(key))
    throw wrong(`${file}: client-certificate and client-key must be given together`);
  const [token, tokenFile] = [text("token"), text("tokenFile")];
  const [username, password] = [text("username"), text("password")];
  const exec = isSection(value["exec"]) ? execOf(value["exec"], file) : undefined;
  if (value["auth-provider"])
    throw wrong(`${file}: auth-provider is no longer supported by Kubernetes: use an exec plugin`);
  const as = text("as");
  const [groups, extra, uid] = [value["as-groups"], value["as-user-extra"], text("as-uid")];
  return {
    ...(certificate && key ? { certificate, key } : {}),
    ...(token ? { token } : {}),
    ...(tokenFile ? { tokenFile: beside(file, tokenFile) } : {}),
    ...(username ? { username, password: password ?? "" } : {}),
    ...(exec ? { exec } : {}),
    ...(as
      ? {
          impersonate: {
            user: as,
            ...(uid ? { uid } : {}),
            ...(Array.isArray(groups) ? { groups: groups.map(String) } : {}),
            ...(isSection(extra) ? { extra: extra as Record<string, string[]> } : {}),
          },
        }
      : {}),
  };
}

function execOf(exec: Section, file: string): ExecPlugin {
  const { apiVersion, command, args, env, installHint, provideClusterInfo } = exec;
  if (typeof command !== "string" || !command) throw wrong(`${file}: exec.command is missing`);
  if (typeof apiVersion !== "string" || !/^client\.authentication\.k8s\.io\/v1(beta1)?$/.test(apiVersion)) {
    throw wrong(`${file}: exec.apiVersion must be client.authentication.k8s.io/v1 or v1beta1`);
  }
  const pairs = (Array.isArray(env) ? env : [])
    .filter(isSection)
    .map(({ name, value }) => [String(name), String(value)] as const);
  return {
    apiVersion,
    // As client-go: a path with a separator counts from the file, a bare name from PATH.
    command: command.includes("/") ? beside(file, command) : command,
    args: Array.isArray(args) ? args.map(String) : [],
    env: Object.fromEntries(pairs),
    ...(typeof installHint === "string" ? { installHint } : {}),
    provideClusterInfo: provideClusterInfo === true,
  };
}

/** The service account that a pod's containers are given. */
async function podConfig(env: Readonly<Record<string, string | undefined>>): Promise<ClientConfig | undefined> {
  const host = env["KUBERNETES_SERVICE_HOST"];
  if (!host) return undefined;
  const [ca, namespace] = await Promise.all(
    ["ca.crt", "namespace"].map((name) => readFile(join(serviceAccountFolder, name), "utf8").catch(() => undefined)),
  );
  return {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${env["KUBERNETES_SERVICE_PORT"] ?? "443"}`,
    ...(ca ? { ca } : {}),
    ...(namespace ? { namespace: namespace.trim() } : {}),
    credentials: { tokenFile: join(serviceAccountFolder, "token") },
  };
}

/** PEM text of `FIELD-data` (base64) or of the file that `FIELD` names. */
async function pem(entry: Entry, field: string): Promise<string | undefined> {
  const data = textOf(entry, `${field}-data`);
  const path = textOf(entry, field);
  if (!data && !path) return undefined;
  const text = data ? Buffer.from(data, "base64").toString() : await readText(beside(entry.file, path ?? ""), true);
  if (!text?.includes("-----BEGIN")) {
    throw wrong(`${entry.file}: ${data ? `${field}-data` : `${field} (${path})`} holds no PEM`);
  }
  return text;
}

function pick(from: Map<string, Entry>, name: string, files: string, what: string): Entry {
  const entry = from.get(name);
  if (entry) return entry;
  throw wrong(`${files}: there is no ${what} "${name}"; there are: ${[...from.keys()].join(", ") || "none"}`);
}

function textOf({ value, file }: Entry, field: string): string | undefined {
  const found = value[field];
  if (found === undefined || found === null || found === "") return undefined;
  if (typeof found !== "string") throw wrong(`${file}: ${field} must be a text`);
  return found;
}

const beside = (file: string, path: string): string => (isAbsolute(path) ? path : resolve(dirname(file), path));

const isSection = (value: unknown): value is Section =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const wrong = (message: string, cause?: unknown): ClientError =>
  new ClientError("KUBECONFIG", message, cause === undefined ? {} : { cause });
