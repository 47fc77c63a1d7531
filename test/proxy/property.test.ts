import { afterAll, beforeAll, describe, expect, test } from "vitest";
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
import { silentLogger, systemClock, systemCommands } from "../../src/system/index.ts";
import { addressesOf, createField, families, ownAddresses, type Field } from "./field.ts";
import { whyNoLab, type Agent, type Answers } from "./lab.ts";
import type { Sender } from "./matrix.ts";
import {
  createRandom,
  randomCluster,
  smaller,
  type Random,
  type RandomCluster,
  type RandomPacket,
} from "./random-cluster.ts";

// `npm run test:properties` is the long form; SEED gives other clusters.
const seed = Number(process.env["SEED"] ?? 1);
const clusters = Number(process.env["CLUSTERS"] ?? 150);
/** Clusters that are in the kernel at once. */
const batch = 25;
const modes = ["nftables", "iptables", "userspace"] as const;
type Mode = (typeof modes)[number];
const why = whyNoLab ? ` (${whyNoLab})` : "";

const nodeAddresses = families
  .map((family) => addressesOf(family))
  .flatMap(({ node1, node1Link, gateway }) => [node1, node1Link, gateway]);

/** Ways to tell pods from others: fixed for the life of a proxy. */
const detectors: readonly Pick<ProxyContext, "podCidrs" | "podInterfaces">[] = [
  { podCidrs: families.map((family) => addressesOf(family).pods) },
  { podCidrs: [], podInterfaces: ["p0", "p1"] },
  { podCidrs: [] },
];

function randomContext({ pick, chance }: Random, detector: (typeof detectors)[number]): ProxyContext {
  const zone = pick(undefined, "a", "b");
  return {
    ...detector,
    families,
    node: {
      name: "node1",
      addresses: nodeAddresses,
      ...(zone ? { zone } : {}),
      ...(chance(0.3) ? { nodePortAddresses: ["192.168.77.0/24", "fd77::/64"] } : {}),
    },
    serviceCidrs: families.map((family) => addressesOf(family).services),
    ...(chance(0.25) ? { masqueradeAll: true } : {}),
  };
}

function placeOf({ from, to }: RandomPacket): { source: string; device?: string } {
  const at = addressesOf(familyOf(to) ?? "IPv4");
  const places: Readonly<Record<Sender, { source: string; device?: string }>> = {
    pod: { source: at.clientPod, device: "p1" },
    itself: { source: at.pod("l0"), device: "p0" },
    node: { source: to === at.node1Link ? at.node1Link : at.node1 },
    outside: { source: at.outside, device: "c0" },
    remotePod: { source: at.remotePod, device: "n0" },
    otherNode: { source: at.node2, device: "n0" },
  };
  return places[from];
}

/** Pods of a node share a machine here: unmasked, they would answer each other past their node. */
function isAmongThemselves({ decision }: Route, { from, to }: RandomPacket, source: string): boolean {
  if (decision?.verdict !== "forward" || decision.masquerade) return false;
  const { local, remote } = addressesOf(familyOf(to) ?? "IPv4");
  const beside = from === "itself" ? local(0).slice(0, 7) : from === "remotePod" ? remote(0).slice(0, 7) : undefined;
  return (
    beside !== undefined && decision.endpoints.some(({ address }) => address !== source && address.startsWith(beside))
  );
}

describe.skipIf(whyNoLab).each(modes)(`packets are led as the model says: %s${why}`, (mode: Mode) => {
  let field: Field;
  const seen: Record<string, number> = {};

  beforeAll(async () => {
    field = await createField();
    if (mode === "userspace") await ownAddresses(true);
  });
  afterAll(async () => {
    if (!field) return;
    await removeProxy(systemCommands);
    await field.close();
  });

  test(`in ${clusters} random clusters (SEED=${seed})`, { timeout: 1_200_000 }, async () => {
    const random = createRandom(seed * 7919 + modes.indexOf(mode));
    for (let done = 0, world = 0; done < clusters; world++) {
      const detector = detectors[world % detectors.length] ?? { podCidrs: [] };
      const share = Math.min(clusters - done, Math.max(batch, Math.ceil(clusters / detectors.length / batch) * batch));
      await tryWorld(random, detector, share);
      done += share;
    }
    process.stdout.write(`${mode}: ${clusters} clusters, packets as the model says: ${JSON.stringify(seen)}\n`);
    // The clusters must have led to every kind of outcome, else the test says little.
    expect(Object.keys(seen).sort()).toEqual(["drop", "forward", "reject"]);
  });

  /** Many clusters one after the other in the same rules, so that differences are tried as well. */
  async function tryWorld(random: Random, detector: (typeof detectors)[number], count: number): Promise<void> {
    const stop = new AbortController();
    let context = randomContext(random, detector);
    const model = createServiceModel(context);
    const { backend } = await chooseBackend(
      { mode, signal: stop.signal, clock: systemClock, commands: systemCommands },
      context,
      silentLogger,
    );
    const world = createWorld(model, backend);
    backend.start();
    for (let i = 0; i < count; i += batch) {
      context = randomContext(random, detector);
      world.setContext(context);
      const tried = Array.from({ length: Math.min(batch, count - i) }, (_, slot) => randomCluster(random, slot));
      world.replace(tried.flatMap(({ objects }) => objects));
      await backend.settled();
      expect(backend.failure).toBeUndefined();
      const packets = tried.flatMap((cluster) => cluster.packets.map((packet) => ({ cluster, packet })));
      for (let k = 0; k < packets.length; k += 40) {
        const problems = await Promise.all(
          packets
            .slice(k, k + 40)
            .map(async ({ cluster, packet }) => ({ cluster, packet, problem: await check(world, packet) })),
        );
        const wrong = problems.find(({ problem }) => problem !== undefined);
        if (wrong) throw new Error(await storyOf(world, context, wrong.cluster, wrong.packet, wrong.problem ?? ""));
      }
    }
    stop.abort();
    await backend.stopped;
  }

  interface World {
    readonly model: ServiceModel;
    setContext(context: ProxyContext): void;
    /** These objects in place of all that were there. */
    replace(objects: RandomCluster["objects"]): void;
    settled(): Promise<void>;
  }

  function createWorld(model: ServiceModel, backend: Backend): World {
    const there = new Map<string, string>();
    const changed = new Set<string>();
    const note = (keys: ReadonlySet<string>) => {
      for (const key of keys) changed.add(key);
    };
    const idOf = ({ kind, metadata }: RandomCluster["objects"][number]) => `${kind} default/${metadata.name}`;
    return {
      model,
      setContext(context) {
        backend.setContext(context);
        note(model.setContext(context));
      },
      replace(objects) {
        const wanted = new Set(objects.map(idOf));
        for (const [id, key] of there) {
          if (wanted.has(id)) continue;
          note(id.startsWith("Service ") ? model.removeService(key) : model.removeSlice(key));
          there.delete(id);
        }
        for (const object of objects) {
          const id = idOf(object);
          there.set(id, id.slice(id.indexOf(" ") + 1));
          note(
            object.kind === "Service"
              ? model.upsertService(object as Service)
              : model.upsertSlice(object as EndpointSlice),
          );
        }
        for (const key of changed) backend.update(key, model.plan(key));
        changed.clear();
      },
      settled: () => backend.settled(),
    };
  }

  async function check({ model }: World, packet: RandomPacket): Promise<string | undefined> {
    const { to: destination, port, protocol } = packet;
    const { source: own, device } = placeOf(packet);
    // In user space the addresses of Services are the node's own, and it goes to them as from them.
    const isOwn = mode === "userspace" && packet.from === "node";
    const source = isOwn ? destination : own;
    // User space sees no interfaces.
    const known = device && mode !== "userspace" ? { device } : {};
    const route = model.route({ source, destination, port, protocol, ...known });
    if (!route.decision) return undefined;
    if (isAmongThemselves(route, packet, source)) return undefined;
    const { verdict } = route.decision;
    seen[verdict] = (seen[verdict] ?? 0) + 1;
    const agents: Readonly<Record<Sender, Agent>> = {
      pod: field.client,
      itself: field.pods1,
      node: field.node1,
      outside: field.outside,
      remotePod: field.pods2,
      otherNode: field.node2,
    };
    const bind = (packet.from === "node" && !isOwn) || packet.from === "otherNode" ? {} : { source };
    const ask = () =>
      agents[packet.from].ask({
        address: destination,
        port,
        protocol,
        count: verdict === "forward" ? 3 : 1,
        atOnce: 1,
        timeout: verdict === "drop" ? 300 : 8_000,
        ...bind,
      });
    let answers = await ask();
    // A neighbour that was not found in time is this machine's doing: no rule answers in that way.
    if (verdict === "forward" && "EHOSTUNREACH" in answers) answers = await ask();
    const problem = compare(answers, route, packet, source);
    // Connections of one client that begin at the same time may be led apart once; those that follow may not.
    const isSticky = route.decision.verdict === "forward" && route.decision.affinitySeconds !== undefined;
    return problem !== undefined && isSticky ? compare(await ask(), route, packet, source) : problem;
  }

  function compare(
    answers: Answers,
    { decision }: Route,
    { from, to }: RandomPacket,
    source: string,
  ): string | undefined {
    const got = Object.keys(answers);
    if (!decision) return undefined;
    if (decision.verdict !== "forward") {
      const words = {
        reject: ["refused"],
        drop: mode === "userspace" ? ["silent", "refused", "ECONNRESET", "closed"] : ["silent"],
      };
      return got.every((one) => words[decision.verdict].includes(one))
        ? undefined
        : `${decision.verdict}, not ${got.join(", ")}`;
    }
    const may = new Set(decision.endpoints.map(({ address }) => address));
    const { gateway, node1, node1Link } = addressesOf(familyOf(to) ?? "IPv4");
    for (const one of got) {
      const [endpoint = "", client = ""] = one.split(" ");
      if (!may.has(endpoint)) return `one of ${[...may].join(", ")}, not ${one}`;
      const masked = mode === "userspace" || decision.masquerade || (from === "itself" && endpoint === source);
      if (masked ? ![gateway, node1, node1Link].includes(client) : client !== source)
        return `${masked ? "masked" : source}, not ${one}`;
    }
    if (decision.affinitySeconds !== undefined && new Set(got.map((one) => one.split(" ")[0])).size !== 1)
      return `always the same endpoint, not ${got.join(", ")}`;
    return undefined;
  }

  /** The smallest cluster in which it still goes wrong. */
  async function storyOf(
    world: World,
    context: ProxyContext,
    cluster: RandomCluster,
    packet: RandomPacket,
    problem: string,
  ): Promise<string> {
    let { objects } = cluster;
    let last = problem;
    let attempts = 40;
    const stillWrong = async (some: RandomCluster["objects"]): Promise<boolean> => {
      world.replace(some);
      await world.settled();
      const next = await check(world, packet);
      if (next !== undefined) last = next;
      return next !== undefined;
    };
    for (let found = true; found && attempts > 0;) {
      found = false;
      for (const some of smaller(objects)) {
        if (attempts-- <= 0) break;
        if (!(await stillWrong(some))) continue;
        objects = some;
        found = true;
        break;
      }
    }
    return `${JSON.stringify(packet)} from ${JSON.stringify(placeOf(packet))}: ${last}\n${JSON.stringify({ context, objects }, undefined, 1)}`;
  }
});
