import { failedStep, type ExposureKey, type LoadBalancerProvider, type StepResult } from "../provider/contract.ts";
import { readAwsConfig } from "./config.ts";
import {
  annotationPrefixes,
  balancerName,
  desiredOf,
  type AwsSettings,
  type Listener,
  type Rule,
  type Target,
  type TargetGroup,
} from "./desired.ts";
import { planAws, planAwsRemoval, type AwsStep, type FoundGroup, type FoundListener, type Observed } from "./plan.ts";
import { keyInTags, notOurs, tagsOf } from "./ownership.ts";
import { AwsError, createElb, type Elb, type QueryValue } from "./query.ts";
import type { Xml } from "./xml.ts";

/** Services with this class get a Network Load Balancer. */
export const awsClass = "fairlead.dev/aws";

/** AWS: a Network Load Balancer a Service, an Application Load Balancer an Ingress. Throws ProviderConfigError. */
export function createProvider(value: unknown): LoadBalancerProvider<Observed> {
  const { elb, settings, poll } = readAwsConfig(value);
  return awsProvider(createElb(elb, "2015-12-01"), settings, poll);
}

/** ARNs in one DescribeTags. */
const tagBatch = 20;

export function awsProvider(elb: Elb, settings: AwsSettings, poll: number): LoadBalancerProvider<Observed> {
  /** What AWS says that there is not counts as none. */
  async function orNone<T>(work: Promise<T>, none: T): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof AwsError && error.code.includes("NotFound")) return none;
      throw error;
    }
  }

  /** Whose things are, by ARN. */
  async function owners(arns: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, ExposureKey>> {
    const found = new Map<string, ExposureKey>();
    for (let at = 0; at < arns.length; at += tagBatch) {
      const some = arns.slice(at, at + tagBatch);
      const result = await orNone(elb.call("DescribeTags", { ResourceArns: some }, signal), undefined);
      for (const one of result?.members("TagDescriptions") ?? []) {
        const key = keyInTags(one);
        if (key) found.set(one.at("ResourceArn").text, key);
      }
    }
    return found;
  }

  const isOurs = (one: Xml, of: string) => one.at(of).text.startsWith("fl-");

  async function observe(key: ExposureKey, signal: AbortSignal): Promise<Observed | undefined> {
    const name = balancerName(key);
    const [balancers, allGroups] = [
      await orNone(elb.all("DescribeLoadBalancers", "LoadBalancers", { Names: [name] }, signal), []),
      await elb.all("DescribeTargetGroups", "TargetGroups", {}, signal),
    ];
    const mine = allGroups.filter((one) => one.at("TargetGroupName").text.startsWith(`${name.slice(0, 17)}-`));
    const [balancer] = balancers;
    const arns = [
      ...mine.map((one) => one.at("TargetGroupArn").text),
      ...(balancer ? [balancer.at("LoadBalancerArn").text] : []),
    ];
    const whose = await owners(arns, signal);
    const isMine = (arn: string) => whose.get(arn)?.uid === key.uid && whose.get(arn)?.cluster === key.cluster;
    if (balancer && !isMine(balancer.at("LoadBalancerArn").text)) {
      throw notOurs(name);
    }
    const groups: FoundGroup[] = [];
    for (const one of mine) if (isMine(one.at("TargetGroupArn").text)) groups.push(await readGroup(one, signal));
    if (!balancer && groups.length === 0) return undefined;
    const base = { key, groups: groups.sort((a, b) => (a.name < b.name ? -1 : 1)) };
    if (!balancer) return { ...base, listeners: [] };
    const arn = balancer.at("LoadBalancerArn").text;
    const groupNames = new Map(groups.map((one) => [one.arn, one.name]));
    const listeners: FoundListener[] = [];
    for (const one of await orNone(elb.all("DescribeListeners", "Listeners", { LoadBalancerArn: arn }, signal), [])) {
      listeners.push(await readListener(one, groupNames, signal));
    }
    const state = balancer.at("State");
    return {
      ...base,
      balancer: {
        arn,
        state: state.at("Code").text,
        reason: state.find("Reason")?.text ?? "",
        hostname: balancer.at("DNSName").text,
        type: balancer.at("Type").text,
        scheme: balancer.at("Scheme").text,
        subnets: balancer
          .members("AvailabilityZones")
          .map((zone) => zone.at("SubnetId").text)
          .sort(),
      },
      listeners: listeners.sort((a, b) => a.port - b.port),
    };
  }

  async function readGroup(one: Xml, signal: AbortSignal): Promise<FoundGroup> {
    const arn = one.at("TargetGroupArn").text;
    const [health, attributes] = [
      await elb.call("DescribeTargetHealth", { TargetGroupArn: arn }, signal),
      await elb.call("DescribeTargetGroupAttributes", { TargetGroupArn: arn }, signal),
    ];
    const targets = health
      .members("TargetHealthDescriptions")
      // One that is being drained is no target any more.
      .filter((each) => each.find("TargetHealth")?.find("State")?.text !== "draining")
      .map((each) => each.at("Target"))
      .map((target) => ({ address: target.at("Id").text, port: Number(target.at("Port").text) }));
    const sticky = attributes.members("Attributes").find((each) => each.at("Key").text === "stickiness.enabled");
    const protocol = one.at("HealthCheckProtocol").text === "HTTP" ? "HTTP" : "TCP";
    return {
      arn,
      name: one.at("TargetGroupName").text,
      protocol: one.at("Protocol").text as TargetGroup["protocol"],
      health: {
        protocol,
        port: one.at("HealthCheckPort").text,
        path: protocol === "HTTP" ? (one.find("HealthCheckPath")?.text ?? "") : "",
      },
      sticky: sticky?.find("Value")?.text === "true",
      targets: targets.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : a.port - b.port)),
    };
  }

  async function readListener(
    one: Xml,
    groups: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<FoundListener> {
    const arn = one.at("ListenerArn").text;
    const protocol = one.at("Protocol").text as Listener["protocol"];
    const groupIn = (owner: Xml, list: string) => {
      const target = owner.members(list)[0]?.find("TargetGroupArn")?.text ?? "";
      return groups.get(target) ?? target;
    };
    const isHttp = protocol === "HTTP" || protocol === "HTTPS";
    const rules = isHttp ? await elb.all("DescribeRules", "Rules", { ListenerArn: arn }, signal) : [];
    const numbered = rules
      .filter((rule) => rule.find("IsDefault")?.text !== "true" && rule.at("Priority").text !== "default")
      .toSorted((a, b) => Number(a.at("Priority").text) - Number(b.at("Priority").text));
    return {
      arn,
      protocol,
      port: Number(one.at("Port").text),
      certificates: one.members("Certificates").map((each) => each.at("CertificateArn").text),
      fallback: groupIn(one, "DefaultActions"),
      rules: numbered.map((rule): Rule => {
        const values = (field: string) => {
          const condition = rule.members("Conditions").find((each) => each.at("Field").text === field);
          const config = condition?.find(field === "host-header" ? "HostHeaderConfig" : "PathPatternConfig");
          return (config?.members("Values") ?? condition?.members("Values") ?? []).map(({ text }) => text);
        };
        return {
          host: values("host-header")[0] ?? "",
          paths: values("path-pattern").filter((path) => path !== "/*"),
          group: groupIn(rule, "Actions"),
        };
      }),
      ruleArns: numbered.map((rule) => rule.at("RuleArn").text),
      priorities: numbered.map((rule) => Number(rule.at("Priority").text)),
    };
  }

  const done: StepResult = { state: "done" };
  const action = (group: string): QueryValue =>
    group === ""
      ? [
          {
            Type: "fixed-response",
            Order: 1,
            FixedResponseConfig: { StatusCode: "404", ContentType: "text/plain", MessageBody: "not found" },
          },
        ]
      : [{ Type: "forward", Order: 1, TargetGroupArn: group }];
  const conditionsOf = ({ host, paths }: Rule): QueryValue => [
    ...(host ? [{ Field: "host-header", HostHeaderConfig: { Values: [host] } }] : []),
    // A rule needs a condition.
    ...(paths.length > 0 || !host
      ? [{ Field: "path-pattern", PathPatternConfig: { Values: paths.length > 0 ? paths : ["/*"] } }]
      : []),
  ];
  const certificatesOf = ({ certificates }: Listener): Record<string, QueryValue> =>
    certificates.length > 0 ? { Certificates: [{ CertificateArn: certificates[0] }] } : {};
  const healthOf = ({ health }: TargetGroup): Record<string, QueryValue> => ({
    HealthCheckProtocol: health.protocol,
    HealthCheckPort: health.port,
    ...(health.protocol === "HTTP"
      ? { HealthCheckPath: health.path, Matcher: { HttpCode: health.path === "/healthz" ? "200-399" : "200-499" } }
      : {}),
  });
  const stickinessOf = ({ sticky, protocol }: TargetGroup): QueryValue => [
    { Key: "stickiness.enabled", Value: String(sticky) },
    ...(protocol === "HTTP" ? [] : [{ Key: "stickiness.type", Value: "source_ip" }]),
  ];
  const targetValues = (targets: readonly Target[]): QueryValue =>
    targets.map(({ address, port }) => ({ Id: address, Port: port }));

  async function run(input: AwsStep, signal: AbortSignal): Promise<StepResult> {
    switch (input.do) {
      case "create": {
        const { name, type, scheme, subnets, securityGroups, key } = input.desired;
        const groups = type === "application" && securityGroups.length > 0 ? { SecurityGroups: securityGroups } : {};
        await elb.call(
          "CreateLoadBalancer",
          { Name: name, Type: type, Scheme: scheme, Subnets: subnets, ...groups, Tags: tagsOf(key) },
          signal,
        );
        return done;
      }
      case "wait": {
        const [found] = await orNone(
          elb.all("DescribeLoadBalancers", "LoadBalancers", { LoadBalancerArns: [input.arn] }, signal),
          [],
        );
        const state = found?.at("State").at("Code").text;
        return state === "provisioning" ? { state: "pending", message: `it is ${state}`, again: poll } : done;
      }
      case "subnets":
        await elb.call("SetSubnets", { LoadBalancerArn: input.arn, Subnets: input.subnets }, signal);
        return done;
      case "group": {
        const { group, vpc, key } = input;
        const { name, protocol, targets } = group;
        const shape = {
          Name: name,
          Protocol: protocol,
          Port: targets[0]?.port ?? 1,
          VpcId: vpc,
          TargetType: "ip",
          Tags: tagsOf(key),
        };
        const made = await elb.call("CreateTargetGroup", { ...shape, ...healthOf(group) }, signal);
        const arn = made.members("TargetGroups")[0]?.at("TargetGroupArn").text;
        if (arn && group.sticky)
          await elb.call(
            "ModifyTargetGroupAttributes",
            { TargetGroupArn: arn, Attributes: stickinessOf(group) },
            signal,
          );
        return done;
      }
      case "health":
        await elb.call("ModifyTargetGroup", { TargetGroupArn: input.arn, ...healthOf(input.group) }, signal);
        await elb.call(
          "ModifyTargetGroupAttributes",
          { TargetGroupArn: input.arn, Attributes: stickinessOf(input.group) },
          signal,
        );
        return done;
      case "targets":
        // New ones first, so that there is always one.
        if (input.add.length > 0)
          await elb.call("RegisterTargets", { TargetGroupArn: input.arn, Targets: targetValues(input.add) }, signal);
        if (input.drop.length > 0)
          await elb.call("DeregisterTargets", { TargetGroupArn: input.arn, Targets: targetValues(input.drop) }, signal);
        return done;
      case "listener": {
        const { listener, balancer, group, key } = input;
        const { protocol, port } = listener;
        const shape = {
          LoadBalancerArn: balancer,
          Protocol: protocol,
          Port: port,
          DefaultActions: action(group),
          Tags: tagsOf(key),
        };
        await elb.call("CreateListener", { ...shape, ...certificatesOf(listener) }, signal);
        return done;
      }
      case "relisten": {
        const { protocol, port } = input.listener;
        const shape = { ListenerArn: input.arn, Protocol: protocol, Port: port, DefaultActions: action(input.group) };
        await elb.call("ModifyListener", { ...shape, ...certificatesOf(input.listener) }, signal);
        return done;
      }
      case "rule":
        await elb.call(
          "CreateRule",
          {
            ListenerArn: input.listener,
            Priority: input.priority,
            Conditions: conditionsOf(input.rule),
            Actions: action(input.group),
          },
          signal,
        );
        return done;
      case "rerule":
        await elb.call(
          "ModifyRule",
          { RuleArn: input.arn, Conditions: conditionsOf(input.rule), Actions: action(input.group) },
          signal,
        );
        return done;
      default: {
        const kind = input.do.slice("Delete".length);
        await orNone(elb.call(input.do, { [`${kind}Arn`]: input.arn }, signal), undefined);
        return done;
      }
    }
  }

  return {
    name: "aws",
    loadBalancerClass: awsClass,
    ingressController: awsClass,
    capabilities: {
      families: ["IPv4"],
      protocols: ["TCP", "UDP"],
      mixedProtocols: true,
      sourceRanges: false,
      sessionAffinity: true,
      requestedAddress: false,
      localPolicy: true,
      withoutNodePorts: false,
      mostPorts: 50,
      annotations: annotationPrefixes,
      http: { tls: true, exactPaths: true, endpoints: false },
    },
    async list(cluster, signal) {
      const [balancers, groups] = [
        await elb.all("DescribeLoadBalancers", "LoadBalancers", {}, signal),
        await elb.all("DescribeTargetGroups", "TargetGroups", {}, signal),
      ];
      const arns = [
        ...balancers.filter((one) => isOurs(one, "LoadBalancerName")).map((one) => one.at("LoadBalancerArn").text),
        ...groups.filter((one) => isOurs(one, "TargetGroupName")).map((one) => one.at("TargetGroupArn").text),
      ];
      const found = [...(await owners(arns, signal)).values()].filter((key) => key.cluster === cluster);
      return [...new Map(found.map((key) => [key.uid, key])).values()];
    },
    observe,
    plan: (desired, observed) => planAws(desiredOf(desired, settings), observed),
    planRemoval: planAwsRemoval,
    async apply({ input }, signal) {
      try {
        return await run(input as AwsStep, signal);
      } catch (error) {
        // What an earlier try has made is there: the next look goes on from it.
        if (error instanceof AwsError && /^Duplicate(LoadBalancerName|TargetGroupName|Listener)/.test(error.code))
          return done;
        return failedStep(error);
      }
    },
    addresses: ({ balancer }) => (balancer?.state === "active" ? [{ hostname: balancer.hostname }] : []),
  };
}
