import { failedStep, type ExposureKey, type LoadBalancerProvider, type StepResult } from "../provider/contract.ts";
import { classicOf, planClassic, type ClassicListener, type ClassicStep, type FoundClassic } from "./classic-plan.ts";
import { readAwsConfig } from "./config.ts";
import { balancerName, classicAnnotationPrefixes, type AwsSettings } from "./desired.ts";
import { keyInTags, notOurs, tagsOf } from "./ownership.ts";
import { AwsError, createElb, type Elb, type QueryValue } from "./query.ts";
import type { Xml } from "./xml.ts";

/** Services with this class get a Classic Load Balancer. */
export const classicClass = "fairlead.dev/aws-classic";

const version = "2012-06-01";
/** Names in one DescribeTags. */
const tagBatch = 20;

/** AWS: a Classic Load Balancer a Service, in front of instances. Throws ProviderConfigError. */
export function createProvider(value: unknown): LoadBalancerProvider<FoundClassic> {
  const { elb: config, settings } = readAwsConfig(value);
  return classicProvider(createElb(config, version), settings);
}

export function classicProvider(elb: Elb, settings: AwsSettings): LoadBalancerProvider<FoundClassic> {
  /** Whose load balancers are, by name. */
  async function owners(names: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, ExposureKey>> {
    const found = new Map<string, ExposureKey>();
    for (let at = 0; at < names.length; at += tagBatch) {
      const result = await elb.call("DescribeTags", { LoadBalancerNames: names.slice(at, at + tagBatch) }, signal);
      for (const one of result.members("TagDescriptions")) {
        const key = keyInTags(one);
        if (key) found.set(one.at("LoadBalancerName").text, key);
      }
    }
    return found;
  }

  async function observe(key: ExposureKey, signal: AbortSignal): Promise<FoundClassic | undefined> {
    const name = balancerName(key);
    let balancer: Xml | undefined;
    try {
      [balancer] = await elb.all(
        "DescribeLoadBalancers",
        "LoadBalancerDescriptions",
        { LoadBalancerNames: [name] },
        signal,
      );
    } catch (error) {
      if (error instanceof AwsError && error.code.includes("NotFound")) return undefined;
      throw error;
    }
    if (!balancer) return undefined;
    const whose = (await owners([name], signal)).get(name);
    if (whose?.uid !== key.uid || whose.cluster !== key.cluster) throw notOurs(name);
    return { key, ...readBalancer(balancer) };
  }

  async function run(input: ClassicStep, signal: AbortSignal): Promise<StepResult> {
    const call = async (action: string, more: Readonly<Record<string, QueryValue>>): Promise<StepResult> => {
      await elb.call(action, more, signal);
      return { state: "done" };
    };
    const of = { LoadBalancerName: input.do === "create" ? input.balancer.name : input.name };
    switch (input.do) {
      case "create": {
        const { scheme, subnets, listeners } = input.balancer;
        const groups = settings.securityGroups.length > 0 ? { SecurityGroups: settings.securityGroups } : {};
        const more = {
          Listeners: listeners.map(listenerValue),
          Subnets: subnets,
          // Without a scheme it faces the Internet.
          ...(scheme === "internal" ? { Scheme: scheme } : {}),
          ...groups,
          Tags: tagsOf(input.key),
        };
        return call("CreateLoadBalancer", { ...of, ...more });
      }
      case "health": {
        const times = { Interval: 10, Timeout: 5, UnhealthyThreshold: 2, HealthyThreshold: 2 };
        return call("ConfigureHealthCheck", { ...of, HealthCheck: { Target: input.target, ...times } });
      }
      case "attach":
        return call("AttachLoadBalancerToSubnets", { ...of, Subnets: input.subnets });
      case "detach":
        return call("DetachLoadBalancerFromSubnets", { ...of, Subnets: input.subnets });
      case "listen":
        return call("CreateLoadBalancerListeners", { ...of, Listeners: input.listeners.map(listenerValue) });
      case "unlisten":
        return call("DeleteLoadBalancerListeners", { ...of, LoadBalancerPorts: input.ports });
      case "register":
        return call("RegisterInstancesWithLoadBalancer", { ...of, Instances: instanceValues(input.instances) });
      case "deregister":
        return call("DeregisterInstancesFromLoadBalancer", { ...of, Instances: instanceValues(input.instances) });
      default:
        // What is not there is deleted too.
        return call("DeleteLoadBalancer", of);
    }
  }

  return {
    name: "aws-classic",
    loadBalancerClass: classicClass,
    capabilities: {
      families: ["IPv4"],
      protocols: ["TCP"],
      mixedProtocols: false,
      sourceRanges: false,
      sessionAffinity: false,
      requestedAddress: false,
      localPolicy: true,
      withoutNodePorts: false,
      mostPorts: 100,
      annotations: classicAnnotationPrefixes,
    },
    async list(cluster, signal) {
      const found = await elb.all("DescribeLoadBalancers", "LoadBalancerDescriptions", {}, signal);
      const names = found.map((one) => one.at("LoadBalancerName").text).filter((name) => name.startsWith("fl-"));
      return [...(await owners(names, signal)).values()].filter((key) => key.cluster === cluster);
    },
    observe,
    plan: (desired, observed) => planClassic(desired.key, classicOf(desired, settings), observed),
    planRemoval: ({ name }) => [{ summary: `delete load balancer ${name}`, input: { do: "delete", name } }],
    async apply({ input }, signal) {
      try {
        return await run(input as ClassicStep, signal);
      } catch (error) {
        // What an earlier try has made is there: the next look goes on from it.
        if (error instanceof AwsError && /^Duplicate(LoadBalancerName|Listener)/.test(error.code))
          return { state: "done" };
        return failedStep(error);
      }
    },
    addresses: ({ hostname }) => (hostname === "" ? [] : [{ hostname }]),
  };
}

const listenerValue = ({ port, nodePort }: ClassicListener): QueryValue => ({
  Protocol: "TCP",
  LoadBalancerPort: port,
  InstanceProtocol: "TCP",
  InstancePort: nodePort,
});
const instanceValues = (ids: readonly string[]): QueryValue => ids.map((InstanceId) => ({ InstanceId }));

function readBalancer(one: Xml) {
  const listeners = one.members("ListenerDescriptions").map((each): ClassicListener => {
    const listener = each.at("Listener");
    return {
      port: Number(listener.at("LoadBalancerPort").text),
      nodePort: Number(listener.at("InstancePort").text),
    };
  });
  return {
    name: one.at("LoadBalancerName").text,
    hostname: one.at("DNSName").text,
    scheme: one.find("Scheme")?.text ?? "internet-facing",
    subnets: one
      .members("Subnets")
      .map(({ text }) => text)
      .sort(),
    listeners: listeners.sort((a, b) => a.port - b.port),
    health: one.find("HealthCheck")?.find("Target")?.text ?? "",
    instances: one
      .members("Instances")
      .map((each) => each.at("InstanceId").text)
      .sort(),
  };
}
