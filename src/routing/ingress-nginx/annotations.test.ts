import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { annotations, dispositionOf, prefix } from "./annotations.ts";

const page = readFileSync(new URL("../../../docs/ingress-nginx.md", import.meta.url), "utf8");

test.each(Object.entries(annotations))("docs/ingress-nginx.md says what becomes of %s", (name, disposition) => {
  const row = page.split("\n").find((line) => line.startsWith(`| \`${name}\` |`));
  expect(row).toBe(
    `| \`${name}\` | ${disposition.kind} | ${disposition.kind === "served" ? "" : disposition.why} |`.replace(
      "|  |",
      "| |",
    ),
  );
});

test("names of nobody are ignored, and those of others are none of ours", () => {
  expect(dispositionOf(`${prefix}no-such-thing`)).toMatchObject({ kind: "ignored" });
  expect(dispositionOf(`${prefix}constructor`)).toMatchObject({ kind: "ignored" });
  expect(dispositionOf("example.com/use-regex")).toBeUndefined();
});
