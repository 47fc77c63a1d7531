import { isDeepStrictEqual } from "node:util";
import { readConfig } from "../provider/config.ts";
import {
  failedStep,
  ProviderFailure,
  type ExposureKey,
  type LoadBalancerProvider,
  type StepResult,
} from "../provider/contract.ts";
import { textIn, type Shape } from "../provider/shape.ts";
import { createCattle, type Cattle, type CattleVersion } from "./cattle.ts";
import { annotationPrefixes } from "./annotations.ts";
import {
  balancerName,
  descriptionOf,
  desiredOf,
  formerName,
  linkOf,
  type Desired,
  type Target,
  type WantedCertificate,
} from "./desired.ts";
import { ownerInText, ownerMetadata, ownerText, readBalancer, readCertificate, type Balancer } from "./model.ts";
import { planRancher, planRancherRemoval, ruleLine, targetText, type Observed, type RancherStep } from "./plan.ts";

/** IngressClasses with this controller are served by Rancher's load balancers. */
export const rancherController = "fairlead.dev/rancher";

/** Milliseconds after which it looks by itself: within the 30 s that lb-controller took. */
const lookAgain = 20_000;

export interface RancherOptions {
  /** What stands between namespace and name in the name of a load balancer. */
  readonly separator: string;
  /** Milliseconds between two looks at something that is under way. */
  readonly poll: number;
}

const names = [
  "url",
  "version",
  "accessKey",
  "accessKeyFile",
  "secretKey",
  "secretKeyFile",
  "separator",
  "caFile",
  "insecure",
  "pollMs",
  "timeoutMs",
];

/** Load balancers of Rancher 1.x by its Cattle API, v2-beta or v1, for Ingresses. Throws ProviderConfigError. */
export function createProvider(value: unknown): LoadBalancerProvider<Observed> {
  const config = readConfig(value, names);
  const cattle = createCattle({
    url: config.url("url", "CATTLE_URL"),
    version: config.oneOf("version", ["auto", "v1", "v2-beta"], "auto"),
    accessKey: config.secret("accessKey", "CATTLE_ACCESS_KEY"),
    secretKey: config.secret("secretKey", "CATTLE_SECRET_KEY"),
    insecure: config.flag("insecure", false),
    timeout: config.whole("timeoutMs", 100, 600_000, 10_000),
    ...config.pem("caFile"),
  });
  return rancherProvider(cattle, {
    separator: config.text("separator", process.env["RANCHER_LB_SEPARATOR"] ?? "rancherlb"),
    poll: config.whole("pollMs", 10, 600_000, 1_000),
  });
}

/** What the two versions call the same. */
const words = {
  "v2-beta": { stacks: "stacks", stackId: "stackId", stack: "kubernetes-ingress-lbs" },
  v1: { stacks: "environments", stackId: "environmentId", stack: "kubernetes-ingress-controllers" },
} as const;
const balancers = "loadBalancerServices";

export function rancherProvider(cattle: Cattle, { separator, poll }: RancherOptions): LoadBalancerProvider<Observed> {
  /** A Service of the cluster by Rancher's id: it never changes, so it is looked up once. */
  const targets = new Map<string, string>();
  const mostTargets = 10_000;

  async function stackId(version: CattleVersion, signal: AbortSignal): Promise<string | undefined> {
    const { stacks, stack: name } = words[version];
    const [found] = await cattle.list(stacks, { name, externalId: `${name}://` }, signal);
    return found?.at("id").text();
  }

  async function ensureStack(version: CattleVersion, signal: AbortSignal): Promise<string> {
    const { stacks, stack: name } = words[version];
    const found = await stackId(version, signal);
    return found ?? (await cattle.create(stacks, { name, externalId: `${name}://` }, signal)).at("id").text();
  }

  /** The load balancer of an Ingress, or one of somebody else that has its name; also under the name that the first lb-controllers gave it. */
  async function balancerOf(key: ExposureKey, version: CattleVersion, signal: AbortSignal): Promise<Shape | undefined> {
    const stack = await stackId(version, signal);
    if (stack === undefined) return undefined;
    const named = async (name: string) =>
      (await cattle.list(balancers, { name, [words[version].stackId]: stack }, signal))[0];
    const found = await named(balancerName(key, separator));
    const former = found ? undefined : formerName(key);
    const old = former === undefined ? undefined : await named(former);
    return found ?? (old && isOf(readBalancer(old, version), key, version) ? old : undefined);
  }

  const isTakenOver = (found: Balancer, version: CattleVersion) =>
    found.owner === undefined && found.externalId === `${words[version].stack}://${found.name}`;
  const isOf = (found: Balancer, key: ExposureKey, version: CattleVersion) =>
    found.owner ? found.owner.uid === key.uid && found.owner.cluster === key.cluster : isTakenOver(found, version);

  /** Whose Service a rule leads to, as `targetText` says it; "" for one that is gone. */
  async function targetOf(id: string, version: CattleVersion, signal: AbortSignal): Promise<string> {
    const known = targets.get(id);
    if (known !== undefined) return known;
    const found = id === "" ? undefined : await cattle.get("kubernetesServices", id, signal);
    if (!found) return "";
    let text = textIn(found.at("externalId")) ?? "";
    if (version === "v1") {
      const stack = await cattle.get("environments", found.at("environmentId").text(), signal);
      text = `${stack ? stack.at("name").text() : ""}/${found.at("name").text()}`;
    }
    if (targets.size >= mostTargets) targets.clear();
    targets.set(id, text);
    return text;
  }

  /** Rancher's id of a Service. It learns of Services a moment after they are made. */
  async function idOf(target: Target, version: CattleVersion, signal: AbortSignal): Promise<string | undefined> {
    const wanted = targetText(target, version);
    let filters: Record<string, string> = { externalId: target.uid };
    if (version === "v1") {
      // v1 has a Service under its name, in a stack named after the namespace.
      const [stack] = await cattle.list("environments", { name: target.namespace }, signal);
      if (!stack) return undefined;
      filters = { name: target.service, environmentId: stack.at("id").text() };
    }
    const id = (await cattle.list("kubernetesServices", filters, signal))[0]?.at("id").text();
    if (id !== undefined) targets.set(id, wanted);
    return id;
  }

  async function linesOfBalancer(
    found: Balancer,
    version: CattleVersion,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    if (version === "v1") {
      const links = await cattle.list("serviceConsumeMaps", { serviceId: found.id }, signal);
      const lines: string[] = [];
      for (const link of links) {
        const target = await targetOf(link.at("consumedServiceId").text(), version, signal);
        for (const port of link.at("ports").list()) lines.push(`${port.text()} -> ${target}`);
      }
      return lines.sort();
    }
    const rules = found.rules.toSorted((a, b) => (a.priority ?? Infinity) - (b.priority ?? Infinity));
    const lines: string[] = [];
    for (const rule of rules) lines.push(ruleLine(rule, await targetOf(rule.serviceId, version, signal)));
    return lines;
  }

  async function observe(key: ExposureKey, signal: AbortSignal): Promise<Observed | undefined> {
    const version = await cattle.version(signal);
    const [shape, allCertificates] = [
      await balancerOf(key, version, signal),
      (await cattle.list("certificates", {}, signal)).map(readCertificate),
    ];
    const found = shape && readBalancer(shape, version);
    const balancer = found && isOf(found, key, version) ? found : undefined;
    const certificates = allCertificates.filter(({ description }) => {
      const owner = ownerInText(description);
      return owner?.uid === key.uid && owner.cluster === key.cluster;
    });
    if (!balancer && certificates.length === 0) return undefined;
    const nameOf = (id: string) => allCertificates.find((one) => one.id === id)?.name ?? id;
    const base = { key, version, certificates: certificates.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
    if (!balancer) return { ...base, lines: [], certificateNames: [""] };
    const others = balancer.certificateIds.map(nameOf).sort();
    const first = balancer.defaultCertificateId && nameOf(balancer.defaultCertificateId);
    const lines = await linesOfBalancer(balancer, version, signal);
    return { ...base, balancer, lines, certificateNames: [first, ...others] };
  }

  const done: StepResult = { state: "done" };
  const pending = (message: string): StepResult => ({ state: "pending", message, again: poll });
  const failed = (reason: "Refused" | "Broken" | "Conflict", message: string): StepResult => ({
    state: "failed",
    reason,
    message,
  });

  async function create(desired: Desired, signal: AbortSignal): Promise<StepResult> {
    const version = await cattle.version(signal);
    const { name, key } = desired;
    const there = await balancerOf(key, version, signal);
    if (there) {
      const found = readBalancer(there, version);
      if (isOf(found, key, version)) return done;
      const whose = found.owner
        ? `${found.owner.namespace}/${found.owner.name} of ${found.owner.cluster}`
        : "someone else";
      return failed(
        "Refused",
        `Rancher has a load balancer ${name} that belongs to ${whose}; rename the Ingress, or remove it`,
      );
    }
    const { stackId: field, stack } = words[version];
    const image = version === "v1" ? undefined : await imageUuid(signal);
    const sslPorts = desired.ports.length > 1 || desired.certificates.length > 0 ? desired.ports.at(-1) : undefined;
    const labels =
      version === "v1" && sslPorts !== undefined
        ? { ...desired.labels, "io.rancher.loadbalancer.ssl.ports": String(sslPorts) }
        : desired.labels;
    await cattle.create(
      balancers,
      {
        name,
        description: descriptionOf(key),
        externalId: `${stack}://${name}`,
        [field]: await ensureStack(version, signal),
        metadata: ownerMetadata(key),
        scale: desired.scale ?? 1,
        launchConfig: {
          ports: desired.ports.map((port) => `${port}:${port}`),
          labels,
          ...(image === undefined ? {} : { imageUuid: image }),
        },
        ...(version === "v1" ? {} : { lbConfig: stickinessOf(desired, version) }),
      },
      signal,
    );
    return done;
  }

  async function imageUuid(signal: AbortSignal): Promise<string> {
    const [setting] = await cattle.list("settings", { name: "lb.instance.image" }, signal);
    const value = setting && textIn(setting.at("value"));
    if (value) return `docker:${value}`;
    throw new ProviderFailure("Refused", "Rancher's setting lb.instance.image is empty, or this key may not read it");
  }

  const stickinessOf = ({ stickiness }: Desired, version: CattleVersion): object =>
    version === "v1"
      ? { loadBalancerConfig: { lbCookieStickinessPolicy: stickiness ?? null } }
      : { stickinessPolicy: stickiness ?? null };

  async function setRules(desired: Desired, signal: AbortSignal): Promise<StepResult> {
    const version = await cattle.version(signal);
    const there = await balancerOf(desired.key, version, signal);
    if (!there) return failed("Conflict", `load balancer ${desired.name} is gone`);
    const found = readBalancer(there, version);
    const { id } = found;
    const ids = new Map<string, string>();
    for (const { target } of desired.rules) {
      const text = targetText(target, version);
      if (ids.has(text)) continue;
      const serviceId = await idOf(target, version, signal);
      if (serviceId === undefined)
        return pending(`Rancher does not know Service ${target.namespace}/${target.service} yet`);
      ids.set(text, serviceId);
    }
    const idFor = ({ target }: { target: Target }) => ids.get(targetText(target, version)) ?? "";
    const certificates = await certificateIds(desired.certificates, signal);
    if (!Array.isArray(certificates)) return certificates as StepResult;
    const [defaultCertificateId = null, ...others] = certificates as readonly string[];
    if (version === "v1") {
      const isOnlyPort = desired.ports.length === 1;
      const links = [...new Set(ids.values())].map((serviceId) => ({
        serviceId,
        ports: desired.rules.filter((rule) => idFor(rule) === serviceId).map((rule) => linkOf(rule, isOnlyPort)),
      }));
      const hasRest =
        isDeepStrictEqual(desired.stickiness, found.stickiness) &&
        isDeepStrictEqual(
          [defaultCertificateId ?? "", ...[...others].sort()],
          [found.defaultCertificateId, ...found.certificateIds],
        );
      if (!hasRest) {
        // Rancher is busy after it, and takes no links meanwhile: only what differs is written, or the two would never come to rest.
        const body = { ...stickinessOf(desired, version), defaultCertificateId, certificateIds: others };
        await cattle.update(balancers, id, body, signal);
        return pending("Rancher takes over stickiness and certificates before the service links");
      }
      const now = await cattle.get(balancers, id, signal);
      if (now && (await cattle.act(now, "setservicelinks", signal, { serviceLinks: links }))) return done;
      return pending("Rancher takes no service links now");
    }
    const portRules = desired.rules.map(({ sourcePort, protocol, hostname, path, targetPort, target }, i) => ({
      sourcePort,
      protocol,
      hostname,
      path,
      targetPort,
      serviceId: idFor({ target }),
      priority: i + 1,
    }));
    const { config } = desired;
    const lbConfig = {
      config,
      portRules,
      defaultCertificateId,
      certificateIds: others,
      ...stickinessOf(desired, version),
    };
    await cattle.update(balancers, id, { lbConfig }, signal);
    return done;
  }

  /** Ids of certificates by their names; a failed step for one that Rancher has not. */
  async function certificateIds(
    wanted: readonly WantedCertificate[],
    signal: AbortSignal,
  ): Promise<readonly string[] | StepResult> {
    const ids: string[] = [];
    for (const { name, pair } of wanted) {
      const [found] = await cattle.list("certificates", { name }, signal);
      if (found) ids.push(found.at("id").text());
      else if (pair) return failed("Conflict", `certificate ${name} is gone`);
      else
        return failed(
          "Refused",
          `there is no Secret ${name}, and Rancher has no certificate ${name}; create one of them`,
        );
    }
    return ids;
  }

  async function upload(key: ExposureKey, { name, pair }: WantedCertificate, signal: AbortSignal): Promise<StepResult> {
    if (!pair) return done;
    const found = (await cattle.list("certificates", { name }, signal)).map(readCertificate);
    const mine = found.find(({ description }) => ownerInText(description)?.uid === key.uid);
    const body = { name, description: ownerText(key), cert: pair.certificate, key: pair.key };
    if (mine?.certificate.trim() === pair.certificate.trim()) return done;
    if (mine) await cattle.update("certificates", mine.id, body, signal);
    else await cattle.create("certificates", body, signal);
    return done;
  }

  async function act(id: string, action: string, signal: AbortSignal): Promise<StepResult> {
    const now = await cattle.get(balancers, id, signal);
    if (!now) return done;
    const { transitioning, message, state } = readBalancer(now, await cattle.version(signal));
    if (transitioning === "yes") return pending(`it is ${state}`);
    await cattle.act(now, action, signal);
    // A failure, so that one that ends in an error again and again is tried less and less often.
    if (transitioning === "error" && action === "activate")
      return failed("Broken", `it ended in an error: ${message.slice(0, 200)}`);
    return done;
  }

  async function run(input: RancherStep, signal: AbortSignal): Promise<StepResult> {
    switch (input.do) {
      case "create":
        return create(input.desired, signal);
      case "adopt": {
        const version = await cattle.version(signal);
        const there = await balancerOf(input.desired.key, version, signal);
        const { key } = input.desired;
        const body = { metadata: ownerMetadata(key), description: descriptionOf(key) };
        if (there) await cattle.update(balancers, there.at("id").text(), body, signal);
        return done;
      }
      case "rescale": {
        const version = await cattle.version(signal);
        const there = await balancerOf(input.desired.key, version, signal);
        if (there) await cattle.update(balancers, there.at("id").text(), { scale: input.desired.scale ?? 1 }, signal);
        return done;
      }
      case "rules":
        return setRules(input.desired, signal);
      case "certificate":
        return upload(input.key, input.wanted, signal);
      case "activate":
      case "remove":
        return act(input.id, input.do, signal);
      case "drop": {
        const found = await cattle.get("certificates", input.id, signal);
        if (found) await cattle.act(found, "remove", signal);
        return done;
      }
      case "publish": {
        const found = await cattle.get(balancers, input.id, signal);
        const isOut = found && readBalancer(found, await cattle.version(signal)).addresses.length > 0;
        return !found || isOut ? done : pending("Rancher has not published an address of it yet");
      }
      default: {
        const found = await cattle.get(balancers, input.id, signal);
        if (!found) return done;
        const { state, transitioning } = readBalancer(found, await cattle.version(signal));
        return transitioning === "yes" || state.startsWith("remov") ? pending(`it is ${state}`) : done;
      }
    }
  }

  return {
    name: "rancher",
    loadBalancerClass: rancherController,
    ingressController: rancherController,
    lookAgain,
    capabilities: {
      families: ["IPv4"],
      protocols: [],
      mixedProtocols: false,
      sourceRanges: false,
      sessionAffinity: false,
      requestedAddress: false,
      localPolicy: false,
      withoutNodePorts: true,
      mostPorts: 2,
      annotations: annotationPrefixes,
      http: { tls: true, exactPaths: false, endpoints: false },
    },
    async list(cluster, signal) {
      const version = await cattle.version(signal);
      const stack = await stackId(version, signal);
      const found =
        stack === undefined ? [] : await cattle.list(balancers, { [words[version].stackId]: stack }, signal);
      const owners = [
        ...found.map((one) => readBalancer(one, version).owner),
        ...(await cattle.list("certificates", {}, signal)).map((one) => ownerInText(readCertificate(one).description)),
      ];
      const ours = owners.flatMap((key) => (key?.cluster === cluster ? [[key.uid, key] as const] : []));
      return [...new Map(ours).values()];
    },
    observe,
    plan: (desired, observed) => planRancher(desiredOf(desired, separator), observed),
    planRemoval: planRancherRemoval,
    async apply({ input }, signal) {
      try {
        return await run(input as RancherStep, signal);
      } catch (error) {
        return failedStep(error);
      }
    },
    addresses: ({ balancer }) => (balancer?.addresses ?? []).map((ip) => ({ ip, ipMode: "Proxy" as const })),
    async watch(cluster, onChange, signal) {
      const version = await cattle.version(signal);
      const change = (type: string, resource: Shape) => {
        if (type.toLowerCase() !== "loadbalancerservice") return;
        const key = ownerOf(resource, version);
        if (key?.cluster === cluster) onChange(key);
      };
      // What has changed before it was connected is looked for once.
      await cattle.subscribe({ open: () => onChange(), change }, signal);
    },
  };
}

/** Whose a load balancer is; what cannot be read is found by the next look. */
function ownerOf(resource: Shape, version: CattleVersion): ExposureKey | undefined {
  try {
    return readBalancer(resource, version).owner;
  } catch (error) {
    if (error instanceof ProviderFailure) return undefined;
    throw error;
  }
}
