// Several `fairlead ingress` for one cluster: each serves every Gateway, and what is made for Gateways leads to all of them.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EndpointSlice } from "../../src/kube/index.ts";
import { eventually } from "../support/cluster.ts";
import type { Running } from "../support/lab.ts";
import { gateway, openReplicas, replica, type ReplicasLab, routeOf, why } from "./replicas-lab.ts";

const [one, other] = ["198.51.100.11", "198.51.100.12"] as const;
const backend = '{"pod":"backend"}';

describe.skipIf(why)(`replicas of fairlead ingress${why ? ` (${why})` : ""}`, () => {
  let replicas: ReplicasLab;
  beforeAll(async () => {
    replicas = await openReplicas([one, other]);
    for (const object of [gateway("first"), routeOf("first", "second")]) await replicas.apply(object);
    await replicas.replicasAre(replica(one), replica(other));
  }, 120_000);
  afterAll(() => replicas?.close());

  const leads = (process_: Running): boolean => process_.output().includes("this one leads");

  /** Addresses that a Gateway's Service leads to, with the port. */
  async function led(name: string): Promise<{ readonly ready: readonly string[]; readonly port: number } | undefined> {
    const label = `gateway.networking.k8s.io/gateway-name=${name}`;
    const { items } = JSON.parse(await replicas.kubectl(["get", "endpointslices", "-l", label, "-o", "json"])) as {
      items: EndpointSlice[];
    };
    const [found] = items;
    const ready = found?.endpoints?.filter(({ conditions }) => conditions?.ready).flatMap(({ addresses }) => addresses);
    return found && { ready: ready ?? [], port: found.ports?.[0]?.port ?? 0 };
  }
  const leadsTo = (name: string, ...addresses: string[]): Promise<{ readonly port: number }> =>
    eventually(`Gateway ${name} is led to ${addresses.join(" and ")}`, async () => {
      const now = await led(name);
      return now && String(now.ready) === String(addresses) ? now : undefined;
    });

  test("each serves, and a Gateway follows those that are ready, whoever leads", { timeout: 180_000 }, async () => {
    const { curl, serve, replicasAre, apply, kubectl } = replicas;
    const [first, second] = [await serve(one), await serve(other)];
    const { port } = await leadsTo("first", one, other);
    for (const address of [one, other])
      await eventually("it serves", async () =>
        (await curl(`http://${address}:${port}/`)) === backend ? true : undefined,
      );
    expect([leads(first), leads(second)]).toEqual([true, false]);

    // A leader that stops: the other makes what a new Gateway needs, and speaks of it.
    await first.stop();
    await replicasAre(replica(other));
    await leadsTo("first", other);
    await eventually("the other leads", async () => (leads(second) ? true : undefined));
    await apply(gateway("second"));
    const made = await leadsTo("second", other);
    expect(await curl(`http://${other}:${made.port}/`)).toBe(backend);
    const accepted = `jsonpath={.status.conditions[?(@.type=="Accepted")].status}`;
    await eventually("the other speaks of it", async () =>
      (await kubectl(["get", "gateway", "second", "-o", accepted])) === "True" ? true : undefined,
    );

    // A leader that is killed leaves nobody to lead for as long as its lease lasts.
    const third = await serve(one);
    await replicasAre(replica(one), replica(other));
    for (const name of ["first", "second"]) await leadsTo(name, one, other);
    expect((await leadsTo("first", one, other)).port).toBe(port);
    await second.stop("SIGKILL");
    await replicasAre(replica(one), replica(other, "unready"));
    for (const name of ["first", "second"]) {
      const { port: at } = await leadsTo(name, one);
      expect(await curl(`http://${one}:${at}/`)).toBe(backend);
    }
    expect(leads(third)).toBe(false);
  });
});
