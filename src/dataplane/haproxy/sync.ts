import { changedKeys } from "../../routing/index.ts";
import type { Logger } from "../../system/index.ts";
import { compareHosts } from "../hosts.ts";
import type { Authorities } from "./authorities.ts";
import { type CertificateList, type ListedCertificate, listText } from "./certificates.ts";
import { addressParts, type Command, commands } from "./command.ts";
import { files } from "./config.ts";
import type { Entries } from "./entries.ts";
import { commandBytes, type Runtime, runQuietly } from "./runtime.ts";
import type { Servers } from "./servers.ts";
import type { Slot } from "./slots.ts";
import { type Part, partsOf, type Tables } from "./tables.ts";

/** What a process has beside its configuration. */
export interface State {
  readonly tables: Tables;
  readonly servers: Servers;
  /** Rows of the map that the Lua program looks up, which change as endpoints do. */
  readonly endpoints: Entries;
  readonly authorities: Authorities;
  /** By tag of the listener. */
  readonly certificates: ReadonlyMap<string, CertificateList>;
}

/** Brings a running process from one state to the next. */
export interface Sync {
  /**
   * Throws when the process refuses something: what it has is unknown then, and it follows no more. Rows of listeners that are gone stay: it
   * may have connections of theirs.
   */
  follow(next: State): Promise<void>;
  /** Slots with servers that have still something to end. */
  leaving(): ReadonlySet<Slot>;
  stop(): void;
}

export interface SyncOptions {
  readonly runtime: Runtime;
  /** Of its files. */
  readonly directory: string;
  /** Tags of its frontends. */
  readonly tags: ReadonlySet<string>;
  /** What it began with. */
  readonly state: State;
  readonly log: Logger;
}

/** Milliseconds between attempts to remove a server that has still connections. */
const removeEvery = 250;

export function createSync({ runtime, directory, tags, state: first, log }: SyncOptions): Sync {
  let state = first;
  let stopped = false;
  /** Servers that get no new request. */
  const leaving = new Map<Slot, Set<string>>();
  /** Files of authorities that the process has. */
  const known = new Set(first.authorities.keys());
  let wanted: Authorities = first.authorities;
  let timer: NodeJS.Timeout | undefined;
  let elsewhere = 1;
  /** How many parts have each row that several may have. */
  const uses = new Map<string, number>();
  share(partsOf(first.tables));

  async function run(command: Command, ...good: RegExp[]): Promise<void> {
    if (stopped) throw new Error("the process does not follow any more");
    await runQuietly(runtime, command, ...good);
  }

  async function addEntries(file: string, entries: readonly (readonly [string, string])[]): Promise<void> {
    let batch: (readonly [string, string])[] = [];
    let bytes = 0;
    for (const entry of entries) {
      const size = entry[0].length + entry[1].length + 2;
      if (bytes + size > commandBytes && batch.length > 0) {
        await run(commands.addMapEntries(file, batch));
        batch = [];
        bytes = 0;
      }
      batch.push(entry);
      bytes += size;
    }
    if (batch.length > 0) await run(commands.addMapEntries(file, batch));
  }

  async function putEntries(file: string, before: Entries, after: Entries): Promise<void> {
    await addEntries(
      file,
      [...after].filter(([key]) => !before.has(key)),
    );
    // They may refer to what was added.
    for (const [key, text] of after) {
      const old = before.get(key);
      if (old !== undefined && old !== text) await run(commands.setMapEntry(file, key, text));
    }
  }

  async function dropEntries(file: string, before: Entries, after: Entries): Promise<void> {
    for (const key of before.keys()) if (!after.has(key)) await run(commands.removeMapEntry(file, key));
  }

  /** Costs a look at each part; what differs is what is no longer the same object. */
  async function followTables(before: Tables, after: Tables): Promise<void> {
    const came: Part[] = [];
    const went: Part[] = [];
    const there = new Set(after.listeners);
    const differs = (_name: string, old: Part | undefined, now: Part | undefined): void => {
      if (old && there.has(old.tag)) went.push(old);
      if (now) came.push(now);
    };
    for (const name of new Set([...before.servers.keys(), ...after.servers.keys()])) {
      const [old, now] = [before.servers.get(name), after.servers.get(name)];
      differs("", old?.about, now?.about);
      compareHosts(old?.hosts, now?.hosts, differs);
    }
    const routes = files.routes(directory);
    // What is referred to comes before and goes after what refers to it.
    await addEntries(routes, [...share(came)]);
    const [oldRows, newRows] = [together(went, "own"), together(came, "own")];
    await putEntries(routes, oldRows, newRows);
    for (const tag of tags) {
      const here = (parts: readonly Part[]): Part[] => parts.filter((part) => part.tag === tag);
      const [old, now] = [here(went), here(came)];
      const [oldPaths, newPaths] = [together(old, "paths"), together(now, "paths")];
      const [oldHosts, newHosts] = [together(old, "hosts"), together(now, "hosts")];
      await putEntries(files.paths(directory, tag), oldPaths, newPaths);
      await putEntries(files.hosts(directory, tag), oldHosts, newHosts);
      await dropEntries(files.hosts(directory, tag), oldHosts, newHosts);
      await dropEntries(files.paths(directory, tag), oldPaths, newPaths);
    }
    await dropEntries(routes, oldRows, newRows);
    for (const key of unshare(went)) await run(commands.removeMapEntry(routes, key));
  }

  /** The shared rows of these parts that no part had before. */
  function share(parts: Iterable<Part>): Map<string, string> {
    const first = new Map<string, string>();
    for (const { shared } of parts)
      for (const [key, text] of shared) {
        const count = uses.get(key) ?? 0;
        if (count === 0) first.set(key, text);
        uses.set(key, count + 1);
      }
    return first;
  }

  /** The shared rows that no part has any more when these parts are gone. */
  function unshare(parts: Iterable<Part>): string[] {
    const last: string[] = [];
    for (const { shared } of parts)
      for (const key of shared.keys()) {
        const count = (uses.get(key) ?? 0) - 1;
        if (count > 0) uses.set(key, count);
        else if (uses.delete(key)) last.push(key);
      }
    return last;
  }

  async function addServers(before: State, after: State): Promise<void> {
    for (const slot of changedKeys(before.servers, after.servers)) {
      const old = before.servers.get(slot);
      for (const { name, address, keywords } of after.servers.get(slot)?.values() ?? []) {
        if (old?.has(name)) continue;
        const waiting = leaving.get(slot);
        const [host, port] = addressParts(address);
        if (waiting?.delete(name)) {
          if (waiting.size === 0) leaving.delete(slot);
          await run(commands.serverAddress(slot, name, host, port), /changed|nothing/);
        } else await run(commands.addServer(slot, name, host, port, keywords), /^New server registered/);
        await run(commands.serverState(slot, name, "ready"));
      }
    }
  }

  async function dropServers(before: State, after: State): Promise<void> {
    for (const slot of changedKeys(before.servers, after.servers)) {
      const kept = after.servers.get(slot);
      for (const name of before.servers.get(slot)?.keys() ?? []) {
        if (kept?.has(name)) continue;
        await run(commands.serverState(slot, name, "maint"));
        const waiting = leaving.get(slot);
        if (waiting) waiting.add(name);
        else leaving.set(slot, new Set([name]));
      }
    }
    await removeLeaving();
  }

  /** A server can be removed when its last connection has ended. */
  async function removeLeaving(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    if (stopped) return;
    for (const [slot, names] of leaving) {
      for (const name of names) {
        // A new address closes its idle connections; those with a request end first.
        await runtime.run(commands.serverAddress(slot, name, "127.0.0.1", (elsewhere = 3 - elsewhere)));
        const answer = await runtime.run(commands.removeServer(slot, name));
        if (/^Server deleted|No such server/i.test(answer)) names.delete(name);
      }
      if (names.size === 0) leaving.delete(slot);
    }
    if (leaving.size === 0) await dropAuthorities();
    if (leaving.size > 0)
      timer = setTimeout(() => {
        removeLeaving().catch((error: unknown) => log.debug({ err: error }, "servers are not removed"));
      }, removeEvery);
  }

  async function setCertificate({ file, pem }: ListedCertificate): Promise<void> {
    await run(commands.setCertificate(file, pem), /^Transaction (created|updated)/);
    await run(commands.commitCertificate(file), /^Committing[\s\S]*Success!/);
  }

  async function followCertificates(before: State, after: State): Promise<void> {
    for (const [tag, list] of after.certificates) {
      const old = before.certificates.get(tag);
      if (!old) continue;
      const place = files.list(directory, tag);
      if (old.standard.pem !== list.standard.pem) await setCertificate(list.standard);
      for (const certificate of list.others.values()) {
        const was = old.others.get(certificate.file);
        if (was?.pem === certificate.pem) continue;
        if (!was) await run(commands.newCertificate(certificate.file), /^New empty certificate store/);
        await setCertificate(certificate);
        if (!was) await run(commands.addToList(place, certificate), /^Inserting[\s\S]*Success!/);
      }
      for (const { file } of old.others.values()) {
        if (list.others.has(file)) continue;
        await run(commands.removeFromList(place, file), /deleted/);
        await run(commands.removeCertificate(file), /deleted/);
      }
    }
  }

  /** What no server names any more. HAProxy refuses to forget what one does: those that its configuration begins with. */
  async function dropAuthorities(): Promise<void> {
    for (const file of known) {
      if (wanted.has(file)) continue;
      const answer = await runtime.run(commands.removeAuthorities(file));
      if (/deleted/i.test(answer)) known.delete(file);
    }
  }

  async function addAuthorities(authorities: Authorities): Promise<void> {
    wanted = authorities;
    for (const [file, pem] of authorities) {
      if (known.has(file)) continue;
      await run(commands.newAuthorities(file), /^New CA file created/);
      await run(commands.setAuthorities(file, pem), /^transaction (created|updated)/i);
      await run(commands.commitAuthorities(file), /^Committing[\s\S]*Success!/);
      known.add(file);
    }
  }

  async function bring(before: State, after: State): Promise<void> {
    await addAuthorities(after.authorities);
    await followCertificates(before, after);
    await addServers(before, after);
    const routes = files.routes(directory);
    if (before.endpoints !== after.endpoints) await putEntries(routes, before.endpoints, after.endpoints);
    if (before.tables !== after.tables) await followTables(before.tables, after.tables);
    if (before.endpoints !== after.endpoints) await dropEntries(routes, before.endpoints, after.endpoints);
    await dropServers(before, after);
  }

  function stop(): void {
    stopped = true;
    clearTimeout(timer);
  }

  return {
    async follow(next) {
      try {
        await bring(state, next);
        state = next;
      } catch (error) {
        stop();
        throw error;
      }
    },
    leaving: () => new Set(leaving.keys()),
    stop,
  };
}

/** What a process reads when it starts. */
export function filesOf(
  path: string,
  { tables, endpoints, authorities, certificates }: State,
): [file: string, text: string][] {
  const text = (entries: Entries): string => [...entries].map(([key, value]) => `${key} ${value}\n`).join("");
  const parts = [...partsOf(tables)];
  const rows = [together(parts, "shared"), together(parts, "own"), endpoints].map(text).join("");
  const written: [string, string][] = [[files.routes(path), rows], ...authorities];
  for (const tag of tables.listeners) {
    const here = parts.filter((part) => part.tag === tag);
    written.push(
      [files.hosts(path, tag), text(together(here, "hosts"))],
      [files.paths(path, tag), text(together(here, "paths"))],
    );
  }
  for (const [tag, list] of certificates) {
    for (const { file, pem } of [list.standard, ...list.others.values()]) written.push([file, pem]);
    written.push([files.list(path, tag), listText(list)]);
  }
  return written;
}

/** Rows of one kind of several parts. */
function together(parts: readonly Part[], kind: "own" | "shared" | "hosts" | "paths"): Entries {
  const all = new Map<string, string>();
  for (const part of parts) for (const [key, text] of part[kind]) all.set(key, text);
  return all;
}
