import { StoreError, type Store } from "../../store/index.ts";
import { createBreather } from "./breather.ts";
import { decodeContinue, encodeContinue } from "./continue-token.ts";
import type { Entry } from "./entry.ts";
import type { ListMeta } from "./forms.ts";
import type { KindCache } from "./kind-cache.ts";
import type { Storage } from "./storage.ts";
import { expiredContinue, expiredList, tooLarge } from "./versions.ts";

export interface ListQuery {
  readonly resourceVersion: string;
  readonly match: "" | "Exact" | "NotOlderThan";
  /** 0: no limit. */
  readonly limit: number;
  readonly continue: string;
}

export interface ListOptions {
  readonly store: Store;
  readonly storage: Storage;
  readonly cache: KindCache;
  readonly prefix: string;
  /** Absent: everything under the prefix. */
  readonly selects: ((entry: Entry) => boolean) | undefined;
  readonly query: ListQuery;
}

export interface Listed {
  readonly entries: readonly Entry[];
  readonly meta: ListMeta;
}

/**
 * A list or a chunk of one, with the version semantics of the Kubernetes API concepts. Throws StatusError: Expired for a version that
 * is forgotten (a chunk's carries a token that goes on inconsistently), Timeout for one that is not reached.
 */
export async function listEntries({ store, storage, cache, prefix, selects, query }: ListOptions): Promise<Listed> {
  const token = query.continue ? decodeContinue(query.continue) : undefined;
  const wanted = token ? token.revision : Number(query.resourceVersion || 0);
  const exact = token ? wanted > 0 : wanted > 0 && (query.match === "Exact" || (query.match === "" && query.limit > 0));

  if (token ? wanted < 0 : query.resourceVersion === "") await storage.caughtUp();
  else if (wanted > 0 && !(await storage.reached(wanted, 3000)))
    throw tooLarge(query.resourceVersion || wanted, storage.revision);

  const after = token ? prefix + token.after : undefined;
  // While nothing of the kind has changed since, the cache holds the old version too.
  const fromCache = !exact || cache.changed <= wanted;
  const revision = exact ? wanted : storage.revision;
  const pages = fromCache
    ? [{ entries: cache.under(prefix, after), remaining: 0 }]
    : pagesAt(
        store,
        cache,
        prefix,
        after,
        wanted,
        query.limit,
        () => tooLarge(wanted, storage.revision),
        () => {
          if (!token) return expiredList();
          return expiredContinue(encodeContinue({ ...token, revision: -1 }));
        },
      );

  const { entries, more } = await collect(pages, selects, query.limit);
  const last = entries.at(-1);
  return {
    entries,
    meta: {
      resourceVersion: String(revision),
      ...(more !== undefined && last
        ? {
            continue: encodeContinue({ revision, after: last.key.slice(prefix.length) }),
            // With a selector nobody knows without looking.
            ...(selects ? {} : { remainingItemCount: more }),
          }
        : {}),
    },
  };
}

/** Entries in order, and how many follow them that are not on this page. */
interface Page {
  readonly entries: Entry[];
  readonly remaining: number;
}

/** The first `limit` entries selected, and how many entries follow them; undefined: none. */
async function collect(
  pages: AsyncIterable<Page> | Iterable<Page>,
  selects: ListOptions["selects"],
  limit: number,
): Promise<{ entries: Entry[]; more: number | undefined }> {
  const breathe = createBreather();
  const entries: Entry[] = [];
  for await (const page of pages) {
    if (!selects && limit === 0 && entries.length === 0 && page.remaining === 0)
      return { entries: page.entries, more: undefined };
    for (const [i, entry] of page.entries.entries()) {
      await breathe();
      if (selects && !selects(entry)) continue;
      if (limit > 0 && entries.length === limit) return { entries, more: page.entries.length - i + page.remaining };
      entries.push(entry);
    }
  }
  return { entries, more: undefined };
}

/** The entries of an old version, read from the store a page at a time. */
async function* pagesAt(
  store: Store,
  cache: KindCache,
  prefix: string,
  after: string | undefined,
  revision: number,
  limit: number,
  tooNew: () => Error,
  forgotten: () => Error,
): AsyncGenerator<Page> {
  let last = after;
  for (;;) {
    const result = await store
      .list(prefix, { revision, limit: limit > 0 ? limit + 1 : 500, ...(last === undefined ? {} : { after: last }) })
      .catch((error: unknown) => {
        if (error instanceof StoreError && error.code === "COMPACTED") throw forgotten();
        if (error instanceof StoreError && error.code === "FUTURE_REVISION") throw tooNew();
        throw error;
      });
    yield {
      entries: result.items.map((item) => cache.make(item.key, item.modRevision, item.value)),
      remaining: result.remaining,
    };
    if (!result.more) return;
    last = result.items.at(-1)?.key;
  }
}
