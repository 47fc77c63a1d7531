import { expect, test } from "vitest";
import type { HostRoutes, Listener, Owner, Retry, Route } from "../routing/index.ts";
import { mostRetrySets, retryName, retrySetsOf } from "./retry-sets.ts";

const owner: Owner = { object: { kind: "Ingress", namespace: "a", name: "web" }, field: "" };

const retry = (attempts: number, within = 0): Retry => ({
  codes: [503],
  attempts,
  backoff: 0,
  only: { failures: ["error"], nonIdempotent: true, within },
});

function listenerOf(retries: readonly (Retry | undefined)[]): Listener {
  const exact = new Map(
    retries.map((own, index): [string, HostRoutes] => {
      const host = `h${index}.test`;
      const rule = { id: host, filters: [], backends: [], timeouts: {}, ...(own ? { retry: own } : {}), owner };
      const path = { type: "Prefix" as const, value: "" };
      const route: Route = { id: host, host, path, headers: [], query: [], rule, owner };
      return [host, { exact: new Map(), regex: [], prefix: new Map([["", [route]]]), longestPrefix: 0 }];
    }),
  );
  const hosts = { semantics: "Ingress", exact, wildcard: new Map() } as const;
  const server = { kind: "http", hostname: "", hosts, owner } as const;
  return { name: "web", port: 80, protocol: "HTTP", servers: new Map([["", server]]) };
}

test("a set has a name of letters, digits and dashes, and the same one where it is the same", () => {
  expect(retryName(retry(2, 1_000))).toBe("en-503-x2-w1000");
  expect(retryName(retry(2))).toBe(retryName(retry(2)));
  expect(retryName(retry(2))).not.toBe(retryName(retry(3)));
  // What HTTPRoutes say is no set: it is asked for by another feature.
  expect(retryName({ codes: [503], attempts: 2, backoff: 0 })).toBeUndefined();
});

test("there are so many sets; the routes of others are told to do without", () => {
  const few = retrySetsOf([listenerOf([retry(1), retry(1), retry(2), undefined])]);
  expect([few.names.size, few.refused]).toEqual([2, []]);
  const many = Array.from({ length: mostRetrySets + 3 }, (_, index) => retry(index));
  const { names, refused } = retrySetsOf([listenerOf(many)]);
  expect(names.size).toBe(mostRetrySets);
  expect(refused.map(({ feature }) => feature)).toEqual(["NextUpstream", "NextUpstream", "NextUpstream"]);
});
