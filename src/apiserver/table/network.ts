import type { Endpoints, EndpointSlice, Ingress, IngressClass, Service } from "../../kube/index.ts";
import { ageColumn, ageOf, firstFew, formatLabels, nameColumn, text, wide, type Printer } from "./columns.ts";

export const servicePrinter: Printer<Service> = {
  columns: [
    nameColumn,
    text("Type", "How the Service is exposed."),
    text("Cluster-IP", "Address inside the cluster."),
    text("External-IP", "Addresses outside the cluster."),
    text("Port(s)", "Ports, with node ports behind a colon."),
    ageColumn,
    wide("Selector", "Labels of the pods behind the Service."),
  ],
  cells: (service, now) => [
    service.metadata.name,
    service.spec?.type ?? "",
    service.spec?.clusterIPs?.[0] ?? "<none>",
    externalAddresses(service),
    servicePorts(service),
    ageOf(service, now),
    formatLabels(service.spec?.selector),
  ],
};

function externalAddresses({ spec, status }: Service): string {
  const external = spec?.externalIPs ?? [];
  switch (spec?.type) {
    case "ClusterIP":
    case "NodePort":
      return external.join(",") || "<none>";
    case "LoadBalancer":
      return [...ingressAddresses(status?.loadBalancer), ...external].join(",") || "<pending>";
    case "ExternalName":
      return spec.externalName ?? "";
    default:
      return "<unknown>";
  }
}

/** Each address or host name once, in order. */
function ingressAddresses(status: { ingress?: { ip?: string; hostname?: string }[] } | undefined): string[] {
  const names = (status?.ingress ?? []).map((point) => point.ip || point.hostname || "").filter((name) => name !== "");
  return [...new Set(names)].sort();
}

function servicePorts({ spec }: Service): string {
  const ports = (spec?.ports ?? []).map(({ port, nodePort, protocol }) => {
    return `${port}${nodePort ? `:${nodePort}` : ""}/${protocol ?? ""}`;
  });
  return ports.join(",") || "<none>";
}

export const endpointsPrinter: Printer<Endpoints> = {
  columns: [nameColumn, text("Endpoints", "Addresses and ports behind the Service."), ageColumn],
  cells: (endpoints, now) => [endpoints.metadata.name, addressesOf(endpoints), ageOf(endpoints, now)],
};

function addressesOf({ subsets = [] }: Endpoints): string {
  const all = subsets.flatMap(({ addresses = [], ports = [] }) => {
    if (ports.length === 0) return addresses.map((address) => address.ip);
    return ports.flatMap(({ port }) => addresses.map(({ ip }) => `${ip.includes(":") ? `[${ip}]` : ip}:${port}`));
  });
  return subsets.length === 0 ? "<none>" : firstFew(all, 3);
}

export const endpointSlicePrinter: Printer<EndpointSlice> = {
  columns: [
    nameColumn,
    text("AddressType", "Kind of address that the slice carries."),
    text("Ports", "Ports that each endpoint exposes."),
    text("Endpoints", "Addresses of the endpoints."),
    ageColumn,
  ],
  cells(slice, now) {
    const ports = (slice.ports ?? []).map((port) => String(port.port ?? port.name ?? "*"));
    const addresses = (slice.endpoints ?? []).flatMap((endpoint) => endpoint.addresses);
    return [
      slice.metadata.name,
      slice.addressType,
      firstFew(ports, 3) || "<unset>",
      firstFew(addresses, 3) || "<unset>",
      ageOf(slice, now),
    ];
  },
};

export const ingressPrinter: Printer<Ingress> = {
  columns: [
    nameColumn,
    text("Class", "IngressClass that serves it."),
    text("Hosts", "Hosts that requests are matched against."),
    text("Address", "Addresses on which it is served."),
    text("Ports", "Ports on which it is served."),
    ageColumn,
  ],
  cells: (ingress, now) => [
    ingress.metadata.name,
    ingress.spec?.ingressClassName ?? "<none>",
    hostsOf(ingress),
    ingressAddresses(ingress.status?.loadBalancer).join(","),
    (ingress.spec?.tls?.length ?? 0) > 0 ? "80, 443" : "80",
    ageOf(ingress, now),
  ],
};

/** Three hosts at most; rules after the third host are counted whether or not they name one. */
function hostsOf({ spec }: Ingress): string {
  const rules = spec?.rules ?? [];
  const hosts: string[] = [];
  for (const { host } of rules) {
    if (hosts.length === 3) return `${hosts.join(",")} + ${rules.length - 3} more...`;
    if (host) hosts.push(host);
  }
  return hosts.join(",") || "*";
}

const defaultClass = "ingressclass.kubernetes.io/is-default-class";

export const ingressClassPrinter: Printer<IngressClass> = {
  columns: [
    nameColumn,
    text("Controller", "Controller that serves Ingresses of this class."),
    text("Parameters", "Object with settings for the controller."),
    ageColumn,
  ],
  cells(object, now) {
    const { name, annotations } = object.metadata;
    const parameters = object.spec?.parameters;
    const kind = parameters && (parameters.apiGroup ? `${parameters.kind}.${parameters.apiGroup}` : parameters.kind);
    return [
      annotations?.[defaultClass] === "true" ? `${name} (default)` : name,
      object.spec?.controller ?? "",
      parameters ? `${kind}/${parameters.name}` : "<none>",
      ageOf(object, now),
    ];
  },
};
