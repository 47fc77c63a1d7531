import { isDeepStrictEqual } from "node:util";
import { ProviderConfigError, proxyHealthPort, readConfig, type ProviderConfig } from "../provider/config.ts";
import {
  failedStep,
  ProviderFailure,
  type ExposureKey,
  type LoadBalancerProvider,
  type StepResult,
} from "../provider/contract.ts";
import { textIn, type Shape } from "../provider/shape.ts";
import { createTurns } from "../../system/index.ts";
import { createArm, type Arm } from "./arm.ts";
import type { AzureCredentials } from "./credentials.ts";
import {
  annotationNames,
  desiredOf,
  idsOf,
  isPartOf,
  partName,
  type AzureSettings,
  type Desired,
  type SecurityRule,
} from "./desired.ts";
import { ownersIn, ownerTags, partIn, sendable, withoutPart, withPart } from "./document.ts";
import { addressOf, planAzure, planAzureRemoval, type AzureStep, type Observed } from "./plan.ts";

/** Services with this class get a part of a Standard Load Balancer of Azure. */
export const azureClass = "fairlead.dev/azure";

const names = [
  "subscription",
  "resourceGroup",
  "location",
  "virtualNetwork",
  "subnet",
  "securityGroup",
  "internal",
  "floatingIp",
  "zones",
  "healthPort",
  "tenant",
  "clientId",
  "clientSecret",
  "clientSecretFile",
  "federatedTokenFile",
  "authority",
  "audience",
  "metadataUrl",
  "endpoint",
  "caFile",
  "pollMs",
  "timeoutMs",
];

/** Azure: Services as parts of one Standard Load Balancer a cluster. Throws ProviderConfigError. */
export function createProvider(value: unknown): LoadBalancerProvider<Observed> {
  const config = readConfig(value, names);
  const poll = config.whole("pollMs", 10, 600_000, 2_000);
  const arm = createArm({
    endpoint: config.urlOr("endpoint", "https://management.azure.com"),
    authority: config.urlOr(
      "authority",
      process.env["AZURE_AUTHORITY_HOST"]?.replace(/\/+$/, "") ?? "https://login.microsoftonline.com",
    ),
    metadata: config.urlOr("metadataUrl", "http://169.254.169.254"),
    audience: config.urlOr("audience", "https://management.azure.com"),
    credentials: credentialsOf(config),
    poll,
    timeout: config.whole("timeoutMs", 100, 600_000, 30_000),
    ...config.pem("caFile"),
  });
  const part = (name: string, text: string) => {
    if (/^[\w.()-]{1,90}$/.test(text)) return text;
    throw new ProviderConfigError(`config.${name}: a name is needed`);
  };
  const idOrName = (name: string, text: string) =>
    text === "" || /^\/subscriptions\/[\w./()-]{1,400}$/.test(text) ? text : part(name, text);
  const settings: AzureSettings = {
    subscription: part("subscription", config.text("subscription", process.env["AZURE_SUBSCRIPTION_ID"])),
    resourceGroup: part("resourceGroup", config.text("resourceGroup")),
    location: config.text("location"),
    virtualNetwork: idOrName("virtualNetwork", config.text("virtualNetwork")),
    subnet: config.optional("subnet") ?? "",
    securityGroup: idOrName("securityGroup", config.optional("securityGroup") ?? ""),
    internal: config.flag("internal", false),
    floatingIp: config.flag("floatingIp", true),
    zones: config.texts("zones"),
    healthPort: config.whole("healthPort", 1, 65_535, proxyHealthPort),
  };
  return azureProvider(arm, settings, poll);
}

function credentialsOf(config: ProviderConfig): AzureCredentials {
  const { env } = process;
  const client = config.optional("clientId") ?? env["AZURE_CLIENT_ID"];
  const secret = config.optionalSecret("clientSecret", "AZURE_CLIENT_SECRET");
  const tokenFile = config.optional("federatedTokenFile") ?? env["AZURE_FEDERATED_TOKEN_FILE"];
  if (secret === undefined && tokenFile === undefined)
    return { kind: "managed", ...(client === undefined ? {} : { client }) };
  const tenant = config.text("tenant", env["AZURE_TENANT_ID"]);
  if (client === undefined) throw new ProviderConfigError("config.clientId is missing; give it or AZURE_CLIENT_ID");
  if (secret !== undefined) return { kind: "secret", tenant, client, secret };
  return { kind: "federated", tenant, client, tokenFile: tokenFile ?? "" };
}

/** Tries to change a document that somebody else changes too. */
const mostTries = 3;
/** Where security rules of ours stand: those that let in before those that keep out. */
const priorities = { Allow: [500, 2_499], Deny: [2_500, 4_096] } as const;
const textsIn = (one: Shape): readonly string[] => (one.isAbsent() ? [] : one.list().map((each) => each.text()));

export function azureProvider(arm: Arm, settings: AzureSettings, poll: number): LoadBalancerProvider<Observed> {
  /** Services share load balancers and security group: changes go one after the other. */
  const inTurn = createTurns();
  const done: StepResult = { state: "done" };
  const conflict = (what: string): StepResult => ({
    state: "failed",
    reason: "Conflict",
    message: `${what} was changed by somebody else again and again`,
  });
  const group = idsOf(settings, "").securityGroup;
  const securityRules = async (signal: AbortSignal): Promise<readonly Shape[]> => {
    if (!group) return [];
    const found = await arm.get(group, signal);
    if (!found) throw new ProviderFailure("Refused", `config.securityGroup: there is no ${settings.securityGroup}`);
    const list = found.at("properties").at("securityRules");
    return list.isAbsent() ? [] : list.list();
  };

  async function observe(key: ExposureKey, signal: AbortSignal): Promise<Observed | undefined> {
    const name = partName(key);
    const ids = idsOf(settings, key.cluster);
    const part = async (internal: boolean) => {
      const document = await arm.get(ids.balancer(internal), signal);
      return document && partIn(document, name, internal);
    };
    const publicIp = await arm.get(ids.publicIp(name), signal);
    if (publicIp && !ownersIn(publicIp).some((one) => one.uid === key.uid && one.cluster === key.cluster)) {
      const words = `Azure has a public address ${name} that is not marked as this Service's; remove it`;
      throw new ProviderFailure("Refused", words);
    }
    const [outer, inner, rules] = await Promise.all([part(false), part(true), securityRules(signal)]);
    const security = rules.filter((one) => isPartOf(name, one.at("name").text())).map(securityOf);
    const parts = [outer, inner].flatMap((one) => one ?? []);
    if (!publicIp && parts.length + security.length === 0) return undefined;
    return {
      key,
      name,
      ...(publicIp ? { publicIp: publicIpOf(publicIp.at("properties")) } : {}),
      parts,
      security: security.sort((a, b) => (a.name < b.name ? -1 : 1)),
    };
  }

  async function putAddress({ key, name }: Desired, signal: AbortSignal): Promise<StepResult> {
    const body = {
      location: settings.location,
      sku: { name: "Standard" },
      tags: ownerTags(key),
      ...(settings.zones.length > 0 ? { zones: settings.zones } : {}),
      properties: { publicIPAllocationMethod: "Static", publicIPAddressVersion: "IPv4" },
    };
    return (await arm.put(idsOf(settings, key.cluster).publicIp(name), body, undefined, signal)) ?? done;
  }

  /** Reads the load balancer, changes it, and writes it if it is what was read. `change` gives undefined for one that is to go. */
  async function rewrite(
    id: string,
    change: (document: Shape | undefined) => unknown,
    signal: AbortSignal,
  ): Promise<StepResult> {
    for (let tries = 0; tries < mostTries; tries++) {
      const document = await arm.get(id, signal);
      const next = change(document);
      if (next === undefined) return document ? arm.remove(id, signal) : done;
      const isFailed = document && textIn(document.at("properties").at("provisioningState")) === "Failed";
      if (document && !isFailed && isDeepStrictEqual(next, sendable(document))) return done;
      const result = await arm.put(id, next, document ? document.at("etag").text() : "", signal);
      if (result) return result;
    }
    return conflict("the load balancer");
  }

  async function putSecurity(rule: SecurityRule, signal: AbortSignal): Promise<StepResult> {
    const all = await securityRules(signal);
    const mine = all.find((one) => one.at("name").text() === rule.name);
    const taken = new Set(all.map((one) => one.at("properties").at("priority").number()));
    const [from, to] = priorities[rule.access];
    let priority = mine?.at("properties").at("priority").number();
    for (let next = from; priority === undefined && next <= to; next++) if (!taken.has(next)) priority = next;
    if (priority === undefined)
      throw new ProviderFailure("Quota", `the security group has no priority from ${from} to ${to} left`);
    const [first = "*"] = rule.sources;
    const isTag = rule.sources.length === 1 && /^[A-Za-z*]/.test(first);
    const properties = {
      access: rule.access,
      direction: "Inbound",
      priority,
      protocol: rule.protocol,
      sourcePortRange: "*",
      destinationPortRanges: rule.ports,
      destinationAddressPrefixes: rule.destinations,
      ...(isTag ? { sourceAddressPrefix: first } : { sourceAddressPrefixes: rule.sources }),
    };
    return (await arm.put(`${group}/securityRules/${rule.name}`, { properties }, undefined, signal)) ?? done;
  }

  async function run(input: AzureStep, signal: AbortSignal): Promise<StepResult> {
    switch (input.do) {
      case "address":
        return putAddress(input.desired, signal);
      case "part": {
        const { desired } = input;
        const id = idsOf(settings, desired.key.cluster).balancer(desired.internal);
        return rewrite(id, (document) => withPart(document, desired, settings), signal);
      }
      case "wait": {
        const document = await arm.get(idsOf(settings, input.key.cluster).balancer(input.internal), signal);
        const state = document && textIn(document.at("properties").at("provisioningState"));
        const isBusy = state !== undefined && state !== "Succeeded" && state !== "Failed";
        return isBusy ? { state: "pending", message: `it is ${state.slice(0, 40)}`, again: poll } : done;
      }
      case "security":
        return putSecurity(input.rule, signal);
      case "DeleteSecurity":
        return arm.remove(`${group}/securityRules/${input.name}`, signal);
      case "DeletePart": {
        const id = idsOf(settings, input.key.cluster).balancer(input.internal);
        return rewrite(id, (document) => document && withoutPart(document, input.key), signal);
      }
      default:
        return arm.remove(idsOf(settings, input.key.cluster).publicIp(input.name), signal);
    }
  }

  return {
    name: "azure",
    loadBalancerClass: azureClass,
    capabilities: {
      families: ["IPv4"],
      protocols: ["TCP", "UDP"],
      mixedProtocols: true,
      sourceRanges: group !== "",
      sessionAffinity: true,
      requestedAddress: true,
      localPolicy: true,
      withoutNodePorts: settings.floatingIp,
      mostPorts: 100,
      annotations: Object.values(annotationNames),
    },
    async list(cluster, signal) {
      const ids = idsOf(settings, cluster);
      const [inner, addresses] = [await arm.get(ids.balancer(true), signal), await arm.list(ids.publicIps, signal)];
      const keys = [...(inner ? [inner] : []), ...addresses].flatMap(ownersIn).filter((key) => key.cluster === cluster);
      return [...new Map(keys.map((key) => [key.uid, key])).values()];
    },
    observe,
    plan: (desired, observed) => planAzure(desiredOf(desired, settings), observed, settings),
    planRemoval: planAzureRemoval,
    apply: ({ input }, signal) =>
      inTurn(async () => {
        try {
          return await run(input as AzureStep, signal);
        } catch (error) {
          return failedStep(error);
        }
      }),
    addresses(observed) {
      const ip = addressOf(observed);
      return ip === undefined ? [] : [{ ip, ipMode: settings.floatingIp ? "VIP" : "Proxy" }];
    },
  };
}

const publicIpOf = (properties: Shape) => ({
  address: textIn(properties.at("ipAddress")) ?? "",
  state: textIn(properties.at("provisioningState")) ?? "",
});

function securityOf(one: Shape): SecurityRule {
  const of = one.at("properties");
  const source = textIn(of.at("sourceAddressPrefix")) ?? "";
  const prefixes = [...textsIn(of.at("sourceAddressPrefixes"))].sort();
  return {
    name: one.at("name").text(),
    access: of.at("access").text() as SecurityRule["access"],
    protocol: of.at("protocol").text() as SecurityRule["protocol"],
    sources: prefixes.length > 0 ? prefixes : [source],
    ports: [...textsIn(of.at("destinationPortRanges"))].sort(),
    destinations: [...textsIn(of.at("destinationAddressPrefixes"))].sort(),
  };
}
