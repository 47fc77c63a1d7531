import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { annotations } from "../../../src/routing/index.ts";
import { servedOptions } from "../../../src/routing/ingress-nginx/options.ts";
import { asked, askedOptions } from "../fixture.ts";

/** What is tried of an annotation: titles of tests of this suite, and where it guards something, both directions. */
interface Tried {
  readonly cases: readonly string[];
  readonly guards?: true;
}

/** The machine-readable list: every annotation that is served, with the tests that hold it. Written anew with `CASES=write`. */
const file = new URL("../cases.json", import.meta.url);

/** Annotations that keep somebody or something out. */
export const guards: ReadonlySet<string> = new Set([
  "allowlist-source-range",
  "whitelist-source-range",
  "denylist-source-range",
  "auth-type",
  "auth-secret",
  "auth-secret-type",
  "auth-realm",
  "auth-url",
  "auth-method",
  "auth-signin",
  "enable-global-auth",
  "auth-tls-secret",
  "auth-tls-verify-client",
  "auth-tls-match-cn",
  "auth-tls-error-page",
  "satisfy",
  "limit-rps",
  "limit-rpm",
  "limit-connections",
  "limit-burst-multiplier",
  "limit-whitelist",
  "limit-allowlist",
  "proxy-body-size",
  "proxy-read-timeout",
  "backend-protocol",
  "proxy-ssl-verify",
  "proxy-ssl-secret",
  "proxy-ssl-name",
  "ssl-redirect",
  "force-ssl-redirect",
  "ssl-passthrough",
  "custom-headers",
]);

/** The last test of a suite: what it has tried. `skipped`: titles of tests that this data plane says it cannot do. */
export function coverageTest(skipped: ReadonlySet<string>): void {
  test("every annotation that is served has a case here, and those that guard something have both directions", () => {
    const served = Object.entries(annotations).flatMap(([name, { kind }]) => (kind === "served" ? [name] : []));
    if (process.env["CASES"] === "write") writeFileSync(file, `${JSON.stringify(triedNow(served), undefined, 2)}\n`);
    const list = JSON.parse(readFileSync(file, "utf8")) as Record<string, Tried>;
    expect(Object.keys(list).sort()).toEqual([...served].sort());
    for (const [name, { cases, guards: isGuard }] of Object.entries(list)) {
      expect([name, cases.length > 0, isGuard ?? false]).toEqual([name, true, guards.has(name)]);
      const here = cases.filter((title) => !skipped.has(title));
      // A data plane that can do none of them refuses the annotation loudly: refusals.test.ts.
      if (here.length === 0) continue;
      const now = asked.get(name);
      expect([name, [...(now?.cases ?? [])]]).toEqual([name, expect.arrayContaining(here)]);
      if (isGuard) expect([name, now?.letIn, now?.keptOut]).toEqual([name, true, true]);
    }
  });
}

/** The same of the keys of ingress-nginx's ConfigMap. */
export function optionsCoverageTest(skipped: ReadonlySet<string>): void {
  test("every key of the ConfigMap that is served has a case here", () => {
    const missing = servedOptions.filter((name) => !askedOptions.has(name));
    // Only what this data plane says it cannot do.
    expect(missing.filter((name) => ![...skipped].some((title) => title.includes(name)))).toEqual([]);
  });
}

function triedNow(served: readonly string[]): Record<string, Tried> {
  return Object.fromEntries(
    served.map((name) => [
      name,
      { cases: [...(asked.get(name)?.cases ?? [])].sort(), ...(guards.has(name) ? { guards: true as const } : {}) },
    ]),
  );
}
