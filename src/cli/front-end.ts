import { setMaxListeners } from "node:events";
import { hostname, networkInterfaces } from "node:os";
import {
  type Client,
  createInformers,
  type Informers,
  type InformerScope,
  startLeaderElection,
} from "../client/index.ts";
import {
  createLogger,
  createMetrics,
  type Logger,
  type LogLevel,
  type Metrics,
  systemClock,
  whenAborted,
} from "../system/index.ts";
import { CliError } from "./errors.ts";
import { untilSignal } from "./signals.ts";

/** What the front ends of other systems' configurations run in. */
export interface FrontEndParts {
  readonly client: Client;
  readonly informers: Informers;
  readonly metrics: Metrics;
  readonly signal: AbortSignal;
  readonly clock: typeof systemClock;
  readonly log: Logger;
}

/** Flags of Go programs: `--flag`, `--flag=true`, `--flag=false`. Throws CliError. */
export function goBoolean(text: string): boolean {
  if (/^(?:1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(?:0|f|F|false|FALSE|False)$/.test(text)) return false;
  throw new CliError("USAGE", `${JSON.stringify(text)} is neither true nor false`);
}

/** A whole number in a range. Throws CliError. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,6}$/.test(text) && value >= least && value <= most) return value;
    throw new CliError("USAGE", `${JSON.stringify(text)} is no whole number from ${least} to ${most}`);
  };
}

export const port = wholeNumber(0, 65_535);

/** Throws CliError for what is not NAMESPACE/NAME. */
export function objectName(option: string, text: string): { namespace: string; name: string } {
  const [namespace = "", name = "", ...rest] = text.split("/");
  if (namespace && name && rest.length === 0) return { namespace, name };
  throw new CliError("USAGE", `${option} ${JSON.stringify(text)} is not NAMESPACE/NAME`);
}

/** Runs parts until a signal comes, and then until they have stopped. `scopes`: what they look at, of kinds of which that is not all. */
export async function runFrontEnd(
  client: Client,
  logLevel: LogLevel,
  start: (parts: FrontEndParts) => Promise<readonly { readonly stopped: Promise<unknown> }[]>,
  scopes: readonly InformerScope[] = [],
): Promise<void> {
  const log = createLogger({ level: logLevel });
  const stop = new AbortController();
  const { signal } = stop;
  setMaxListeners(0, signal);
  const ended = untilSignal(stop);
  process.on("unhandledRejection", (error) => log.error({ error: String(error) }, "a failure that nobody handled"));
  const informers = createInformers(client, { signal, log, scopes });
  const parts = await start({ client, informers, metrics: createMetrics(), signal, clock: systemClock, log });
  await ended;
  await Promise.allSettled(parts.map(({ stopped }) => stopped));
}

/** Of several processes with the same lease one does `lead`. */
export function leadOne(
  { client, clock, log, signal }: FrontEndParts,
  lease: { readonly namespace: string; readonly name: string },
  lead: (signal: AbortSignal) => Promise<unknown>,
): { readonly stopped: Promise<unknown> } {
  return startLeaderElection({
    client,
    clock,
    log,
    signal,
    lease,
    identity: `${hostname()}_${process.pid}`,
    lead: async (until) => {
      setMaxListeners(0, until);
      await lead(until);
    },
  });
}

/** This machine's first address that others can reach, of IPv4 where it has one. */
export function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outside = all.filter(({ family, internal, scopeid }) => !internal && !(family === "IPv6" && scopeid !== 0));
  return (outside.find(({ family }) => family === "IPv4") ?? outside[0])?.address ?? "127.0.0.1";
}

export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    whenAborted(signal, resolve);
  });
}
