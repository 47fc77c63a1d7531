import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/lab.ts";

// What a reader clicks on is there: files, and the headings that a link names after its #.

const pages = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"], {
  cwd: repository,
  encoding: "utf8",
})
  .split("\n")
  .filter((page) => page !== "" && existsSync(join(repository, page)));

/** A page without what is shown as it stands: blocks of code. */
const prose = (page: string): string =>
  readFileSync(join(repository, page), "utf8").replaceAll(/^ *(`{3,}|~{3,})[^\n]*\n[\s\S]*?^ *\1 *$/gm, "");

/** The names that GitHub gives to headings: small letters, without signs, a hyphen for each space, and numbers for what is there twice. */
function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  const text = prose(page);
  for (const [, heading = ""] of text.matchAll(/^ {0,3}#{1,6} +(.+?) *#*$/gm)) {
    const shown = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1");
    const name = shown
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M}_\- ]/gu, "")
      .replaceAll(" ", "-");
    let anchor = name;
    for (let i = 1; anchors.has(anchor); i++) anchor = `${name}-${i}`;
    anchors.add(anchor);
  }
  for (const [, id = ""] of text.matchAll(/<a +(?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}

/** Why a link leads nowhere; undefined: it does not, or to another site. */
function fault(page: string, link: string): string | undefined {
  if (/^[a-z][a-z+.-]*:/i.test(link)) return undefined;
  const [path = "", fragment] = link.split("#", 2);
  const target = path === "" ? page : relative(repository, join(repository, dirname(page), decodeURIComponent(path)));
  if (!existsSync(join(repository, target))) return `there is no ${target}`;
  if (fragment === undefined || !target.endsWith(".md")) return undefined;
  return anchorsOf(target).has(fragment) ? undefined : `${target} has no heading #${fragment}`;
}

test("every link of a page leads to a file and to a heading that is there", () => {
  const faults: string[] = [];
  let fragments = 0;
  for (const page of pages) {
    const text = prose(page).replaceAll(/`[^`\n]*`/g, "");
    for (const [, link = ""] of text.matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)|^\[[^\]]+\]: +(\S+)/gm)) {
      if (link.includes("#")) fragments++;
      const why = fault(page, link);
      if (why !== undefined) faults.push(`${page}: (${link}) ${why}`);
    }
  }
  expect(pages.length).toBeGreaterThan(20);
  expect(fragments).toBeGreaterThan(10);
  expect(faults).toEqual([]);
});
