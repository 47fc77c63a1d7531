import {
  since,
  type ConfigMap,
  type Event,
  type Lease,
  type Namespace,
  type Node,
  type Secret,
  type ServiceAccount,
} from "../../kube/index.ts";
import { ageColumn, ageOf, nameColumn, text, wide, type Printer } from "./columns.ts";

export const nodePrinter: Printer<Node> = {
  columns: [
    nameColumn,
    text("Status", "The status of the node."),
    text("Roles", "The roles of the node."),
    ageColumn,
    text("Version", "Version of the kubelet."),
    wide("Internal-IP", "Address inside the cluster."),
    wide("External-IP", "Address outside the cluster."),
    wide("OS-Image", "Operating system."),
    wide("Kernel-Version", "Version of the kernel."),
    wide("Container-Runtime", "Runtime and its version."),
  ],
  cells(node, now) {
    const { addresses = [], nodeInfo } = node.status ?? {};
    const address = (type: string) => addresses.find((one) => one.type === type)?.address || "<none>";
    return [
      node.metadata.name,
      nodeStatus(node),
      nodeRoles(node),
      ageOf(node, now),
      nodeInfo?.kubeletVersion ?? "",
      address("InternalIP"),
      address("ExternalIP"),
      nodeInfo?.osImage || "<unknown>",
      nodeInfo?.kernelVersion || "<unknown>",
      nodeInfo?.containerRuntimeVersion || "<unknown>",
    ];
  },
};

function nodeStatus({ spec, status }: Node): string {
  const ready = status?.conditions?.find((one) => one.type === "Ready");
  const words = [ready ? (ready.status === "True" ? "Ready" : "NotReady") : "Unknown"];
  if (spec?.unschedulable) words.push("SchedulingDisabled");
  return words.join(",");
}

const rolePrefix = "node-role.kubernetes.io/";

function nodeRoles({ metadata }: Node): string {
  const roles = Object.entries(metadata.labels ?? {}).flatMap(([label, value]) => {
    if (label.startsWith(rolePrefix)) return [label.slice(rolePrefix.length)];
    return label === "kubernetes.io/role" ? [value] : [];
  });
  const named = [...new Set(roles.filter((role) => role !== ""))];
  return named.sort().join(",") || "<none>";
}

export const namespacePrinter: Printer<Namespace> = {
  columns: [nameColumn, text("Status", "The status of the namespace."), ageColumn],
  cells: (namespace, now) => [namespace.metadata.name, namespace.status?.phase ?? "", ageOf(namespace, now)],
};

export const eventPrinter: Printer<Event> = {
  columns: [
    text("Last Seen", "Time since it happened last."),
    text("Type", "Normal or Warning."),
    text("Reason", "Why it happened, in one word."),
    text("Object", "What it is about."),
    wide("Subobject", "The part of the object that it is about."),
    wide("Source", "Who reports it."),
    text("Message", "What happened."),
    wide("First Seen", "Time since it happened first."),
    wide("Count", "How often it happened."),
    { ...nameColumn, priority: 1 },
  ],
  cells(event, now) {
    const { involvedObject: about, series, source } = event;
    const first = since(event.firstTimestamp ?? event.eventTime, now);
    const last = series
      ? since(series.lastObservedTime, now)
      : event.lastTimestamp
        ? since(event.lastTimestamp, now)
        : first;
    const kind = (about.kind ?? "").toLowerCase();
    const instance = source?.host || event.reportingInstance;
    const component = source?.component || event.reportingComponent || "";
    return [
      last,
      event.type ?? "",
      event.reason ?? "",
      about.name ? `${kind}/${about.name}` : kind,
      about.fieldPath ?? "",
      instance ? `${component}, ${instance}` : component,
      (event.message ?? "").trim(),
      first,
      series ? (series.count ?? 0) : event.count || 1,
      event.metadata.name,
    ];
  },
};

const entryCount = (data: object | undefined): number => Object.keys(data ?? {}).length;

export const secretPrinter: Printer<Secret> = {
  columns: [nameColumn, text("Type", "What the data is for."), text("Data", "How many entries it has."), ageColumn],
  cells: (secret, now) => [secret.metadata.name, secret.type ?? "", entryCount(secret.data), ageOf(secret, now)],
};

export const configMapPrinter: Printer<ConfigMap> = {
  columns: [nameColumn, text("Data", "How many entries it has."), ageColumn],
  cells: (map, now) => [map.metadata.name, entryCount(map.data) + entryCount(map.binaryData), ageOf(map, now)],
};

export const serviceAccountPrinter: Printer<ServiceAccount> = {
  columns: [nameColumn, ageColumn],
  cells: (account, now) => [account.metadata.name, ageOf(account, now)],
};

export const leasePrinter: Printer<Lease> = {
  columns: [nameColumn, text("Holder", "Who holds the lease."), ageColumn],
  cells: (lease, now) => [lease.metadata.name, lease.spec?.holderIdentity ?? "", ageOf(lease, now)],
};
