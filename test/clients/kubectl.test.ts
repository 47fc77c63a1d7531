import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab } from "../support/lab.ts";
import { access } from "./kubectl/access.ts";
import { applying } from "./kubectl/apply.ts";
import { basics } from "./kubectl/basics.ts";
import { creating } from "./kubectl/create.ts";
import { output } from "./kubectl/output.ts";
import { pods } from "./kubectl/pods.ts";

const why = clientPrograms() ? undefined : "kubectl is not installed: npm install";

const all = { ...basics, ...creating, ...output, ...applying, ...pods, ...access };

describe.skipIf(why)(`kubectl 1.35${why ? ` (skipped: ${why})` : ""}`, () => {
  let lab: Lab;
  let cluster: TestCluster;
  let known: Readonly<Record<string, string>>;
  const filled = (text: string) => text.replace(/\$(LAB|NODE)/g, (name) => known[name] ?? name);

  beforeAll(async () => {
    lab = await openLab(noKernel ? "unprivileged" : "root");
    cluster = await upCluster(lab, ["--image", "busybox=sleep 3600"]);
    const [node = ""] = printed(await cluster.kubectl(["get", "nodes", "-o", "name"])).split("\n");
    known = { $LAB: lab.dir, $NODE: node.replace("node/", "") };
  });

  afterAll(() => tearDown(lab, cluster));

  for (const [about, cases] of Object.entries(all)) {
    describe(about, () => {
      for (const { args, input, code = 0, out = [], err = [], env, soon } of cases) {
        it(`kubectl ${args.join(" ")}`, async () => {
          const more = env && Object.fromEntries(Object.entries(env).map(([name, value]) => [name, filled(value)]));
          const options = { ...(input === undefined ? {} : { input }), ...(more === undefined ? {} : { env: more }) };
          const ask = () => cluster.kubectl(args.map(filled), options);
          const asExpected = async () => {
            const told = await ask();
            return told.code === code && out.every((pattern) => pattern.test(told.stdout)) ? told : undefined;
          };
          const result = soon ? await eventually(`kubectl ${args.join(" ")} tells it`, asExpected) : await ask();
          expect.soft(result, result.stderr).toMatchObject({ code });
          for (const pattern of out) expect(result.stdout).toMatch(pattern);
          for (const pattern of err) expect(result.stderr).toMatch(pattern);
        });
      }
    });
  }

  describe("kubectl that goes on", () => {
    const podOf = async (name: string) =>
      printed(await cluster.kubectl(["run", name, "--image=fairlead.dev/echo", "-o", "name"]));

    it("get -w prints each change of a pod", async () => {
      const watch = cluster.startKubectl(["get", "pods", "-w"]);
      try {
        await podOf("watched");
        await eventually(
          "Running is printed",
          async () => /^watched +1\/1 +Running/m.exec(watch.output()) ?? undefined,
        );
        printed(await cluster.kubectl(["delete", "pod", "watched"]));
        await eventually("the end is printed", async () => /^watched .*Terminating/m.exec(watch.output()) ?? undefined);
        expect(watch.output().match(/^NAME /gm)).toHaveLength(1);
      } finally {
        await watch.stop();
      }
    });

    it("get -w --output-watch-events names what happened", async () => {
      const watch = cluster.startKubectl(["get", "cm", "-w", "--watch-only", "--output-watch-events"]);
      try {
        await eventually("the watch has begun", async () => {
          printed(await cluster.kubectl(["create", "cm", `seen-${Date.now()}`]));
          return /^ADDED +seen-/m.exec(watch.output()) ?? undefined;
        });
        printed(await cluster.kubectl(["delete", "cm", "--all"]));
        await eventually("DELETED is printed", async () => /^DELETED +seen-/m.exec(watch.output()) ?? undefined);
      } finally {
        await watch.stop();
      }
    });

    it("logs -f prints lines as they come, and ends with the pod", async () => {
      await podOf("talker");
      printed(await cluster.kubectl(["wait", "--for=condition=Ready", "pod/talker", "--timeout=60s"]));
      const logs = cluster.startKubectl(["logs", "-f", "talker"]);
      try {
        await eventually("the first line", async () => /answers HTTP on/.exec(logs.output()) ?? undefined);
        printed(await cluster.kubectl(["delete", "pod", "talker"]));
        await eventually("the last line", async () => /draining for/.exec(logs.output()) ?? undefined);
      } finally {
        await logs.stop();
      }
    });
  });
});
