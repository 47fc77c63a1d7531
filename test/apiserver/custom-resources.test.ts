import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import {
  createApiServer,
  createKubeletClient,
  openPki,
  serveHttps,
  writeKubeconfig,
} from "../../src/apiserver/index.ts";
import { createMemoryStore } from "../../src/store/index.ts";
import { type CommandResult, silentLogger, systemClock, systemCommands } from "../../src/system/index.ts";

const programs = clientPrograms();
const why = programs ? "" : " (skipped: kubectl is not installed: npm install)";

const version = (name: string, more: string): string => `
    - name: ${name}
      served: true
      ${more}
      subresources:
        status: {}
        scale: { specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas }
      additionalPrinterColumns:
        - { name: Size, type: integer, jsonPath: .spec.size }
        - { name: Age, type: date, jsonPath: .metadata.creationTimestamp }
      selectableFields: [{ jsonPath: .spec.color }]
      schema:
        openAPIV3Schema:
          type: object
          description: Something to turn.
          properties:
            spec:
              type: object
              required: [size]
              properties:
                size: { type: integer, minimum: 1, description: How big it is. }
                color: { type: string, default: red }
                replicas: { type: integer, default: 1 }
              x-kubernetes-validations:
                - { rule: self.size < 100, message: too big }
            status:
              type: object
              properties:
                replicas: { type: integer }`;

const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.acme.io }
spec:
  group: acme.io
  scope: Namespaced
  names: { plural: widgets, singular: widget, kind: Widget, shortNames: [wd], categories: [things] }
  versions:${version("v1", "storage: true")}${version("v1beta1", "storage: false\n      deprecated: true")}
`;
const widget = (name: string, spec: string): string => `
apiVersion: acme.io/v1
kind: Widget
metadata: { name: ${name} }
spec: { ${spec} }
`;

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(holds()).toBe(true);
}

describe.skipIf(!programs)(`kubectl and custom resources${why}`, () => {
  const ended = new AbortController();
  const dir = mkdtempSync(join(tmpdir(), "apiserver-custom-"));
  const program = join(programs ?? "", "kubectl");
  let stopped: Promise<unknown>;

  const kubectl = (args: readonly string[], input = ""): Promise<CommandResult> =>
    systemCommands.run(program, ["--kubeconfig", join(dir, "kubeconfig"), ...args], { input, env: { HOME: dir } });
  /** What kubectl prints; fails with what it complains of. */
  const prints = async (line: string, input?: string): Promise<string> => {
    const { code, stdout, stderr } = await kubectl(line.split(" "), input);
    expect(code, stderr).toBe(0);
    return stdout;
  };
  /** What kubectl complains of; fails when it does not. */
  const complains = async (line: string, input?: string): Promise<string> => {
    const { code, stderr } = await kubectl(line.split(" "), input);
    expect(code).not.toBe(0);
    return stderr;
  };

  beforeAll(async () => {
    const pki = await openPki(join(dir, "pki"), systemClock);
    const server = await pki.server("server", { name: "server", hosts: ["127.0.0.1"] });
    const client = await pki.client("admin", { user: "admin", groups: ["system:masters"] });
    const store = createMemoryStore();
    const api = createApiServer({
      store,
      clock: systemClock,
      log: silentLogger,
      signal: ended.signal,
      serviceCidrs: ["10.96.0.0/16"],
      advertise: { address: "192.0.2.1", port: 6443 },
      gatewayApi: true,
      kubelet: createKubeletClient({ ca: pki.ca, ...client }),
    });
    const served = await serveHttps(api.handler, {
      host: "127.0.0.1",
      port: 0,
      ...server,
      clientCa: pki.ca,
      signal: ended.signal,
      log: silentLogger,
    });
    stopped = Promise.all([api.stopped, served.stopped]).then(() => store.close());
    await api.ready;
    await writeKubeconfig(join(dir, "kubeconfig"), {
      cluster: "test",
      server: `https://127.0.0.1:${served.port}`,
      ca: pki.ca,
      user: "admin",
      client,
    });
  }, 30_000);

  afterAll(async () => {
    ended.abort();
    await stopped;
    rmSync(dir, { recursive: true, force: true });
  });

  it("defines a kind and uses it at once", async () => {
    expect(await prints("apply -f -", definition)).toContain("widgets.acme.io created");
    await prints("wait --for=condition=Established crd/widgets.acme.io --timeout=10s");
    expect(await prints("apply -f -", widget("a", "size: 3"))).toContain("widget.acme.io/a created");
    expect(await prints("apply -f -", widget("a", "size: 3"))).toContain("widget.acme.io/a unchanged");
    expect(await prints("get wd")).toMatch(/^NAME +SIZE +AGE\na +3 +\S+\n$/);
    expect(await prints("get things -o name")).toBe("widget.acme.io/a\n");
    expect(await prints("get widgets --field-selector spec.color=red -o name")).toBe("widget.acme.io/a\n");
    expect(await prints("get widgets --field-selector spec.color=blue -o name")).toBe("");
    expect(await prints("api-resources --api-group=acme.io")).toContain("widgets   wd");
  }, 60_000);

  it("explains it", async () => {
    const text = await prints("explain widget.spec --recursive");
    expect(text).toContain("GROUP:      acme.io");
    expect(text).toMatch(/size\t<integer> -required-/);
    expect(await prints("explain widget.spec.size")).toContain("How big it is.");
    expect(await prints("explain httproute.spec.rules --api-version=gateway.networking.k8s.io/v1")).toContain(
      "backendRefs",
    );
  }, 60_000);

  it("refuses what the definition does not allow", async () => {
    expect(await complains("apply -f -", widget("b", "size: 0"))).toContain(
      "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1",
    );
    expect(await complains("apply -f -", widget("b", "size: 100"))).toContain("spec: Invalid value: too big");
    expect(await complains("apply -f -", widget("b", "size: 1, other: 2"))).toContain('unknown field "spec.other"');
    expect(await complains("create -f -", widget("b", "color: blue"))).toContain("spec.size: Required value");
    expect(await complains(`patch widget a --type=strategic -p {"spec":{"size":4}}`)).toContain("strategic");
  }, 60_000);

  it("patches, scales and applies it", async () => {
    expect(await prints(`patch widget a --type=merge -p {"spec":{"size":4}}`)).toContain("patched");
    expect(await prints(`patch widget a --type=json -p [{"op":"replace","path":"/spec/size","value":5}]`)).toContain(
      "patched",
    );
    expect(await prints("scale widget a --replicas=4")).toContain("scaled");
    expect(await prints("get widget a -o jsonpath={.spec.size},{.spec.replicas},{.metadata.generation}")).toBe("5,4,4");
    expect(await prints(`patch widget a --subresource=status --type=merge -p {"status":{"replicas":2}}`)).toContain(
      "patched",
    );
    expect(await prints("get widget a -o jsonpath={.status.replicas},{.metadata.generation}")).toBe("2,4");
    expect(await prints("apply --server-side -f -", widget("s", "size: 6"))).toContain("serverside-applied");
    expect(
      await prints("get widget s --show-managed-fields -o jsonpath={.metadata.managedFields[0].fieldsV1}"),
    ).toContain("f:size");
    const conflict = await complains("apply --server-side --field-manager=other -f -", widget("s", "size: 7"));
    expect(conflict).toContain("conflict");
  }, 60_000);

  it("shows it in another version, with a warning", async () => {
    const { stdout, stderr } = await kubectl(["get", "widgets.v1beta1.acme.io", "a", "-o", "jsonpath={.apiVersion}"]);
    expect(stdout).toBe("acme.io/v1beta1");
    expect(stderr).toContain("Warning: acme.io/v1beta1 Widget is deprecated");
  }, 60_000);

  it("follows it and takes it away with its definition", async () => {
    const watch = spawn(program, ["--kubeconfig", join(dir, "kubeconfig"), "get", "widgets", "-w", "-o", "name"], {
      env: { HOME: dir },
    });
    let seen = "";
    watch.stdout.setEncoding("utf8").on("data", (text: string) => {
      seen += text;
    });
    try {
      await until(() => seen.includes("widget.acme.io/a"));
      await prints("apply -f -", widget("late", "size: 1"));
      await until(() => seen.includes("widget.acme.io/late"));
    } finally {
      watch.kill();
    }
    expect(await prints("delete crd widgets.acme.io --timeout=20s")).toContain("deleted");
    // It depends on what kubectl remembers of discovery which of the two it says.
    expect(await complains("get widgets")).toMatch(
      /could not find the requested resource|doesn't have a resource type/,
    );
    // Defined anew, there is nothing left of before.
    await prints("apply -f -", definition);
    await prints("wait --for=condition=Established crd/widgets.acme.io --timeout=10s");
    expect(await prints("get widgets -o name")).toBe("");
  }, 60_000);

  it("has the kinds of the Gateway API", async () => {
    expect(await prints("get crd -o name")).toContain("httproutes.gateway.networking.k8s.io");
    const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web }
spec: { parentRefs: [{ name: gw }], hostnames: [a.example], rules: [{ backendRefs: [{ name: web, port: 80 }] }] }
`;
    expect(await prints("apply -f -", route)).toContain("created");
    expect(await prints("get httproutes")).toMatch(/NAME +HOSTNAMES +AGE\nweb +\["a.example"\]/);
    expect(await complains("apply -f -", route.replace(", port: 80", ""))).toContain("failed rule");
  }, 60_000);
});
