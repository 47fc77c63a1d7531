import type { DaemonSet, Deployment } from "../../kube/index.ts";
import type { SettingVerdict, Verdict } from "./assess.ts";

/** How ingress-nginx's controller is started, as far as that says what its Ingresses mean. */
export interface ControllerReading {
  /** `Deployment ingress-nginx/ingress-nginx-controller` */
  readonly object: string;
  readonly flags: readonly SettingVerdict[];
  /** `namespace/name` of its ConfigMaps. */
  readonly configMap?: string;
  readonly tcpServices?: string;
  readonly udpServices?: string;
  /** `spec.controller` of the classes that it serves, and the name that the deprecated annotation says. */
  readonly controllerClass: string;
  readonly className: string;
  readonly withoutClass: boolean;
}

type Judged = readonly [verdict: Verdict, why?: string];

const same: Judged = ["same"];
const is = (option: string): Judged => ["same", `fairlead ingress ${option}`];
const differs = (why: string): Judged => ["differs", why];
/** It is about ingress-nginx itself. */
const unneeded: Judged = ["unneeded"];

/** By flag, what becomes of it with a value. Others are about ingress-nginx itself: its health, metrics, leader, pace. */
const flags: Readonly<Record<string, (value: string) => Judged>> = {
  configmap: () => is("--ingress-nginx-config-map"),
  "tcp-services-configmap": () => is("--tcp-services-configmap"),
  "udp-services-configmap": () => is("--udp-services-configmap"),
  "default-ssl-certificate": () => is("--default-ssl-certificate"),
  "publish-service": () => is("--publish-service, with the Service that leads to Fairlead"),
  "publish-status-address": () => is("--publish-address"),
  "http-port": () => is("--http-port"),
  "https-port": () => is("--https-port"),
  "controller-class": (value) =>
    value === "k8s.io/ingress-nginx"
      ? is("--ingress-nginx")
      : differs(
          "only classes with k8s.io/ingress-nginx or fairlead.dev/ingress-nginx are served: change spec.controller of its IngressClass",
        ),
  "ingress-class": (value) =>
    value === "nginx"
      ? same
      : differs(
          "the deprecated annotation kubernetes.io/ingress.class names an IngressClass here: there has to be one",
        ),
  "ingress-class-by-name": (value) =>
    isOn(value) ? differs("classes are known by their spec.controller, not by their name") : same,
  "watch-ingress-without-class": (value) =>
    isOn(value)
      ? differs("an Ingress without a class is served where its class is the default: mark the IngressClass so")
      : same,
  "default-backend-service": () =>
    differs(
      "requests without a route get 404 from Fairlead itself: an Ingress with spec.defaultBackend takes them elsewhere",
    ),
  "watch-namespace": (value) =>
    value === "" ? same : differs("Ingresses of all namespaces are served: tell them apart by class"),
  "watch-namespace-selector": (value) =>
    value === "" ? same : differs("Ingresses of all namespaces are served: tell them apart by class"),
  "disable-catch-all": (value) => (isOn(value) ? differs("an Ingress without host is served") : same),
  "enable-ssl-passthrough": () => ["unneeded", "ssl-passthrough needs no flag"],
  "disable-svc-external-name": () => ["same", "Services of type ExternalName are never reached"],
  "annotations-prefix": (value) =>
    value === "nginx.ingress.kubernetes.io"
      ? same
      : ["refused", "annotations are read with the prefix nginx.ingress.kubernetes.io"],
  "validating-webhook": () => [
    "unneeded",
    "there is no admission webhook: what is wrong is an event on its Ingress, and harms no other",
  ],
  "update-status": (value) => (isOn(value) ? same : differs("statuses of Ingresses are written")),
  "report-node-internal-ip-address": () => differs("statuses say what --publish-service or --publish-address does"),
  "enable-topology-aware-routing": (value) => (isOn(value) ? differs("endpoints of all zones are taken") : same),
  "maxmind-license-key": () => differs("where an address is on earth is not known"),
};

const isOn = (value: string): boolean => value === "" || /^(?:1|t|true)$/i.test(value);

/** Reads how a workload starts ingress-nginx's controller; `undefined` when it does not. */
export function readController(workload: Deployment | DaemonSet): ControllerReading | undefined {
  const { kind, metadata, spec } = workload;
  const namespace = metadata.namespace ?? "default";
  for (const { image = "", command = [], args = [] } of spec?.template?.spec?.containers ?? []) {
    const words = [...command, ...args];
    if (
      !words.some((word) => word.endsWith("/nginx-ingress-controller")) &&
      !/\bingress-nginx\/controller\b/.test(image)
    )
      continue;
    const given = flagsOf(words.map((word) => word.replaceAll("$(POD_NAMESPACE)", namespace)));
    const value = (name: string): string | undefined => given.find(([each]) => each === name)?.[1];
    const [configMap, tcpServices, udpServices] = ["configmap", "tcp-services-configmap", "udp-services-configmap"].map(
      value,
    );
    return {
      object: `${kind} ${namespace}/${metadata.name ?? ""}`,
      flags: given.map(([name, text]) => {
        const [verdict, why] = (Object.hasOwn(flags, name) ? flags[name]?.(text) : undefined) ?? unneeded;
        return { name: `--${name}`, value: text, verdict, ...(why === undefined ? {} : { why }) };
      }),
      ...(configMap ? { configMap } : {}),
      ...(tcpServices ? { tcpServices } : {}),
      ...(udpServices ? { udpServices } : {}),
      controllerClass: value("controller-class") ?? "k8s.io/ingress-nginx",
      className: value("ingress-class") ?? "nginx",
      withoutClass: isOn(value("watch-ingress-without-class") ?? "false"),
    };
  }
  return undefined;
}

/** `--name=value`, `--name value` and `--name`. */
function flagsOf(words: readonly string[]): (readonly [name: string, value: string])[] {
  const found: [string, string][] = [];
  for (const [index, word] of words.entries()) {
    const [, name, value] = /^--?([a-z0-9-]+)(?:=(.*))?$/s.exec(word) ?? [];
    if (name === undefined) continue;
    const next = words[index + 1];
    found.push([name, value ?? (next === undefined || next.startsWith("-") ? "" : next)]);
  }
  return found;
}
