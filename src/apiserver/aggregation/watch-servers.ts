import { isStatus, resources, type APIService, type EndpointSlice, type Service } from "../../kube/index.ts";
import type { Clock, Component, Logger, Metrics } from "../../system/index.ts";
import { documentFrom, type CatalogGroup, type DocumentV2, type RemoteGroups } from "../discovery/index.ts";
import { originOf, readAnswer, type Egress } from "../egress/index.ts";
import { ownContext, timestamp, type Registry } from "../registry/index.ts";
import { keyFor, prefixFor, type Storage } from "../storage/index.ts";
import { targetOf, type Aggregated, type AggregatedServices } from "./api-services.ts";
import { answered, obstacle, type Condition } from "./availability.ts";
import { createAggregationFigures } from "./figures.ts";
import { groupFrom } from "./remote-discovery.ts";
import { aggregatorUser, userHeaders } from "./user-headers.ts";

export interface WatchServersOptions {
  readonly storage: Storage;
  readonly registry: Registry;
  readonly egress: Egress;
  readonly services: AggregatedServices;
  readonly client: () => Promise<{ cert: string; key: string } | undefined>;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly after: Promise<unknown>;
}

/** Milliseconds between two looks for changes of what is stored. */
const look = 250;
/** Milliseconds after which a server is asked again: one that did not answer, and one that did. */
const askAgain = { failed: 2_000, passed: 15_000 };
/** Milliseconds that a server has to say what it has. */
const patience = 5_000;
/** Bytes that it may take. */
const mostAnswer = 4 << 20;
/** Milliseconds after which a server is asked for its OpenAPI document again, as in kube-aggregator. */
const askDocument = 60_000;

/** What a server says of its types, when it was asked last, and of which state of it that holds. */
interface Documented {
  readonly generation: string;
  readonly at: number;
  readonly etag?: string;
  readonly document?: DocumentV2;
}

interface Known {
  readonly state: string;
  readonly at: number;
  readonly passed: boolean;
}

/**
 * Asks the servers behind APIServices what they have, now and then and when something about them has changed, and writes their condition
 * `Available`. One loop; servers are asked at once.
 */
export function watchServers(options: WatchServersOptions): RemoteGroups & Component {
  const { storage, registry, egress, services, client, clock, log, signal, after } = options;
  const figures = createAggregationFigures(options.metrics);
  const known = new Map<string, Known>();
  const groups = new Map<string, CatalogGroup>();
  const documents = new Map<string, Documented>();
  let version = 0;

  const remember = (name: string, group: CatalogGroup | undefined): void => {
    const before = groups.get(name);
    if (JSON.stringify(shown(before)) === JSON.stringify(shown(group))) return;
    version++;
    if (group) groups.set(name, group);
    else groups.delete(name);
  };

  const serviceOf = ({ service }: Aggregated): Service | undefined =>
    storage.of(resources.Service).get(keyFor(resources.Service, service))?.object as Service | undefined;
  const slicesOf = ({ service }: Aggregated): EndpointSlice[] =>
    storage
      .of(resources.EndpointSlice)
      .under(prefixFor(resources.EndpointSlice, service.namespace))
      .map((entry) => entry.object as EndpointSlice)
      .filter(({ metadata }) => metadata.labels?.["kubernetes.io/service-name"] === service.name);

  const ask = async (one: Aggregated): Promise<{ condition: Condition; group?: CatalogGroup }> => {
    const hindered = obstacle(one, serviceOf(one), slicesOf(one));
    if (hindered) return { condition: hindered };
    const path = one.group ? `/apis/${one.group}/${one.version}` : `/api/${one.version}`;
    const target = targetOf(one, await client());
    const url = `${originOf(target)}${path}`;
    try {
      const headers = { ...userHeaders(aggregatorUser), accept: "application/json" };
      const answer = await egress.open(target, { method: "GET", path, headers, timeout: patience, signal });
      const body = await readAnswer(answer, mostAnswer);
      if (answer.status < 200 || answer.status >= 300)
        return { condition: answered(url, `bad status from ${url}: ${answer.status}`) };
      return { condition: answered(url), group: groupFrom(one, JSON.parse(body.toString())) };
    } catch (error) {
      return { condition: answered(url, `Get "${url}": ${(error as Error).message}`) };
    }
  };

  /** Servers need not have an OpenAPI v2 document: what is none is left out. */
  const askForDocument = async (one: Aggregated): Promise<void> => {
    const { name, generation } = one;
    const last = documents.get(name);
    const isSame = last?.generation === generation;
    if (isSame && clock.now() - last.at < askDocument) return;
    const headers = {
      ...userHeaders(aggregatorUser),
      accept: "application/json",
      ...(isSame && last.etag !== undefined ? { "if-none-match": last.etag } : {}),
    };
    const open = { method: "GET", path: "/openapi/v2", headers, timeout: patience, signal };
    const next = await (async (): Promise<Pick<Documented, "etag" | "document">> => {
      const answer = await egress.open(targetOf(one, await client()), open);
      const body = await readAnswer(answer, mostAnswer);
      if (answer.status === 304 && last?.document) return last;
      if (answer.status !== 200) return {};
      const { etag } = answer.headers;
      const document = documentFrom(JSON.parse(body.toString()));
      return { document, ...(typeof etag === "string" ? { etag } : {}) };
    })().catch((error: unknown): Pick<Documented, "document"> => {
      log.debug({ server: name, error: String(error) }, "an aggregated server has no OpenAPI v2 document");
      return {};
    });
    documents.set(name, { ...next, generation, at: clock.now() });
    if (next.document !== last?.document) version++;
  };

  const tell = async ({ name }: Aggregated, condition: Condition): Promise<void> => {
    const context = { ...ownContext(resources.APIService, ""), subresource: "status", admitted: true };
    const changed = (current: APIService): APIService => {
      const conditions = current.status?.conditions ?? [];
      const before = conditions.find(({ type }) => type === "Available");
      if (
        before?.status === condition.status &&
        before.reason === condition.reason &&
        before.message === condition.message
      )
        return current;
      const lastTransitionTime =
        before?.status === condition.status && before.lastTransitionTime !== undefined
          ? before.lastTransitionTime
          : timestamp(clock.now());
      const others = conditions.filter(({ type }) => type !== "Available");
      return {
        ...current,
        status: { conditions: [...others, { type: "Available", ...condition, lastTransitionTime }] },
      };
    };
    await registry
      .update(context, name, (current) => changed(current as APIService), { retry: true })
      .catch((error: unknown) => {
        if (!isStatus(error, "NotFound")) throw error;
      });
  };

  const check = async (one: Aggregated, state: string): Promise<void> => {
    const { condition, group } = await ask(one);
    const passed = condition.status === "True";
    figures.looked(one.name, condition);
    known.set(one.name, { state, at: clock.now(), passed });
    // Who was heard once keeps its place in discovery, so that its objects do not seem to be gone.
    const heard = groups.get(one.name);
    remember(one.name, group ?? { group: one.group, version: one.version, entries: heard?.entries ?? [], stale: true });
    await tell(one, condition);
    if (passed) await askForDocument(one);
  };

  const round = async (): Promise<void> => {
    const all = services.all();
    for (const name of known.keys()) {
      if (all.some((one) => one.name === name)) continue;
      known.delete(name);
      figures.gone(name);
      if (documents.delete(name)) version++;
      remember(name, undefined);
    }
    if (all.length === 0) return;
    const changes = `${storage.of(resources.Service).changed} ${storage.of(resources.EndpointSlice).changed}`;
    const due = all.filter((one) => {
      const last = known.get(one.name);
      if (!last || last.state !== `${one.generation} ${changes}`) return true;
      return clock.now() - last.at >= (last.passed ? askAgain.passed : askAgain.failed);
    });
    await Promise.all(due.map((one) => check(one, `${one.generation} ${changes}`)));
  };

  const run = async (): Promise<void> => {
    await after;
    while (!signal.aborted) {
      await round().catch((error: unknown) =>
        log.warn({ error: String(error) }, "a look at aggregated servers failed"),
      );
      await clock.sleep(look, signal);
    }
  };

  return {
    name: "aggregated-servers",
    ready: Promise.resolve(),
    stopped: run().catch(() => {}),
    // An APIService that was deleted is gone for the next request, not only for the next look.
    all: () => services.all().flatMap(({ name }) => groups.get(name) ?? []),
    documents: () =>
      [...services.all()]
        .sort((a, b) => b.groupPriority - a.groupPriority || b.versionPriority - a.versionPriority)
        .flatMap(({ name, group, version: of }) => {
          const { document } = documents.get(name) ?? {};
          return document ? [{ group, version: of, document }] : [];
        }),
    get version() {
      return `${version} ${storage.of(resources.APIService).changed}`;
    },
  };
}

function shown(group: CatalogGroup | undefined): unknown {
  return group && { ...group, entries: group.entries.map(({ source }) => source) };
}
