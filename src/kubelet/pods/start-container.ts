import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Container, Pod, Service } from "../../kube/index.ts";
import type { EventRecorder } from "../../client/index.ts";
import type { RunHandler } from "../probes/handler.ts";
import { type ContainerRecord, type Mount, type Runtime, RuntimeError, type Sandbox } from "../runtime/runtime.ts";
import { droppedCapabilities } from "./capabilities.ts";
import { ConfigError } from "./config-error.ts";
import type { WaitingReason } from "./container-status.ts";
import type { DownwardFacts } from "./downward-api.ts";
import { environmentFor, type Lookup, serviceVariables } from "./environment.ts";
import { expand } from "./expansion.ts";
import type { PodDirectories } from "./pod-directories.ts";
import type { Start } from "./plan.ts";
import { sysctlsOf } from "./sysctls.ts";

export interface StartFacts extends DownwardFacts {
  readonly sandbox: Sandbox;
  readonly services: readonly Service[];
  /** Paths on the node of the pod's volumes, by name. */
  readonly volumes: ReadonlyMap<string, string>;
}

export interface StartTools {
  readonly runtime: Runtime;
  readonly recorder: EventRecorder;
  readonly directories: PodDirectories;
  readonly lookup: Lookup;
  readonly runHandler: RunHandler;
}

/** Starts a container. What hinders it is the answer, as the container's waiting reason, and an event. */
export async function startContainer(
  { container, attempt }: Start,
  facts: StartFacts,
  tools: StartTools,
): Promise<WaitingReason | undefined> {
  const { pod } = facts;
  const { runtime, recorder } = tools;
  const fieldPath = fieldPathOf(pod, container);
  const tell = (type: "Normal" | "Warning", reason: string, message: string): void =>
    recorder.event(pod, type, reason, message, { fieldPath });
  const failed = (reason: string, error: unknown): WaitingReason => {
    const message = error instanceof Error ? error.message : String(error);
    tell("Warning", "Failed", `Error: ${message}`);
    return { reason, message };
  };

  const imageName = container.image ?? "";
  let user: number | undefined;
  try {
    user = (await runtime.ensureImage(imageName)).user;
  } catch (error) {
    if (!(error instanceof RuntimeError && error.code === "IMAGE_UNKNOWN")) throw error;
    tell("Warning", "ErrImageNeverPull", error.message);
    return { reason: "ErrImageNeverPull", message: error.message };
  }
  tell("Normal", "Pulled", `Container image "${imageName}" already present on machine`);

  let id: string;
  try {
    id = await runtime.createContainer(await configOf(container, attempt, user, facts, tools));
  } catch (error) {
    if (error instanceof ConfigError) return failed("CreateContainerConfigError", error);
    return failed("CreateContainerError", error);
  }
  tell("Normal", "Created", `Created container: ${container.name}`);
  try {
    await runtime.startContainer(id);
  } catch (error) {
    return failed("RunContainerError", error);
  }
  tell("Normal", "Started", `Started container ${container.name}`);

  return undefined;
}

/** Runs a container's postStart. When it fails the container is ended, and the answer is its waiting reason. */
export async function runPostStart(
  pod: Pod,
  container: Container,
  record: ContainerRecord,
  address: string,
  { runtime, recorder, runHandler }: Pick<StartTools, "runtime" | "recorder" | "runHandler">,
): Promise<WaitingReason | undefined> {
  const hook = container.lifecycle?.postStart;
  if (!hook) return undefined;
  const target = { pod, containerName: container.name, containerId: record.id, address };
  const result = await runHandler(hook, target, hookTimeoutMs);
  if (result.ok) return undefined;
  const fieldPath = fieldPathOf(pod, container);
  recorder.event(pod, "Warning", "FailedPostStartHook", `PostStartHook failed: ${result.message}`, { fieldPath });
  recorder.event(pod, "Normal", "Killing", "FailedPostStartHook", { fieldPath });
  await runtime.stopContainer(record.id, (pod.spec.terminationGracePeriodSeconds ?? 30) * 1000);
  return { reason: "PostStartHookError", message: result.message };
}

/** Upstream sets no limit to a hook; nothing here may wait for ever. */
const hookTimeoutMs = 600_000;

async function configOf(
  container: Container,
  attempt: number,
  imageUser: number | undefined,
  facts: StartFacts,
  tools: StartTools,
) {
  const { pod, sandbox } = facts;
  const uid = pod.metadata.uid ?? "";
  const links = pod.spec.enableServiceLinks ?? true;
  const services = serviceVariables(facts.services, { namespace: pod.metadata.namespace ?? "", links });
  const env = await environmentFor(container, facts, services, tools.lookup);
  const logPath = join(tools.directories.logs(uid, container.name), `${attempt}.log`);
  mkdirSync(dirname(logPath), { recursive: true });
  const own = container.securityContext ?? {};
  const shared = pod.spec.securityContext ?? {};
  const user = own.runAsUser ?? shared.runAsUser ?? imageUser;
  if ((own.runAsNonRoot ?? shared.runAsNonRoot) && (user === undefined || user === 0)) {
    throw new ConfigError("container has runAsNonRoot and image will run as root");
  }
  const groups = [...(shared.supplementalGroups ?? []), ...(shared.fsGroup === undefined ? [] : [shared.fsGroup])];
  return {
    sandboxId: sandbox.id,
    podUid: uid,
    name: container.name,
    attempt,
    image: container.image ?? "",
    command: container.command?.map((word) => expand(word, env)),
    args: container.args?.map((word) => expand(word, env)),
    env: { ...nodeVariables(container, facts), ...env },
    workingDir: container.workingDir,
    mounts: mountsOf(pod, container, facts.volumes, env),
    volumesDirectory: tools.directories.volumes(uid),
    user,
    group: own.runAsGroup ?? shared.runAsGroup,
    supplementalGroups: groups,
    noNewPrivileges: own.allowPrivilegeEscalation === false,
    droppedCapabilities: droppedCapabilities(container),
    sysctls: sysctlsOf(pod),
    logPath,
    terminationLog: {
      file: join(dirname(logPath), `${attempt}.termination`),
      target: container.terminationMessagePath ?? "/dev/termination-log",
      fallback: container.terminationMessagePolicy === "FallbackToLogsOnError",
    },
    stopSignal: container.lifecycle?.stopSignal ?? "SIGTERM",
    ...(container.tty ? { tty: true } : {}),
    ...(container.stdin ? { stdin: true } : {}),
    ...(container.stdinOnce ? { stdinOnce: true } : {}),
  };
}

/** What the echo image and other processes without an image of their own like to know. */
function nodeVariables(container: Container, { pod }: StartFacts): Record<string, string> {
  const ports = (container.ports ?? []).map((port) => `${port.containerPort}/${port.protocol ?? "TCP"}`);
  return {
    HOSTNAME: pod.spec.hostname ?? pod.metadata.name,
    FAIRLEAD_NAMESPACE: pod.metadata.namespace ?? "",
    FAIRLEAD_NODE: pod.spec.nodeName ?? "",
    ...(ports.length > 0 ? { FAIRLEAD_PORTS: ports.join(",") } : {}),
  };
}

function mountsOf(
  pod: Pod,
  container: Container,
  volumes: ReadonlyMap<string, string>,
  env: Readonly<Record<string, string>>,
): Mount[] {
  return (container.volumeMounts ?? []).map(({ name, mountPath, readOnly = false, subPath, subPathExpr }) => {
    const root = volumes.get(name);
    if (root === undefined) throw new ConfigError(`volumeMount "${name}" names no volume of the pod`);
    const within = subPathExpr === undefined ? (subPath ?? "") : expand(subPathExpr, env);
    if (within.startsWith("/") || within.split("/").includes("..")) {
      throw new ConfigError(`subPath "${within}" must be a relative path without ".."`);
    }
    const volume = pod.spec.volumes?.find((one) => one.name === name);
    const isFixed = readOnly || volume?.persistentVolumeClaim?.readOnly === true;
    return { name, source: join(root, within), target: mountPath, readOnly: isFixed };
  });
}

/** How events name a container of a pod. */
export function fieldPathOf(pod: Pod, { name }: Container): string {
  const isOf = (list: readonly { readonly name: string }[] = []): boolean => list.some((one) => one.name === name);
  if (isOf(pod.spec.initContainers)) return `spec.initContainers{${name}}`;
  return `spec.${isOf(pod.spec.ephemeralContainers) ? "ephemeralContainers" : "containers"}{${name}}`;
}
