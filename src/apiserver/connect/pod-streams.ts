import { resources, statusError, type KubeObject, type Pod } from "../../kube/index.ts";
import { isTrue } from "../request/request-info.ts";

/** The parts of a pod that become streams. */
export type StreamedPart = "exec" | "attach" | "portforward";

/** What a client wants of exec, attach or port-forward. */
export interface StreamRequest {
  /** PodExecOptions, PodAttachOptions or PodPortForwardOptions, as admission sees them. */
  readonly options: KubeObject;
  /** Path and query for the kubelet. Throws StatusError BadRequest when the pod has no such container, or more than one and none is named. */
  readonly pathFor: (pod: Pod) => string;
}

const kinds = { exec: "PodExecOptions", attach: "PodAttachOptions", portforward: "PodPortForwardOptions" } as const;

export const kindOf = (part: StreamedPart) => ({ group: "", version: "v1", kind: kinds[part] });

export function readStreamRequest(part: StreamedPart, query: URLSearchParams): StreamRequest {
  const base = { kind: kinds[part], apiVersion: "v1" };
  if (part === "portforward") {
    // Named again for each, or once with commas between.
    const texts = query.getAll("ports").flatMap((text) => text.split(","));
    const ports = texts.map((text) => {
      if (!/^\d{1,5}$/.test(text))
        throw statusError("BadRequest", `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`);
      return Number(text);
    });
    return {
      options: { ...base, ...(ports.length > 0 ? { ports } : {}) } as unknown as KubeObject,
      pathFor: ({ metadata }) => {
        const parameters = ports.length > 0 ? `?port=${ports.join(",")}` : "";
        return `/portForward/${metadata.namespace}/${metadata.name}${parameters}`;
      },
    };
  }
  const on = (name: string): boolean => isTrue(query.get(name));
  const wanted = { stdin: on("stdin"), stdout: on("stdout"), stderr: on("stderr"), tty: on("tty") };
  const container = query.get("container") ?? "";
  const command = part === "exec" ? query.getAll("command") : [];
  return {
    options: {
      ...base,
      ...Object.fromEntries(Object.entries(wanted).filter(([, value]) => value)),
      ...(container ? { container } : {}),
      ...(part === "exec" ? { command } : {}),
    } as unknown as KubeObject,
    pathFor(pod) {
      const chosen = chooseContainer(pod, container);
      const passed = new URLSearchParams();
      const names = { stdin: "input", stdout: "output", stderr: "error", tty: "tty" } as const;
      for (const [name, passedName] of Object.entries(names))
        if (wanted[name as keyof typeof names]) passed.set(passedName, "1");
      for (const word of command) passed.append("command", word);
      const { namespace = "", name } = pod.metadata;
      return `/${part}/${[namespace, name, chosen].map(encodeURIComponent).join("/")}?${passed.toString()}`;
    },
  };
}

/** The container that is meant, in upstream's words when none is. Throws StatusError BadRequest. */
export function chooseContainer(pod: Pod, wanted: string): string {
  const { name } = pod.metadata;
  const names = (list: readonly { readonly name: string }[] | undefined): string[] =>
    (list ?? []).map((one) => one.name);
  const containers = names(pod.spec?.containers);
  const initial = names(pod.spec?.initContainers);
  if (wanted) {
    if ([...containers, ...initial, ...names(pod.spec?.ephemeralContainers)].includes(wanted)) return wanted;
    throw statusError("BadRequest", `container ${wanted} is not valid for pod ${name}`);
  }
  const [only, ...others] = containers;
  if (only !== undefined && others.length === 0) return only;
  const choices = `[${containers.join(" ")}]`;
  const init = initial.length > 0 ? ` or one of the init containers: [${initial.join(" ")}]` : "";
  throw statusError(
    "BadRequest",
    `a container name must be specified for pod ${name}, choose one of: ${choices}${init}`,
  );
}

/** The node that runs a pod. Throws StatusError BadRequest when none does yet. */
export function hostOf(pod: Pod): string {
  const node = pod.spec?.nodeName;
  if (!node)
    throw statusError("BadRequest", `${resources.Pod.singular} ${pod.metadata.name} does not have a host assigned`);
  return node;
}
