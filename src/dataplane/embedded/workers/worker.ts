import { closeSync } from "node:fs";
import type { DescriptorInbox } from "../../descriptors.ts";
import type { BoundListener } from "../../dataplane.ts";
import type { TakenPort } from "../bind.ts";
import { silentLogger } from "../../../system/index.ts";
import { startEmbedded } from "../embedded.ts";
import { follow } from "./difference.ts";
import { createRelayedMetrics } from "./figures.ts";
import type { FromWorker, ToWorker } from "./protocol.ts";
import { configurationOf, emptySnapshot } from "./snapshot.ts";
import { createRelayedSpans } from "./spans.ts";

/** How long figures and spans wait to be told, in milliseconds. */
const toldEvery = 100;

const standardOutput = 1;

export interface Worker {
  /** To be called with each message, in their order. */
  receive(message: ToWorker): void;
  /** As the message `stop`: also to be called when there is nobody any more who could send it. */
  stop(): void;
  /** Settles when the last connection is done. */
  readonly stopped: Promise<void>;
}

/** `sent` is called when a message has left, or never will. */
export type SendFromWorker = (message: FromWorker, sent?: () => void) => void;

/** The program of a process that serves: what it is told becomes the configuration of an embedded data plane of its own. */
export function runWorker(send: SendFromWorker, descriptors: DescriptorInbox): Worker {
  const stopping = new AbortController();
  const metrics = createRelayedMetrics((figures) => send({ type: "figures", figures }), toldEvery);
  const spans = createRelayedSpans(send, toldEvery);
  const places = new Map<string, { readonly bound: BoundListener; ends: TakenPort["ends"] }>();
  let snapshot = emptySnapshot;
  let plane: ReturnType<typeof startEmbedded> | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let finish: (done: Promise<void>) => void = () => {};
  const stopped = new Promise<void>((resolve) => {
    finish = resolve;
  });

  function answer(id: number, act: () => Promise<unknown>): void {
    last = last.then(act).then(
      () => send({ type: "done", id }),
      (error: unknown) => send({ type: "failed", id, why: String(error) }),
    );
  }

  function serving(): NonNullable<typeof plane> {
    if (!plane) throw new Error("begin comes first");
    return plane;
  }

  return {
    stopped,
    stop() {
      stopping.abort();
      finish(
        (plane?.stopped ?? Promise.resolve()).then(async () => {
          metrics.flush();
          await spans.flush();
        }),
      );
    },
    receive(message) {
      switch (message.type) {
        case "begin":
          plane = startEmbedded({
            limits: message.limits,
            trustedForwarders: message.trustedForwarders,
            ...(message.accessLog ? { accessLog: standardOutput } : {}),
            ...(message.sample === undefined
              ? {}
              : { tracing: { sample: message.sample, add: spans.add, lost: () => {} } }),
            metrics,
            signal: stopping.signal,
            log: silentLogger,
            take: ({ name, protocol, port: wanted }) => {
              const place = places.get(name);
              if (!place) return { bound: { name, protocol, wanted, error: "nobody has opened it" }, ends: [] };
              const { bound, ends } = place;
              place.ends = [];
              return { bound, ends };
            },
          });
          return;
        case "apply": {
          // Descriptors come in the order of messages: they are taken now, whenever their message has its turn.
          const given = message.places.map(({ bound, fresh }) => ({
            bound,
            fresh: fresh !== undefined,
            ends: (fresh ?? []).map((address) => ({ address, fd: descriptors.receive() })),
          }));
          answer(message.id, async () => {
            for (const { fresh, ...place } of given) {
              const before = places.get(place.bound.name);
              if (!fresh && before) continue;
              for (const { fd } of before?.ends ?? []) closeSync(fd);
              places.set(place.bound.name, place);
            }
            snapshot = follow(snapshot, message.difference);
            await serving().apply(configurationOf(snapshot));
          });
          return;
        }
        case "pools":
          answer(message.id, async () => {
            const pools = new Map(snapshot.pools);
            for (const pool of message.pools) if (pools.has(pool.key)) pools.set(pool.key, pool);
            snapshot = { ...snapshot, pools };
            await serving().updatePools(message.pools);
          });
          return;
        case "drain":
          void last
            .then(() => serving().drain())
            .then(
              () => send({ type: "done", id: message.id }),
              (error: unknown) => send({ type: "failed", id: message.id, why: String(error) }),
            );
          return;
        case "stop":
          this.stop();
          return;
        default:
          message satisfies never;
      }
    },
  };
}
