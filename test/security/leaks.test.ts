import { randomBytes } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { CommandOptions, CommandResult } from "../../src/system/index.ts";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noUnprivileged, openLab } from "../support/lab.ts";

// Everything that is secret is given a value that is found again, wherever it has got to: logs at their most talkative, audit events of every
// level, what commands and metrics say, and files. Secrets may be in the store (encrypted), in key files, and where a pod mounts them.

const policy = `
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
  - { level: Metadata, namespaces: [level-metadata] }
  - { level: Request, namespaces: [level-request] }
  - { level: RequestResponse }
`;

const namespaces = ["level-metadata", "level-request", "level-response"];

describe.skipIf(noUnprivileged)(
  `what is secret stays so${noUnprivileged ? ` (skipped: ${noUnprivileged})` : ""}`,
  () => {
    let lab: Lab;
    let cluster: TestCluster;
    /** What must not be found, by what it was. */
    const marks = new Map<string, string>();
    const mark = (what: string, value = randomBytes(18).toString("hex")): string => {
      marks.set(what, value);
      return value;
    };
    const staticToken = mark("a static token");
    let said = "";

    const kubectl = async (args: readonly string[], options?: CommandOptions): Promise<CommandResult> =>
      cluster.kubectl(args, options);
    const apply = async (object: object, ...flags: string[]): Promise<CommandResult> =>
      kubectl(["apply", "-f", "-", ...flags], { input: JSON.stringify(object) });
    /** With other credentials than the administrator's, and none of theirs. */
    const as = async (flags: readonly string[], args: readonly string[]): Promise<CommandResult> => {
      const server = printed(await kubectl(["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"]));
      return kubectl([`--server=${server}`, "--insecure-skip-tls-verify", ...flags, ...args], {
        env: { KUBECONFIG: "/dev/null" },
      });
    };

    beforeAll(async () => {
      lab = await openLab("unprivileged");
      const files = { policy: join(lab.dir, "policy.yaml"), tokens: join(lab.dir, "tokens.csv") };
      await writeFile(files.policy, policy, { mode: 0o644 });
      await writeFile(files.tokens, `${staticToken},robot,1,system:masters\n`, { mode: 0o644 });
      cluster = await upCluster(lab, [
        "--api-port=0",
        "--http-port=0",
        "--https-port=0",
        "--v=10",
        `--audit-policy-file=${files.policy}`,
        `--token-auth-file=${files.tokens}`,
        "--image",
        "shell=sh -c 'env; sleep 100000'",
      ]);
      ({ said } = cluster);
      const { users } = parse(await readFile(cluster.kubeconfig, "utf8")) as {
        users: { user: Record<string, string> }[];
      };
      const key = Buffer.from(users[0]?.user["client-key-data"] ?? "", "base64").toString();
      mark("the administrator's key", key.split("\n")[1]?.slice(0, 40));
      for (const name of namespaces) printed(await kubectl(["create", "namespace", name]));
    });
    afterAll(() => tearDown(lab, cluster));

    it("when people log in, rightly and wrongly", async () => {
      expect(printed(await as([`--token=${staticToken}`], ["auth", "whoami"]))).toContain("robot");
      expect((await as([`--token=${mark("a wrong token")}`], ["get", "pods"])).code).not.toBe(0);
      const basic = ["--username=jane", `--password=${mark("a password")}`];
      expect((await as(basic, ["get", "pods"])).code).not.toBe(0);

      const [id, secret] = [randomBytes(3).toString("hex"), randomBytes(8).toString("hex")];
      mark("a bootstrap token", secret);
      const stringData = { "token-id": id, "token-secret": secret, "usage-bootstrap-authentication": "true" };
      const metadata = { name: `bootstrap-token-${id}`, namespace: "kube-system" };
      printed(
        await apply({ apiVersion: "v1", kind: "Secret", metadata, type: "bootstrap.kubernetes.io/token", stringData }),
      );
      expect(printed(await as([`--token=${id}.${secret}`], ["auth", "whoami"]))).toContain(`system:bootstrap:${id}`);

      for (const namespace of namespaces) {
        const token = printed(await kubectl(["create", "token", "default", "-n", namespace])).trim();
        // The signature is what must not be known: what comes before it may be guessed.
        mark(`a token of an account in ${namespace}`, token.split(".")[2]?.slice(0, 40));
        expect(printed(await as([`--token=${token}`], ["auth", "whoami"]))).toContain(`${namespace}:default`);
        const review = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", metadata: {}, spec: { token } };
        printed(await kubectl(["create", "-f", "-", "-o", "json"], { input: JSON.stringify(review) }));
        printed(await as([`--token=${staticToken}`, "--as=ann"], ["auth", "whoami"]));
      }
    });

    it.each(namespaces)("when Secrets are written and refused in %s", async (namespace) => {
      const value = (what: string) => mark(`${what} in ${namespace}`);
      const secret = (name: string, more: object) => ({
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name, namespace },
        ...more,
      });
      printed(
        await kubectl(["create", "secret", "generic", "a", "-n", namespace, `--from-literal=k=${value("created")}`]),
      );
      printed(await apply(secret("b", { stringData: { k: value("applied") } })));
      printed(await apply(secret("b", { stringData: { k: value("applied again") } })));
      printed(await apply(secret("c", { stringData: { k: value("applied by the server") } }), "--server-side"));
      const patch = async (type: string, body: unknown) =>
        kubectl(["patch", "secret", "a", "-n", namespace, `--type=${type}`, "-p", JSON.stringify(body)]);
      printed(await patch("merge", { stringData: { k: value("merged") } }));
      printed(await patch("strategic", { stringData: { k: value("merged strategically") } }));
      const encoded = Buffer.from(value("patched")).toString("base64");
      printed(await patch("json", [{ op: "add", path: "/data/x", value: encoded }]));
      // What is refused is told, too.
      const refused = await Promise.all([
        patch("json", [{ op: "test", path: "/data/x", value: value("tested") }]),
        patch("json", [{ op: "replace", path: "/data", value: value("of the wrong type") }]),
        patch("merge", { data: { k: `${value("not base64")}*` } }),
        apply(secret("d", { data: { k: `${value("not base64, applied")}*` } }), "--validate=false"),
        apply(secret("d", { data: value("no map") }), "--validate=false"),
        apply(
          secret("d", {
            type: "kubernetes.io/dockerconfigjson",
            stringData: { ".dockerconfigjson": value("no JSON") },
          }),
        ),
        apply(secret("d", { stringData: { "bad/key": value("under a bad key") } })),
        apply(secret("d", { unknown: value("in an unknown field") })),
        apply(secret("b", { type: "other", stringData: { k: value("of another type") } })),
        kubectl(["create", "--raw", `/api/v1/namespaces/${namespace}/secrets`, "-f", "-"], {
          input: `{"metadata":{"name":"d"},"stringData":{"k":"${value("cut off")}`,
        }),
      ]);
      expect(refused.map(({ code }) => code)).not.toContain(0);
      printed(await kubectl(["get", "secrets", "-n", namespace, "-o", "yaml"]));
      printed(await kubectl(["get", "secrets", "-n", namespace]));
      printed(await kubectl(["delete", "secret", "c", "-n", namespace]));
    });

    it("when pods have them, in their environment and in files, and commands are run there", async () => {
      for (const namespace of namespaces) {
        const pod = (name: string, key: string) => ({
          apiVersion: "v1",
          kind: "Pod",
          metadata: { name, namespace },
          spec: {
            containers: [
              {
                name: "c",
                image: "shell",
                env: [{ name: "PASSWORD", valueFrom: { secretKeyRef: { name: "b", key } } }],
                volumeMounts: [{ name: "v", mountPath: "/secret" }],
              },
            ],
            volumes: [{ name: "v", secret: { secretName: "b" } }],
          },
        });
        printed(await apply(pod("good", "k")));
        printed(await apply(pod("bad", "missing")));
        printed(await kubectl(["wait", "-n", namespace, "--for=condition=Ready", "pod/good", "--timeout=60s"]));
        const value = marks.get(`applied again in ${namespace}`) ?? "";
        expect(printed(await kubectl(["exec", "-n", namespace, "good", "--", "env"]))).toContain(value);
        expect(printed(await kubectl(["logs", "-n", namespace, "good"]))).toContain(value);
        const input = mark(`typed into a command in ${namespace}`);
        expect(printed(await kubectl(["exec", "-i", "-n", namespace, "good", "--", "cat"], { input }))).toBe(input);
      }
    });

    it("when webhooks that cannot be reached, or are not who they should be, are asked about them", async () => {
      const { clusters } = parse(await readFile(cluster.kubeconfig, "utf8")) as {
        clusters: { cluster: Record<string, string> }[];
      };
      // The API server itself is there, and no webhook; with another authority than its own it is not even spoken to.
      const { server = "", "certificate-authority-data": caBundle = "" } = clusters[0]?.cluster ?? {};
      const webhook = (name: string, failurePolicy: string, url: string) => ({
        name: `${name}.leaks.example.com`,
        failurePolicy,
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
        clientConfig: { url, caBundle },
        matchConditions: [{ name: "only", expression: `object.metadata.name == "${name}"` }],
        rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["secrets"] }],
      });
      printed(
        await apply({
          apiVersion: "admissionregistration.k8s.io/v1",
          kind: "ValidatingWebhookConfiguration",
          metadata: { name: "leaks" },
          webhooks: [
            webhook("passed-over", "Ignore", "https://127.0.0.1:1/ask"),
            webhook("silent", "Fail", "https://127.0.0.1:1/ask"),
            webhook("wrong", "Fail", `${server}/healthz`),
          ],
        }),
      );
      for (const namespace of namespaces) {
        const make = (name: string) =>
          kubectl([
            "create",
            "secret",
            "generic",
            name,
            "-n",
            namespace,
            `--from-literal=k=${mark(`shown to a webhook, ${name}, in ${namespace}`)}`,
          ]);
        await eventually(
          "a webhook that is silent is in the way",
          async () => /failed calling webhook "silent/.test((await make("silent")).stderr) || undefined,
        );
        printed(await make("passed-over"));
        expect((await make("wrong")).stderr).toMatch(/failed calling webhook "wrong\.leaks\.example\.com"/);
      }
      printed(await kubectl(["delete", "validatingwebhookconfiguration", "leaks"]));
    });

    it("nowhere in logs, audit events, figures, events or files", async () => {
      const raw = async (path: string): Promise<string> => (await kubectl(["get", "--raw", path])).stdout;
      const places = new Map<string, string>([["what `up` printed", said]]);
      for (const path of ["/metrics", "/debug/pprof/", "/debug/flags/v", "/livez?verbose", "/openapi/v2", "/configz"])
        places.set(path, await raw(path));
      places.set("events", printed(await kubectl(["get", "events", "-A", "-o", "json"])));
      places.set("pods", printed(await kubectl(["describe", "pods", "-A"])));
      places.set("`describe` of Secrets", printed(await kubectl(["describe", "secrets", "-A"])));
      places.set("status", (await cluster.fairlead(["status", "--dir", cluster.dir])).stdout);
      const audit = join(cluster.dir, "audit.log");
      await eventually("the audit log is written", async () => {
        const text = await readFile(audit, "utf8").catch(() => "");
        return namespaces.every((name) => text.includes(`"namespace":"${name}"`)) || undefined;
      });
      // A start after a kill, and an end, have words of their own.
      process.kill(await cluster.pid(), "SIGKILL");
      await cluster.up();
      for (const file of await filesOf(cluster.dir))
        if (!mayHold(file)) places.set(file, await readFile(file, "latin1"));
      expect(places.get(audit)).toContain('"level":"RequestResponse"');
      expect(places.get(join(cluster.dir, "fairlead.log"))).toContain("request");

      const found: string[] = [];
      for (const [what, value] of marks) {
        expect(value.length).toBeGreaterThan(10);
        for (const [place, text] of places)
          if (forms(value).some((form) => text.includes(form))) found.push(`${what}: ${place}`);
      }
      expect(found).toEqual([]);
    });

    /** Files that are there to hold secrets, for their owner alone, and what a container itself has printed. */
    function mayHold(file: string): boolean {
      const path = file.slice(cluster.dir.length + 1);
      return /^(pki\/|kubeconfig$|encryption\.json$)|^kubelet\/[^/]+\/.*(volumes|\/logs)\//.test(path);
    }
  },
);

/** As it is, and in base64 wherever it may begin. */
function forms(value: string): string[] {
  const shifted = [0, 1, 2].map((offset) => {
    const text = Buffer.from("x".repeat(offset) + value).toString("base64");
    // The ends depend on what is beside it.
    return text.slice(offset === 0 ? 0 : 4, -4);
  });
  return [value, ...shifted];
}

/** Those that are there: a running kubelet replaces some. */
async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const files: string[] = [];
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) files.push(...(await filesOf(path)));
    else if (entry.isFile()) files.push(path);
  }
  return files;
}
