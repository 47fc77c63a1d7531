import { readFile, rename, writeFile } from "node:fs/promises";
import { createEventRecorder, messageOf, startController, type Client, type Informers } from "../../../client/index.ts";
import { resources, type EndpointSlice } from "../../../kube/index.ts";
import { serviceOfSlice } from "../../../services/index.ts";
import { runOrThrow, type Clock, type CommandRunner, type Component, type Logger } from "../../../system/index.ts";
import { createServiceView } from "../service-view.ts";
import { parseGoTemplate } from "./go-template.ts";
import type { Manifest } from "./manifest.ts";
import { templateData, type TemplateInput } from "./template-data.ts";

export interface PluginOptions extends Omit<TemplateInput, "services" | "slices"> {
  readonly client: Client;
  readonly informers: Informers;
  readonly manifest: Manifest;
  /** Text of the manifest's template. */
  readonly template: string;
  readonly commands: CommandRunner;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Plugin extends Component {
  /** Why the balancer does not have the last configuration; undefined: it has. */
  unserved(): string | undefined;
}

/** What the template makes of the Services as they are now; nothing is written. Throws TemplateError, ClientError. */
export async function renderOnce(
  options: Pick<PluginOptions, "client" | "template"> & Omit<TemplateInput, "services" | "slices">,
): Promise<string> {
  const { items: services } = await options.client.list(resources.Service);
  const byService = new Map<string, EndpointSlice[]>();
  for (const slice of (await options.client.list(resources.EndpointSlice)).items) {
    const key = serviceOfSlice(slice) ?? "";
    byService.set(key, [...(byService.get(key) ?? []), slice]);
  }
  const slices = (key: string) => byService.get(key) ?? [];
  return parseGoTemplate(options.template)(templateData({ ...options, services, slices }).data);
}

/** Milliseconds that changes are waited for that come together, and at least between the beginnings of two reloads. */
const pause = 500;
/** Milliseconds that a reload command may take. */
const patience = 60_000;

/**
 * Configures another balancer as service-loadbalancer's plugins did: the template is filled in with all Services, and when it says something else
 * than the file, the file is replaced and the command run: at most twice a second, whatever asks for it. A command that fails is run again, less
 * and less often. Throws TemplateError.
 */
export function startPlugin(options: PluginOptions): Plugin {
  const { client, informers, manifest, commands, signal, clock } = options;
  const log = options.log.child({ component: "service-loadbalancer", plugin: manifest.name });
  const fill = parseGoTemplate(options.template);
  const view = createServiceView(informers);
  const events = createEventRecorder(client, { component: "service-loadbalancer", log, clock, signal });
  let unserved: string | undefined = "the cluster's Services are not served yet";
  /** The balancer has been told of the file as it is. */
  let isTold = false;
  let reloadedAt = -Infinity;
  let told = new Set<string>();

  function render(): string {
    const { data, problems } = templateData({ ...options, services: view.services.list(), slices: view.slicesOf });
    const now = new Set<string>();
    for (const { object, field, reason, message, remedy } of problems) {
      const key = `${object.namespace ?? ""}/${object.name}`;
      const text = `${field}: ${message}. To mend it: ${remedy}`;
      now.add(`${key} ${text}`);
      const service = view.service(key);
      if (service && !told.has(`${key} ${text}`)) events.event(service, "Warning", reason, text);
    }
    told = now;
    return fill(data);
  }

  async function serve(): Promise<void> {
    const rest = reloadedAt + pause - clock.now();
    if (rest > 0) await clock.sleep(rest, signal);
    try {
      const text = render();
      const before = await readFile(manifest.config, "utf8").catch(() => undefined);
      if (text !== before) {
        await writeFile(`${manifest.config}.new`, text, { mode: 0o600 });
        await rename(`${manifest.config}.new`, manifest.config);
        isTold = false;
      }
      if (!isTold) {
        reloadedAt = clock.now();
        // Whoever runs this has written the command: it is theirs, and no text of a Service is in it.
        await runOrThrow(commands, "sh", ["-c", manifest.reloadCmd], { timeout: patience });
        isTold = true;
        log.info({}, "the balancer has a new configuration");
      }
      unserved = undefined;
    } catch (error) {
      unserved = `${manifest.name}: ${messageOf(error).slice(0, 500)}`;
      throw error;
    }
  }

  const controller = startController({
    name: "service-loadbalancer",
    reconcile: serve,
    after: [view.synced],
    signal,
    clock,
    log,
  });
  view.onChange(() => controller.enqueueAfter("serve", pause));
  controller.enqueue("serve");
  return {
    name: "service-loadbalancer",
    ready: controller.ready,
    stopped: controller.stopped,
    unserved: () => unserved,
  };
}
