import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { converge, ProviderFailure, remove, runContract, type Exposure } from "../../../src/loadbalancer/index.ts";
import { readOpenStackConfig } from "../../../src/loadbalancer/openstack/config.ts";
import { createOctavia, type Octavia } from "../../../src/loadbalancer/openstack/octavia.ts";
import { openstackProvider } from "../../../src/loadbalancer/openstack/provider.ts";
import { exposure as exposed } from "../../support/exposures.ts";
import { installOpenStack, startOpenStack, type OpenStack } from "./servers.ts";

// OpenStack's own Keystone and Octavia API answer here. What is missing is only what would be behind Octavia: its no-op driver.
// OPENSTACK=full cuts off at every call, and holds both ways of making it to the contract.
const why = await installOpenStack();
const isFull = process.env["OPENSTACK"] === "full";
const cuts = isFull ? Array.from({ length: 120 }, (_, i) => i + 1) : [3, 17];
const signal = new AbortController().signal;
/** For conditions that are waited for. */
const patience = { timeout: 60_000 };
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, Math.min(ms, 50)));

describe.skipIf(why)(
  `OpenStack's own Keystone and Octavia${why ? ` (skipped: ${why})` : ""}`,
  { timeout: 600_000 },
  () => {
    let cloud: OpenStack;
    beforeAll(
      async () => {
        cloud = await startOpenStack();
      },
      // Both servers need many seconds of a processor to begin: on one that others use, minutes.
      600_000,
    );
    afterAll(() => cloud?.close());
    beforeEach(() => cloud.mode({}));

    const configOf = (more: object = {}) =>
      readOpenStackConfig(
        {
          authUrl: cloud.authUrl,
          username: "admin",
          password: cloud.password,
          userDomain: "default",
          project: "admin",
          projectDomain: "default",
          region: "RegionOne",
          subnet: "11111111-2222-4333-8444-000000000001",
          pollMs: 10,
          // Keystone has one thread: on a machine that others use, its answers may take a minute.
          timeoutMs: 300_000,
          ...more,
        },
        {},
      );
    const provider = (more: object = {}, wrap: (octavia: Octavia) => Octavia = (octavia) => octavia) =>
      openstackProvider(configOf(more), wrap(createOctavia(configOf(more))));

    const exposure = (name: string, more: Partial<Exposure> = {}): Exposure =>
      exposed({ key: { cluster: "lab", namespace: "default", name, uid: `uid-${name}` }, ...more });

    /** As the controller: looks again until it is done. Fails only for what trying again does not help. */
    async function settle(work: () => ReturnType<typeof converge>): Promise<{ steps: number; reasons: string[] }> {
      const reasons: string[] = [];
      for (let tries = 0; tries < 600; tries++) {
        const result = await work();
        if (result.state === "done") return { steps: result.steps, reasons };
        if (result.state === "failed") reasons.push(result.reason);
        if (result.state === "failed" && ["Refused", "Quota", "Credentials"].includes(result.reason)) {
          throw new Error(`${result.reason}: ${result.message}`);
        }
        await sleep(result.again ?? 20);
      }
      throw new Error(`it does not come to rest: ${reasons.join(" ")}`);
    }
    const make = (desired: Exposure, one = provider()) => settle(() => converge(one, desired, signal));
    const unmake = (desired: Exposure, one = provider()) => settle(() => remove(one, desired.key, signal));

    /** Load balancers, listeners, pools, monitors and members that exist, whoever has made them. */
    async function counts(): Promise<number[]> {
      const octavia = createOctavia(configOf());
      const kinds = ["loadbalancers", "listeners", "pools", "healthmonitors"] as const;
      const all = await Promise.all(kinds.map((kind) => octavia.list(kind, {}, signal)));
      const members = (all[2] ?? []).reduce((sum, pool) => sum + pool.at("members").list().length, 0);
      return [...all.map((list) => list.length), members];
    }
    const nothing = [0, 0, 0, 0, 0];

    test.each(isFull ? [true, false] : [])(
      "the contract is kept; all parts in one call: %s",
      { timeout: 900_000 },
      async (oneCall) => {
        const create = () => Promise.resolve(provider({ oneCall }));
        const results = await runContract({ create, sleep, signal });
        expect(results.filter(({ ok }) => !ok)).toEqual([]);
        expect(await counts()).toEqual(nothing);
      },
    );

    test("what is made is what OpenStack's own client reads; the second time nothing is written", async () => {
      const web = exposure("web", {
        sourceRanges: ["10.9.0.0/16"],
        sessionAffinity: "ClientIP",
        requestedAddress: "203.0.113.9",
        annotations: { "loadbalancer.openstack.org/timeout-client-data": "70000" },
      });
      await make(web);
      const listeners =
        "sorted([l.protocol, l.protocol_port, l.allowed_cidrs, l.timeout_client_data, l.provisioning_status] for l in lb.listeners())";
      const pools =
        "sorted([p.protocol, p.lb_algorithm, p.session_persistence['type'], sorted([m.address, m.protocol_port] for m in lb.members(p))] for p in lb.pools())";
      const balancers = "[[b.vip_address, b.name, b.provisioning_status] for b in lb.load_balancers()]";
      expect(await cloud.sdk(`[${listeners}, ${pools}, ${balancers}]`)).toEqual([
        [
          ["TCP", 80, ["10.9.0.0/16"], 70_000, "ACTIVE"],
          ["UDP", 53, ["10.9.0.0/16"], 70_000, "ACTIVE"],
        ],
        [
          [
            "TCP",
            "ROUND_ROBIN",
            "SOURCE_IP",
            [
              ["10.0.0.1", 30_080],
              ["10.0.0.2", 30_080],
            ],
          ],
          [
            "UDP",
            "ROUND_ROBIN",
            "SOURCE_IP",
            [
              ["10.0.0.1", 30_053],
              ["10.0.0.2", 30_053],
            ],
          ],
        ],
        [["203.0.113.9", "fairlead_lab_default_web", "ACTIVE"]],
      ]);
      await cloud.writes();
      expect((await make(web)).steps).toBe(0);
      expect(await cloud.writes()).toEqual({});
      await unmake(web);
      expect(await counts()).toEqual(nothing);
    });

    test("what someone else has changed is put right", async () => {
      const web = exposure("drift");
      await make(web);
      const octavia = createOctavia(configOf());
      const idOf = async (kind: "listeners" | "pools" | "healthmonitors", query: Record<string, string>) =>
        (await octavia.list(kind, query, signal))[0]?.at("id").text() ?? "";
      const drifts = [
        async () => octavia.remove("healthmonitors", await idOf("healthmonitors", { type: "TCP" }), signal),
        async () =>
          octavia.update(
            "listeners",
            await idOf("listeners", { protocol: "TCP" }),
            { allowed_cidrs: ["192.0.2.0/24"] },
            signal,
          ),
        async () => octavia.remove("pools", await idOf("pools", { protocol: "UDP" }), signal),
        async () => octavia.setMembers(await idOf("pools", { protocol: "TCP" }), [], signal),
        async () => octavia.remove("listeners", await idOf("listeners", { protocol: "TCP" }), signal),
      ];
      for (const drift of drifts) {
        await drift();
        expect((await make(web)).steps).toBeGreaterThan(0);
      }
      await make(web);
      expect(await counts()).toEqual([1, 2, 2, 2, 4]);
      expect((await make(web)).steps).toBe(0);
      await unmake(web);
      expect(await counts()).toEqual(nothing);
    });

    test("errors, slowness and flapping: what exists ends as what is wanted", async () => {
      const web = exposure("bad");
      await cloud.mode({ errors: 1 });
      expect((await make(web)).reasons).toContain("Broken");
      await cloud.mode({ delay: 150 });
      await make({ ...web, ports: web.ports.slice(0, 1) });
      await cloud.mode({ flaps: 2 });
      await make(web);
      // In the middle of changes: the parts under way end in ERROR as well.
      await cloud.mode({ errors: 2 });
      const grown = {
        ...web,
        ports: [...web.ports, { name: "s", protocol: "TCP", port: 443, nodePort: 30_443 } as const],
      };
      expect((await make(grown)).reasons).toContain("Broken");
      expect(await counts()).toEqual([1, 3, 3, 3, 6]);
      expect((await make(grown)).steps).toBe(0);
      // One that cannot be repaired says so.
      await cloud.mode({ errors: 1 });
      const left = provider({ onError: "leave" });
      await converge(left, web, signal);
      await cloud.mode({});
      await expect
        .poll(() => converge(left, web, signal), patience)
        .toMatchObject({ state: "failed", reason: "Broken", message: /is in ERROR/ });
      await unmake(web);
      expect(await counts()).toEqual(nothing);
    });

    test("Services that share a load balancer meet a storm of 409, and leave nothing double", async () => {
      const share = { annotations: { "openstack.fairlead.dev/share": "edge" } };
      const many = Array.from({ length: 4 }, (_, i) =>
        exposure(`s${i}`, { ...share, ports: [{ name: "p", protocol: "TCP", port: 8_000 + i, nodePort: 31_000 + i }] }),
      );
      await cloud.mode({ delay: 20 });
      await cloud.writes();
      const one = provider();
      await Promise.all(many.map((desired) => make(desired, one)));
      expect((await cloud.writes())["409"] ?? 0).toBeGreaterThan(0);
      expect(await counts()).toEqual([1, 4, 4, 4, 8]);
      expect((await one.list("lab", signal)).map(({ name }) => name).sort()).toEqual(["s0", "s1", "s2", "s3"]);
      // A port that another has is refused, and harms nobody.
      const clash = exposure("clash", {
        ...share,
        ports: [{ name: "p", protocol: "TCP", port: 8_000, nodePort: 31_009 }],
      });
      await expect
        .poll(() => converge(one, clash, signal), patience)
        .toMatchObject({ state: "failed", reason: "Conflict" });
      await unmake(clash, one);
      await Promise.all(many.slice(1).map((desired) => unmake(desired, one)));
      expect(await counts()).toEqual([1, 1, 1, 1, 2]);
      await Promise.all(many.slice(0, 1).map((desired) => unmake(desired, one)));
      expect(await counts()).toEqual(nothing);
    });

    test("an Ingress is policies by host and path, as OpenStack's own client reads them; cut off, it goes on", async () => {
      const backend = (service: string, nodePort: number) => {
        const ports = { port: 80, targetPort: 8_080, nodePort };
        return { namespace: "default", service, uid: service, endpoints: [], ...ports };
      };
      const [shop, blog] = [backend("shop", 30_001), backend("blog", 30_002)];
      const rule = (host: string, path: string, match: "Exact" | "Prefix", of = shop) => ({
        host,
        path,
        match,
        backend: of,
      });
      const rules = [
        rule("a.example", "/exact", "Exact", blog),
        rule("a.example", "/shop", "Prefix"),
        rule("*.b.example", "/", "Prefix", blog),
      ];
      const ports = [{ name: "http", protocol: "TCP", port: 80 }] as const;
      const shape = (more: object) => exposure("edge", { ports, http: { rules, certificates: [], ...more } });
      const web = shape({ fallback: shop });
      class Cut extends Error {}
      // The last call has its effect, but its answer is lost.
      for (const cut of isFull ? cuts.slice(0, 40) : [9]) {
        let calls = 0;
        const dying = provider({}, (octavia) =>
          eachCall(octavia, async (work) => {
            const answer = await work();
            if (++calls >= cut) throw new Cut();
            return answer;
          }),
        );
        await make(web, dying).catch((error: unknown) => {
          if (!(error instanceof Cut)) throw error;
        });
      }
      await make(web);
      expect(await counts()).toEqual([1, 1, 2, 2, 4]);
      const read = `[[[l.protocol, l.protocol_port, l.insert_headers["X-Forwarded-For"], l.default_pool_id is not None] for l in lb.listeners()], [[p.position, p.is_admin_state_up, p.action, sorted(m.protocol_port for m in lb.members(p.redirect_pool_id)), sorted([r.type, r.compare_type, r.rule_value] for r in lb.l7_rules(p))] for p in sorted(lb.l7_policies(), key=lambda p: p.position)]]`;
      const policy = (position: number, port: number, ...of: string[][]) => {
        return [position, true, "REDIRECT_TO_POOL", [port, port], of];
      };
      const host = ["HOST_NAME", "EQUAL_TO", "a.example"];
      const wildcard = ["HOST_NAME", "REGEX", String.raw`^[^.]+\.b\.example(:[0-9]+)?$`];
      const exact = ["PATH", "EQUAL_TO", "/exact"];
      const prefix = ["PATH", "REGEX", "^/shop(/|$)"];
      const any = ["PATH", "STARTS_WITH", "/"];
      const listener = [["HTTP", 80, "true", true]];
      const wanted = [
        listener,
        [policy(1, 30_002, host, exact), policy(2, 30_001, host, prefix), policy(3, 30_002, wildcard, any)],
      ];
      expect(await cloud.sdk(read)).toEqual(wanted);
      await cloud.writes();
      expect((await make(web)).steps).toBe(0);
      expect(await cloud.writes()).toEqual({});
      // What someone else has changed.
      const octavia = createOctavia(configOf());
      const [first, second] = (await octavia.list("l7policies", {}, signal)).map((one) => one.at("id").text());
      await octavia.remove("l7policies", first ?? "", signal);
      await expect
        .poll(
          () =>
            octavia.addRule(second ?? "", { type: "PATH", compare_type: "EQUAL_TO", value: "/x" }, signal).then(
              () => true,
              () => false,
            ),
          patience,
        )
        .toBe(true);
      await make(web);
      expect(await cloud.sdk(read)).toEqual(wanted);
      if (isFull) {
        // Another order, and one less: pools that nobody uses go.
        const turned = shape({ rules: [rules[1], rules[0]] });
        await make(turned);
        expect(((await cloud.sdk(read)) as unknown[])[1]).toEqual([
          policy(1, 30_001, host, prefix),
          policy(2, 30_002, host, exact),
        ]);
        await make(shape({ rules: rules.slice(1, 2) }));
        expect(await counts()).toEqual([1, 1, 1, 1, 2]);
      }
      await unmake(web);
      expect(await counts()).toEqual(nothing);
      expect(await octavia.list("l7policies", {}, signal)).toEqual([]);
    });

    test("tokens that end in the middle are asked for again, and nobody notices", async () => {
      const web = exposure("tokens");
      let calls = 0;
      const one = provider({}, (octavia) =>
        eachCall(octavia, async (work) => {
          if (++calls % 5 === 0) await cloud.revoke();
          return work();
        }),
      );
      expect((await make(web, one)).reasons).toEqual([]);
      await cloud.expiration(2);
      const short = provider();
      for (let round = 0; round < 3; round++) {
        await make(round % 2 ? web : { ...web, targets: web.targets.slice(0, 1) }, short);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
      await cloud.expiration(3_600);
      await unmake(web, one);
      expect(await counts()).toEqual(nothing);
    });

    test(
      "cut off between any two calls, and told nothing about the last, it ends with no double and no orphan",
      // As often as it is cut off it makes, changes and removes a load balancer, anew and whole.
      { timeout: isFull ? 8 * 3_600_000 : 3_600_000 },
      async () => {
        const web = exposure("cut");
        const grown = {
          ...web,
          ports: [...web.ports.slice(1), { name: "s", protocol: "TCP", port: 443, nodePort: 30_443 } as const],
        };
        class Cut extends Error {}
        /** Cuts in a row that were after the last call. */
        let late = 0;
        for (const cut of cuts) {
          // Of both ways of making it, all calls have had their turn.
          if (late >= 2) break;
          // The call that is the last has its effect, but its answer is lost.
          let calls = 0;
          const dying = () =>
            provider({ oneCall: cut % 2 === 0 }, (octavia) =>
              eachCall(octavia, async (work) => {
                if (calls >= cut) throw new Cut();
                const answer = await work();
                if (++calls >= cut) throw new Cut();
                return answer;
              }),
            );
          const survives = async (work: () => Promise<unknown>) => {
            try {
              await work();
              return true;
            } catch (error) {
              if (!(error instanceof Cut)) throw error;
              return false;
            }
          };
          const made = [await survives(() => make(web, dying())), await survives(() => make(grown, dying()))];
          await make(grown);
          expect([cut, await counts()]).toEqual([cut, [1, 2, 2, 2, 4]]);
          calls = 0;
          const unmade = await survives(() => unmake(grown, dying()));
          late = made.every(Boolean) && unmade ? late + 1 : 0;
          await unmake(grown);
          expect([cut, await counts()]).toEqual([cut, nothing]);
          if (isFull) console.log(`cut off after ${cut} calls: nothing is double, nothing is left`);
        }
      },
    );

    test("what the cloud refuses is said with its reason, without a secret", async () => {
      const quota = async (most: number) =>
        cloud.sdk(`lb.update_quota(cloud.current_project_id, load_balancers=${most}) and 1`);
      await quota(0);
      const web = exposure("refused");
      const over = await converge(provider(), web, signal);
      expect(over).toMatchObject({ state: "failed", reason: "Quota", message: /create the load balancer: .*[Qq]uota/ });
      await quota(-1);
      const wrong = await converge(provider({ password: "another-secret-word" }), web, signal);
      expect(wrong).toMatchObject({ state: "failed", reason: "Credentials" });
      expect(JSON.stringify(wrong)).not.toContain("another-secret-word");
      const elsewhere = await converge(provider({ region: "Nowhere" }), web, signal);
      expect(elsewhere).toMatchObject({ state: "failed", reason: "Refused", message: /catalogue.*Nowhere.*RegionOne/ });
      const none = { "openstack.fairlead.dev/load-balancer-id": "99999999-2222-4333-8444-000000000001" };
      const missing = await converge(provider(), { ...web, annotations: none }, signal);
      expect(missing).toMatchObject({ state: "failed", reason: "Refused", message: /there is no load balancer 9999/ });
      expect(await counts()).toEqual(nothing);
      const odd = { ...web, annotations: { "openstack.fairlead.dev/proxy-protocol": "v3" } };
      expect(() => provider().plan(odd, undefined)).toThrow(ProviderFailure);
    });
  },
);

/** All calls of a client go through `around`. */
function eachCall(octavia: Octavia, around: <T>(work: () => Promise<T>) => Promise<T>): Octavia {
  return {
    version: (...args) => around(() => octavia.version(...args)),
    list: (...args) => around(() => octavia.list(...args)),
    get: (...args) => around(() => octavia.get(...args)),
    members: (...args) => around(() => octavia.members(...args)),
    rules: (...args) => around(() => octavia.rules(...args)),
    addRule: (...args) => around(() => octavia.addRule(...args)),
    create: (...args) => around(() => octavia.create(...args)),
    update: (...args) => around(() => octavia.update(...args)),
    setMembers: (...args) => around(() => octavia.setMembers(...args)),
    remove: (...args) => around(() => octavia.remove(...args)),
    failOver: (...args) => around(() => octavia.failOver(...args)),
  };
}
