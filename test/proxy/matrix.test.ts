import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { prepare } from "../../scripts/prepare.mjs";
import type { EndpointSlice, Service } from "../../src/kube/index.ts";
import type { Backend } from "../../src/proxy/backend.ts";
import { chooseBackend } from "../../src/proxy/choose.ts";
import { removeProxy } from "../../src/proxy/index.ts";
import {
  createServiceModel,
  familyOf,
  type ProxyContext,
  type Route,
  type ServiceModel,
} from "../../src/services/index.ts";
import { runOrThrow, silentLogger, systemClock, systemCommands } from "../../src/system/index.ts";
import { addressesOf, createField, families, ownAddresses, routesToServices, type Field } from "./field.ts";
import { startModule, whyNoLab, type Answers } from "./lab.ts";
import { pageOf, type Verdicts } from "./matrix-page.ts";
import { service, slice } from "./objects.ts";
import { cases, createKit, type Case, type Kit, type Outcome, type Packet, type Sender, type Step } from "./matrix.ts";

const modes = ["nftables", "iptables", "userspace"] as const;
type Mode = (typeof modes)[number];
const page = join(import.meta.dirname, "../../docs/services-matrix.md");
const why = whyNoLab ? ` (${whyNoLab})` : "";

/** A case in one family. */
interface Instance {
  readonly case: Case;
  readonly kit: Kit;
  readonly steps: readonly Step[];
}

const instancesSeenFrom = (node: 1 | 2): readonly Instance[] =>
  cases.flatMap((one, i) =>
    families.map((family, k) => {
      const kit = createKit(1 + i * families.length + k, family, node);
      return { case: one, kit, steps: one.steps(kit) };
    }),
  );
const instances = instancesSeenFrom(1);
/** Cases that need the same settings are in one cluster. */
function grouped(all: readonly Instance[]): ReadonlyMap<string, readonly Instance[]> {
  const groups = new Map<string, Instance[]>();
  for (const one of all) {
    const key = JSON.stringify(one.case.settings ?? {});
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return groups;
}
const groups = grouped(instances);

function contextOf({ case: { settings = {} } }: Instance, of: 1 | 2 = 1): ProxyContext {
  const { zone, podInterfaces, noDetector, masqueradeAll, nodePortAddresses } = settings;
  const at = families.map((family) => addressesOf(family, of));
  return {
    families,
    node: {
      name: `node${of}`,
      addresses: at.flatMap(({ node1, node1Link, gateway }) => [node1, node1Link, gateway]),
      ...(zone ? { zone } : {}),
      ...(nodePortAddresses ? { nodePortAddresses } : {}),
    },
    podCidrs: podInterfaces || noDetector ? [] : at.map(({ pods }) => pods),
    serviceCidrs: at.map(({ services }) => services),
    ...(podInterfaces ? { podInterfaces } : {}),
    ...(masqueradeAll ? { masqueradeAll } : {}),
  };
}

/** A cluster of one node, whose objects are handed in. */
function createCluster(model: ServiceModel, backend: Backend) {
  const objects = new Map<string, Service | EndpointSlice>();
  const follow = (keys: ReadonlySet<string>) => {
    for (const key of keys) backend.update(key, model.plan(key));
  };
  return {
    apply({ objects: next, gone = [] }: Step) {
      for (const object of next as (Service | EndpointSlice)[]) {
        objects.set(object.metadata.name, object);
        follow(
          object.kind === "Service"
            ? model.upsertService(object as Service)
            : model.upsertSlice(object as EndpointSlice),
        );
      }
      for (const name of gone) {
        const key = `default/${name}`;
        follow(objects.get(name)?.kind === "Service" ? model.removeService(key) : model.removeSlice(key));
      }
    },
  };
}

/** How the kernel is set to track connections: all but how many there are now. */
function trackingSettings(): Readonly<Record<string, string>> {
  const dir = "/proc/sys/net/netfilter";
  const names = readdirSync(dir).filter((name) => name.startsWith("nf_conntrack") && name !== "nf_conntrack_count");
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(dir, name), "utf8")]));
}

/** Rules of the node's owner: nobody outside comes to this port, however it is translated. */
const ownersRules = (port: number) => `table inet owner {
  chain input { type filter hook input priority 0; iifname "c0" meta l4proto tcp ct original proto-dst ${port} drop; }
  chain forward { type filter hook forward priority 0; iifname "c0" meta l4proto tcp ct original proto-dst ${port} drop; }
}
`;

const isUserspace = (mode: Mode) => mode === "userspace";

/** What a mode is expected to do: user space never keeps the client's address, and can not be silent. */
function expectedOf({ gives, userspace }: Packet, mode: Mode): Outcome {
  if (!isUserspace(mode)) return gives;
  const outcome = userspace ?? gives;
  return typeof outcome === "object" ? { ...outcome, source: "masked" } : outcome;
}

describe("what the decision model says", () => {
  test.each(instances.map((one) => [`row ${one.case.row}: ${one.case.name} (${one.kit.family})`, one] as const))(
    "%s",
    (_, instance) => {
      const model = createServiceModel(contextOf(instance));
      const nothing = { update() {} } as unknown as Backend;
      const cluster = createCluster(model, nothing);
      for (const [i, step] of instance.steps.entries()) {
        cluster.apply(step);
        for (const packet of step.packets) {
          const { source, device } = senderOf(packet);
          const route = model.route({
            source,
            destination: packet.to,
            port: packet.port ?? 80,
            protocol: packet.protocol ?? "TCP",
            ...(device ? { device } : {}),
          });
          const story = `step ${i + 1}: ${packet.from} -> ${packet.to}:${packet.port ?? 80} ${JSON.stringify(route.decision)}`;
          expect(outcomeOf(route, packet), story).toEqual(wordsOf(packet));
          if (packet.because) expect(route.decision?.because[0]?.field, story).toBe(packet.because);
        }
      }
    },
  );
});

/** Addresses in the family of the packet, as a node sees them. */
const at = ({ to }: Packet, seenFrom: 1 | 2 = 1) => addressesOf(familyOf(to) ?? "IPv4", seenFrom);

function senderOf(packet: Packet, seenFrom: 1 | 2 = 1): { source: string; device?: string } {
  const { clientPod, pod, node1, node2, outside, remotePod } = at(packet, seenFrom);
  const senders: Readonly<Record<Sender, { source: string; device?: string }>> = {
    pod: { source: clientPod, device: "p1" },
    itself: { source: pod("l0"), device: "p0" },
    node: { source: node1 },
    outside: { source: outside, device: "c0" },
    remotePod: { source: remotePod, device: "n0" },
    otherNode: { source: node2, device: "n0" },
  };
  return senders[packet.from];
}

/** A decision as the words of the table. */
function outcomeOf({ decision }: Route, packet: Packet): unknown {
  // A port of the node's own that nobody has is refused by the node.
  if (!decision) return packet.gives === "elsewhere" ? "elsewhere" : "refused";
  if (decision.verdict !== "forward") return decision.verdict === "reject" ? "refused" : "silent";
  const masked = decision.masquerade || packet.from === "itself";
  return {
    pods: decision.endpoints.map(({ address }) => address).sort(),
    source: masked ? "masked" : "kept",
    sticky: decision.affinitySeconds !== undefined,
  };
}

function wordsOf(packet: Packet): unknown {
  const { gives: outcome } = packet;
  if (typeof outcome === "string") return outcome;
  const { pods, source, sticky = false } = outcome;
  return { pods: pods.split(" ").map(at(packet).pod).sort(), source, sticky };
}

describe.skipIf(whyNoLab).each(modes)(`what %s does with packets${why}`, (mode) => {
  let field: Field;
  const verdicts: Verdicts = new Map();
  /** The proxy of the second node, from when it is first wanted. */
  let second: ReturnType<typeof startModule> | undefined;

  beforeAll(async () => {
    field = await createField();
    if (isUserspace(mode)) await ownAddresses(true);
  });
  afterAll(async () => {
    if (!field) return;
    await removeProxy(systemCommands);
    if (isUserspace(mode)) await ownAddresses(false);
    second?.child.disconnect();
    await field.close();
  });

  test.each([...groups])("with settings %s", async (_, group) => {
    const [first] = group;
    if (!first) return;
    const context = contextOf(first);
    const stop = new AbortController();
    const model = createServiceModel(context);
    const { backend } = await chooseBackend(
      { mode, signal: stop.signal, clock: systemClock, commands: systemCommands },
      context,
      silentLogger,
    );
    backend.start();
    const cluster = createCluster(model, backend);
    const failures: string[] = [];
    const steps = Math.max(...group.map((one) => one.steps.length));
    for (let i = 0; i < steps; i++) {
      for (const { steps: own } of group) {
        const step = own[i];
        if (step) cluster.apply(step);
      }
      await backend.settled();
      expect(backend.failure).toBeUndefined();
      failures.push(...(await checkStep(group, i)));
    }
    stop.abort();
    await backend.stopped;
    expect(failures).toEqual([]);
  });

  test.each([...grouped(instancesSeenFrom(2))])(
    "seen from a second node, while both have proxies: %s",
    async (_, group) => {
      const [first] = group;
      if (!first) return;
      const stop = new AbortController();
      const context = contextOf(first, 1);
      const model = createServiceModel(context);
      const { backend } = await chooseBackend(
        { mode, signal: stop.signal, clock: systemClock, commands: systemCommands },
        context,
        silentLogger,
      );
      backend.start();
      const cluster = createCluster(model, backend);
      // It runs from the build, which may be older than the sources.
      if (!second) expect(prepare(() => {})).toBe(true);
      second ??= startModule(field.namespace2, "node-proxy.mjs");
      const { call } = second;
      // With these the second node's own packets would come from another of its addresses; its proxy has them before any route.
      await routesToServices("delete", field.onNode2);
      if (isUserspace(mode)) await ownAddresses(true, field.onNode2);
      await call("start", { mode, context: contextOf(first, 2) });
      const failures: string[] = [];
      const kinds = new Map<string, string>();
      const steps = Math.max(...group.map((one) => one.steps.length));
      for (let i = 0; i < steps; i++) {
        const now = group.flatMap((one) => one.steps[i] ?? []);
        for (const step of now) cluster.apply(step);
        const objects = now.flatMap((step) => step.objects);
        const gone = now.flatMap((step) => step.gone ?? []);
        for (const { kind, metadata } of objects) kinds.set(metadata.name ?? "", kind ?? "");
        const goneOf = (kind: string) =>
          gone.filter((name) => kinds.get(name) === kind).map((name) => `default/${name}`);
        await call("apply", {
          services: objects.filter(({ kind }) => kind === "Service"),
          slices: objects.filter(({ kind }) => kind === "EndpointSlice"),
          goneServices: goneOf("Service"),
          goneSlices: goneOf("EndpointSlice"),
        });
        await backend.settled();
        expect(backend.failure).toBeUndefined();
        failures.push(...(await checkStep(group, i)));
      }
      stop.abort();
      await backend.stopped;
      await call("stop");
      if (isUserspace(mode)) await ownAddresses(false, field.onNode2);
      await routesToServices("add", field.onNode2);
      expect(failures).toEqual([]);
    },
  );

  test("rows 53 and 57: the owner's firewall has its say, and tracking of connections is set as it was", async () => {
    const settings = trackingSettings();
    const stop = new AbortController();
    const [any] = instances;
    if (!any) throw new Error("there are no cases");
    const context = contextOf({ ...any, case: { ...any.case, settings: {} } });
    const model = createServiceModel(context);
    const { backend } = await chooseBackend(
      { mode, signal: stop.signal, clock: systemClock, commands: systemCommands },
      context,
      silentLogger,
    );
    backend.start();
    const nodePort = 31_999;
    const ports = [{ port: 80, protocol: "TCP", nodePort }];
    const spec = { type: "NodePort", clusterIP: "10.96.200.1", clusterIPs: ["10.96.200.1"], ports };
    const objects = [service("guarded", spec), slice("guarded", ["10.42.2.2"])];
    createCluster(model, backend).apply({ objects, packets: [] });
    await backend.settled();
    const ask = async (timeout: number) => {
      const answers = await field.outside.ask({ address: "192.168.77.1", port: nodePort, count: 1, timeout });
      return Object.keys(answers).map((one) => one.split(" ")[0]);
    };
    expect(await ask(5_000)).toEqual(["10.42.2.2"]);
    await runOrThrow(systemCommands, "nft", ["-f", "-"], { input: ownersRules(nodePort) });
    expect(await ask(300)).toEqual(["silent"]);
    await runOrThrow(systemCommands, "nft", ["delete", "table", "inet", "owner"]);
    expect(await ask(5_000)).toEqual(["10.42.2.2"]);
    expect(trackingSettings()).toEqual(settings);
    stop.abort();
    await backend.stopped;
  });

  test("the published table says so", () => {
    const text = pageOf(mode, verdicts, readFileSync(page, "utf8"));
    if (process.env["UPDATE"]) writeFileSync(page, text);
    expect(readFileSync(page, "utf8")).toBe(text);
  });

  /** Sends the packets of one step of all cases, and answers what went wrong. */
  async function checkStep(group: readonly Instance[], step: number): Promise<string[]> {
    const failures: string[] = [];
    const packets = group
      .flatMap((one) => (one.steps[step]?.packets ?? []).map((packet) => ({ one, packet })))
      // Where each node has a proxy, that of the sender's node leads a packet to a Service: the other never sees it as from outside.
      .filter(({ one: { kit }, packet: { from, to } }) => {
        const ofNode = Object.values(addressesOf(kit.family, kit.seenFrom)).includes(to);
        return kit.seenFrom === 1 || from !== "remotePod" || ofNode;
      });
    for (let k = 0; k < packets.length; k += 24)
      await Promise.all(
        packets.slice(k, k + 24).map(async ({ one: { case: tried, kit }, packet }) => {
          const problem = await check(packet, kit.seenFrom);
          const { row, name } = tried;
          const wrong = problem && `row ${row}, ${name} (${kit.family}), step ${step + 1}: ${problem}`;
          if (wrong) failures.push(wrong);
          verdicts.set(name, (verdicts.get(name) ?? true) && !wrong);
        }),
      );
    return failures;
  }

  /** What is wrong with the answer to a packet; undefined when nothing is. */
  async function check(packet: Packet, seenFrom: 1 | 2): Promise<string | undefined> {
    const is1 = seenFrom === 1;
    const agent = {
      pod: is1 ? field.client : field.client2,
      itself: is1 ? field.pods1 : field.pods2,
      node: is1 ? field.node1 : field.node2,
      outside: field.outside,
      remotePod: is1 ? field.pods2 : field.pods1,
      otherNode: is1 ? field.node2 : field.node1,
    }[packet.from];
    const { source } = senderOf(packet, seenFrom);
    const bind = packet.from === "node" || packet.from === "otherNode" ? {} : { source };
    const expected = expectedOf(packet, mode);
    const pods = typeof expected === "object" ? expected.pods.split(" ").map(at(packet, seenFrom).pod) : [];
    const count = pods.length === 0 ? 1 : pods.length === 1 ? 2 : 12 * pods.length;
    const answers = await agent.ask({
      address: packet.to,
      port: packet.port ?? 80,
      protocol: packet.protocol ?? "TCP",
      count,
      timeout: expected === "silent" ? 300 : 3_000,
      ...bind,
    });
    const { gateway, node1, node1Link } = at(packet, seenFrom);
    const problem = compare(answers, expected, pods, {
      source,
      masks: [gateway, node1, node1Link],
      packet,
    });
    return problem && `${packet.from} -> ${packet.to}:${packet.port ?? 80}/${packet.protocol ?? "TCP"}: ${problem}`;
  }

  function compare(
    answers: Answers,
    expected: Outcome,
    pods: readonly string[],
    { source, masks, packet }: { source: string; masks: readonly string[]; packet: Packet },
  ): string | undefined {
    const got = JSON.stringify(answers);
    const seen = Object.keys(answers);
    if (expected === "silent" || expected === "refused") {
      // User space has taken the connection before it knows whose it is: it resets it.
      const also = isUserspace(mode) && packet.gives === "silent" ? ["ECONNRESET", "closed", "refused"] : [];
      return seen.every((one) => one === expected || also.includes(one)) ? undefined : `${expected}, not ${got}`;
    }
    if (expected === "elsewhere")
      return seen.length === 1 && seen[0] === `${packet.to} ${source}` ? undefined : `answered elsewhere, not ${got}`;
    const parts = seen.map((one) => one.split(" "));
    const who = [...new Set(parts.map(([pod = ""]) => pod))].sort();
    if (expected.sticky ? who.length !== 1 || !pods.includes(who[0] ?? "") : who.join() !== [...pods].sort().join())
      return `${expected.sticky ? "one" : "all"} of ${pods.join(" ")}, not ${got}`;
    const wrong = parts.find(([, client = ""]) =>
      expected.source === "kept" ? client !== source : !masks.includes(client),
    );
    return wrong && `client ${expected.source}, not ${got}`;
  }
});
