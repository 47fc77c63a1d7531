import { setMaxListeners } from "node:events";
import { join } from "node:path";
import type { Pool } from "../routing/index.ts";
import { createTurns, whenAborted } from "../system/index.ts";
import { type DataPlaneName, type DataPlaneOptions, missingFor, startDataPlane } from "./choose.ts";
import type { BoundListener, Configuration, DataPlane, Realised } from "./dataplane.ts";
import { keptOut } from "./features.ts";
import { endOrphan } from "./haproxy/orphan.ts";
import { endEarlier } from "./nginx/process.ts";
import { rehearsalOf, startProbe } from "./rehearsal.ts";
import { shareSockets } from "./shared-sockets.ts";
import { systemSockets } from "./sockets.ts";

/** A data plane was not switched to; the one before serves on as if nothing had happened. */
export class DataPlaneSwitchError extends Error {
  readonly code = "SWITCH_FAILED";

  constructor(name: DataPlaneName, reason: string, options?: ErrorOptions) {
    super(`${name} was not switched to: ${reason}`, options);
    this.name = "DataPlaneSwitchError";
  }
}

export interface SwitchableOptions extends DataPlaneOptions {
  /** Default: `startDataPlane`. */
  readonly startPlane?: (name: DataPlaneName, options: DataPlaneOptions) => DataPlane;
  /** Milliseconds that long connections may go on in a data plane that another one has taken over from. */
  readonly patience?: number;
}

export interface SwitchOptions {
  /** Also when routes that are served now would not be any more. */
  readonly lossy?: boolean;
}

/** A data plane behind which another one can be put while it serves. `capabilities` are those of the one that serves. */
export interface SwitchableDataPlane extends DataPlane {
  readonly serving: DataPlaneName;
  /** Data planes that others have taken over from, with connections left. */
  readonly retiring: readonly DataPlaneName[];
  /**
   * Serves by this data plane from now on. It is started beside the one that serves, on ports of loopback, gets every route, and is tried with requests.
   * Then it takes the same listening sockets, so that nobody who connects sees a difference, and the other one ends its connections with
   * their next answer. Throws `DataPlaneSwitchError` when it does not serve, or would not serve a route that is served now; then all is as before. Does
   * nothing when it is the one already.
   */
  switchTo(name: DataPlaneName, options?: SwitchOptions): Promise<void>;
  /** Calls back whenever another one serves. */
  onSwitched(call: () => void): void;
}

interface Plane {
  readonly name: DataPlaneName;
  readonly plane: DataPlane;
  readonly folder: number;
  readonly end: () => void;
  rehearses: boolean;
}

/** Milliseconds: as long as HAProxy's own processes get at another's start. */
const longest = 3_600_000;
/** Routes that an error names. */
const named = 5;

/** The data plane of a name, which may be switched. Its folder has one of its own for each that is started. */
export function startSwitchable(first: DataPlaneName, options: SwitchableOptions): SwitchableDataPlane {
  const { signal, log, startPlane = startDataPlane, patience = longest, sockets = systemSockets, directory } = options;
  const shared = shareSockets(sockets);
  const inTurn = createTurns();
  const oneSwitch = createTurns();
  const listening = new Set<() => void>();
  const retiring = new Set<Plane>();
  const all = new Set<Plane>();
  let configuration: Configuration | undefined;
  /** Pools that have changed since `configuration`. */
  let newer = new Map<string, Pool>();
  let refused: Realised["refused"] = [];
  const orphans = directory === undefined ? Promise.resolve() : endOrphans(directory);
  let current = begin(first, false);

  function begin(name: DataPlaneName, rehearses: boolean): Plane {
    const own = new AbortController();
    setMaxListeners(0, own.signal);
    const taken = new Set([...all].filter((each) => each.name === name).map(({ folder }) => folder));
    let folder = 0;
    while (taken.has(folder)) folder++;
    const { startPlane: _start, patience: _patience, directory: _directory, ...rest } = options;
    const made: Plane = {
      name,
      folder,
      rehearses,
      end: () => own.abort(signal.reason),
      plane: startPlane(name, {
        ...rest,
        signal: own.signal,
        sockets: shared.forOne(() => made.rehearses),
        ...(directory === undefined ? {} : { directory: join(directory, `${name}-${folder}`) }),
      }),
    };
    all.add(made);
    void made.plane.stopped.catch(() => {}).then(() => all.delete(made));
    return made;
  }

  /** What a data plane that comes has to serve. */
  function wanted(): Configuration | undefined {
    if (!configuration || newer.size === 0) return configuration;
    const { model } = configuration;
    configuration = { ...configuration, model: { ...model, pools: new Map([...model.pools, ...newer]) } };
    newer = new Map();
    return configuration;
  }

  function retire(old: Plane): void {
    retiring.add(old);
    void old.plane
      .retire(patience)
      .catch((error: unknown) =>
        log.warn({ dataplane: old.name, error: String(error) }, "a data plane does not retire"),
      )
      .then(() => {
        retiring.delete(old);
        old.end();
      });
  }

  async function build(name: DataPlaneName, { lossy = false }: SwitchOptions): Promise<void> {
    const next = begin(name, true);
    const probe = await startProbe();
    try {
      await next.plane.ready;
      const before = wanted();
      if (before) {
        const rehearsal = rehearsalOf(before.model, probe);
        const realised = await next.plane.apply({ ...before, model: rehearsal.model });
        if (!lossy) refuseLoss(name, realised);
        await rehearsal.test(next.plane.listeners());
      }
      next.rehearses = false;
      await inTurn(async () => {
        const now = wanted();
        if (now) {
          const realised = await next.plane.apply(now);
          if (!lossy) refuseLoss(name, realised);
          sameListeners(current.plane.listeners(), next.plane.listeners());
          refused = realised.refused;
        }
        const old = current;
        current = next;
        retire(old);
      });
    } catch (error) {
      // What it has accepted by now it ends as it began.
      if (next.rehearses) next.end();
      else retire(next);
      throw new DataPlaneSwitchError(name, error instanceof Error ? error.message : String(error), { cause: error });
    } finally {
      probe.close();
    }
    log.info({ dataplane: name }, "another data plane serves");
    for (const call of listening) call();
  }

  function refuseLoss(name: DataPlaneName, realised: Realised): void {
    const before = keptOut(refused);
    const lost = realised.refused.filter(({ route }) => keptOut(realised.refused).has(route) && !before.has(route));
    if (lost.length === 0) return;
    const texts = lost.slice(0, named).map(({ route, feature }) => `${route} (${feature})`);
    const more = lost.length > named ? ` and ${lost.length - named} more` : "";
    throw new Error(`${name} cannot serve what is served now: ${texts.join(", ")}${more}`);
  }

  const stopped = new Promise<void>((resolve, reject) => {
    whenAborted(signal, () => {
      for (const each of all) each.end();
      Promise.all([...all].map(({ plane }) => plane.stopped)).then(() => resolve(), reject);
    });
  });

  return {
    get name() {
      return current.name;
    },
    get serving() {
      return current.name;
    },
    get retiring() {
      return [...retiring].map(({ name }) => name);
    },
    get capabilities() {
      return current.plane.capabilities;
    },
    ready: orphans.then(() => current.plane.ready),
    stopped,
    apply: (given) =>
      inTurn(async () => {
        await orphans;
        configuration = given;
        newer = new Map();
        const realised = await current.plane.apply(given);
        refused = realised.refused;
        return realised;
      }),
    updatePools: (pools) =>
      inTurn(async () => {
        for (const pool of pools) if (configuration?.model.pools.has(pool.key)) newer.set(pool.key, pool);
        await current.plane.updatePools(pools);
        // Their last requests go where those of all go.
        for (const { plane, name } of retiring)
          plane
            .updatePools(pools)
            .catch((error: unknown) => log.debug({ dataplane: name, error: String(error) }, "retired"));
      }),
    listeners: () => current.plane.listeners(),
    retire: (most) => current.plane.retire(most),
    onSwitched: (call) => void listening.add(call),
    switchTo: (name, how = {}) =>
      oneSwitch(async () => {
        signal.throwIfAborted();
        if (name === current.name) return;
        const missing = await missingFor(name);
        if (missing !== undefined) throw new DataPlaneSwitchError(name, missing);
        await build(name, how);
      }),
  };
}

/** Throws when a port that answers now would not. */
function sameListeners(before: readonly BoundListener[], after: readonly BoundListener[]): void {
  const ports = new Map(after.map((each) => [each.name, each]));
  for (const { name, port } of before) {
    const next = ports.get(name);
    if (port !== undefined && next?.port !== port)
      throw new Error(`${name} would not answer at port ${port} any more: ${next?.error ?? "it is not opened"}`);
  }
}

/** Ends the programs that an earlier start left behind in a data plane's folder: they have the ports. */
async function endOrphans(directory: string): Promise<void> {
  const { readdir } = await import("node:fs/promises");
  const folders = await readdir(directory).catch(() => []);
  for (const folder of folders) {
    const path = join(directory, folder);
    if (/^haproxy-\d+$/.test(folder)) await endOrphan(path);
    if (/^nginx-\d+$/.test(folder)) await endEarlier(path, 10_000);
  }
}
