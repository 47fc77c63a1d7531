import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import { printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab } from "../support/lab.ts";

const programs = clientPrograms();
const why = programs ? undefined : "kubectl and helm are not installed: npm install";

const web = (replicas: number | undefined, more = "") => `apiVersion: apps/v1
kind: Deployment
metadata: { name: web, labels: { app: web } }
spec:
  ${replicas === undefined ? "" : `replicas: ${replicas}`}
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: fairlead.dev/echo, ports: [{ containerPort: 8080 }] }] }
${more}`;

interface Entry {
  readonly manager: string;
  readonly operation: string;
  readonly subresource?: string;
  readonly fieldsV1: Record<string, unknown>;
}

describe.skipIf(why)(`server-side apply${why ? ` (skipped: ${why})` : ""}`, () => {
  let lab: Lab;
  let cluster: TestCluster;

  beforeAll(async () => {
    lab = await openLab(noKernel ? "unprivileged" : "root");
    cluster = await upCluster(lab);
  });

  afterAll(() => tearDown(lab, cluster));

  const apply = (input: string, ...more: string[]) =>
    cluster.kubectl(["apply", "--server-side", ...more, "-f", "-"], { input });
  const fieldsOf = async (name: string): Promise<Entry[]> => {
    const words = ["get", ...name.split(" "), "-o", "jsonpath={.metadata.managedFields}", "--show-managed-fields"];
    return JSON.parse(printed(await cluster.kubectl(words)) || "[]") as Entry[];
  };
  const managersOf = async (name: string): Promise<string[]> =>
    (await fieldsOf(name)).map(({ manager, operation, subresource }) =>
      [manager, operation, ...(subresource ? [subresource] : [])].join(" "),
    );

  describe("kubectl", () => {
    it("makes an object, and changes nothing the second time", async () => {
      expect(printed(await apply(web(1)))).toBe("deployment.apps/web serverside-applied\n");
      const version = ["get", "cm", "plain", "-o", "jsonpath={.metadata.resourceVersion}"];
      const plain = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: plain }\ndata: { a: '1' }\n";
      printed(await apply(plain));
      const before = printed(await cluster.kubectl(version));
      printed(await apply(plain));
      expect(printed(await cluster.kubectl(version))).toBe(before);
      expect(await managersOf("cm plain")).toEqual(["kubectl Apply"]);
    });

    it("is told of conflicts, and may force", async () => {
      printed(await cluster.kubectl(["scale", "deployment", "web", "--replicas=2"]));
      const refused = await apply(web(1));
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain(
        'error: Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas\n' +
          "Please review the fields above--they currently have other managers.",
      );
      expect(printed(await apply(web(1), "--force-conflicts"))).toContain("serverside-applied");
      expect(await managersOf("deployment web")).not.toContain("kubectl Update scale");
    });

    it("takes away what is no more in its configuration", async () => {
      printed(await apply(web(1).replace("labels: { app: web } }\nspec:", "labels: { app: web, tier: a } }\nspec:")));
      const labels = ["get", "deployment", "web", "-o", "jsonpath={.metadata.labels}"];
      expect(printed(await cluster.kubectl(labels))).toBe('{"app":"web","tier":"a"}');
      printed(await apply(web(1)));
      expect(printed(await cluster.kubectl(labels))).toBe('{"app":"web"}');
    });

    it("says what differs, and what is wrong", async () => {
      const diff = await cluster.kubectl(["diff", "--server-side", "-f", "-"], { input: web(3) });
      expect(diff.code).toBe(1);
      expect(diff.stdout).toMatch(/^-\s+replicas: 1$/m);
      expect(diff.stdout).toMatch(/^\+\s+replicas: 3$/m);
      const wrong = await apply(web(1).replace("selector:", "selektor:"), "--validate=false");
      expect(wrong.stderr).toBe(
        "Error from server: failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.selektor: " +
          "field not declared in schema\n",
      );
    });

    it("applies a status", async () => {
      const service = (status: string) =>
        `apiVersion: v1\nkind: Service\nmetadata: { name: balanced }\nspec: { ports: [{ port: 80 }] }\n${status}`;
      printed(await apply(service("")));
      const status =
        "status: { conditions: [{ type: Ready, status: 'True', reason: a, message: b, lastTransitionTime: '2030-01-01T00:00:00Z' }] }";
      printed(await apply(service(status), "--subresource=status", "--field-manager=reporter"));
      const condition = ["get", "svc", "balanced", "-o", "jsonpath={.status.conditions[0].type}"];
      expect(printed(await cluster.kubectl(condition))).toBe("Ready");
      expect(await managersOf("svc balanced")).toContain("reporter Apply status");
    });

    it("takes over what it applied from the client's side", async () => {
      const map = (data: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: moved }\ndata: { ${data} }\n`;
      printed(await cluster.kubectl(["apply", "-f", "-"], { input: map("a: '1', b: '2'") }));
      expect(await managersOf("cm moved")).toEqual(["kubectl-client-side-apply Update"]);
      printed(await apply(map("a: '2'")));
      // kubectl gives its annotation to a manager of its own, so that it stays when other managers apply.
      expect((await managersOf("cm moved")).sort()).toEqual(["kubectl Apply", "kubectl-last-applied Apply"]);
      expect(printed(await cluster.kubectl(["get", "cm", "moved", "-o", "jsonpath={.data}"]))).toBe('{"a":"2"}');
      // And back: the annotation was kept true, so what it says no more is taken away.
      printed(await cluster.kubectl(["apply", "-f", "-"], { input: map("c: '3'") }));
      expect(printed(await cluster.kubectl(["get", "cm", "moved", "-o", "jsonpath={.data}"]))).toBe('{"c":"3"}');
    });

    it("names itself in every write", async () => {
      printed(await cluster.kubectl(["create", "configmap", "named", "--from-literal=a=1"]));
      printed(await cluster.kubectl(["label", "configmap", "named", "x=y"]));
      printed(await cluster.kubectl(["annotate", "configmap", "named", "x=y"]));
      printed(await cluster.kubectl(["patch", "configmap", "named", "--type=merge", "-p", '{"data":{"b":"2"}}']));
      expect((await managersOf("cm named")).sort()).toEqual([
        "kubectl-annotate Update",
        "kubectl-create Update",
        "kubectl-label Update",
        "kubectl-patch Update",
      ]);
    });
  });

  describe("helm", () => {
    const helm = (...words: string[]) =>
      lab.run(join(programs ?? "", "helm"), words, { env: { KUBECONFIG: cluster.kubeconfig, HOME: lab.dir } });

    it("installs and upgrades by apply", async () => {
      const chart = join(lab.dir, "chart");
      await mkdir(join(chart, "templates"), { recursive: true });
      await writeFile(join(chart, "Chart.yaml"), "apiVersion: v2\nname: shop\nversion: 0.1.0\n");
      await writeFile(join(chart, "values.yaml"), "colour: red\nextra: true\n");
      await writeFile(
        join(chart, "templates/all.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: shop }\ndata:\n  colour: {{ .Values.colour }}\n{{ if .Values.extra }}  extra: x{{ end }}\n",
      );
      expect(printed(await helm("install", "shop", chart))).toContain("STATUS: deployed");
      expect(await managersOf("cm shop")).toEqual(["helm Apply"]);
      printed(await cluster.kubectl(["patch", "cm", "shop", "--type=merge", "-p", '{"data":{"mine":"kept"}}']));
      expect(printed(await helm("upgrade", "shop", chart, "--set", "colour=blue,extra=false"))).toContain(
        "REVISION: 2",
      );
      const data = ["get", "cm", "shop", "-o", "jsonpath={.data}"];
      expect(JSON.parse(printed(await cluster.kubectl(data)))).toEqual({ colour: "blue", mine: "kept" });
      printed(await helm("rollback", "shop", "1"));
      expect(JSON.parse(printed(await cluster.kubectl(data)))).toEqual({ colour: "red", extra: "x", mine: "kept" });
      printed(await helm("uninstall", "shop"));
    });
  });
});
