import { expect } from "vitest";

/** A metric as it is documented or served. */
interface Metric {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
}

/** The tables of the page, by the heading they stand under. */
function documented(page: string, heading: string): Metric[] {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
  return [...section.matchAll(/^\| `(\w+)` \| (\w+) \|([^|]*)\|/gm)].map(([, name = "", type = "", labels = ""]) => ({
    name,
    type,
    labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label = ""]) => label),
  }));
}

/** What a scrape holds under some prefixes. A metric without a value yet has no labels yet. */
function served(text: string, prefixes: RegExp): { name: string; type: string; labels: string[] | undefined }[] {
  return [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)]
    .filter(([, name = ""]) => prefixes.test(name))
    .map(([, name = "", type = ""]) => {
      const value = new RegExp(`^${name}${type === "histogram" ? "_count" : ""}(?:\\{(.*)\\})? [-+.\\de]+$`, "m").exec(
        text,
      );
      const labels = value && [...(value[1] ?? "").matchAll(/(\w+)="/g)].map(([, label = ""]) => label);
      return { name, type, labels: labels ?? undefined };
    });
}

/** What is served under some prefixes is what the page has under a heading: names, types and labels, and nothing is missing. */
export function expectDocumented(page: string, text: string, heading: string, prefixes: RegExp): void {
  const wanted = documented(page, heading);
  const found = served(text, prefixes).map((metric) => ({
    ...metric,
    labels: metric.labels ?? wanted.find(({ name }) => name === metric.name)?.labels,
  }));
  const byName = (a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name);
  expect(wanted.length).toBeGreaterThan(1);
  expect(found.sort(byName)).toEqual(wanted.sort(byName));
}
