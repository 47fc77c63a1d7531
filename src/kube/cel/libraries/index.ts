import { traversal } from "../cost.ts";
import { define, functionsOf, type Functions, type Overload } from "../functions.ts";
import { addresses } from "./addresses.ts";
import { authorization } from "./authorization.ts";
import { formats } from "./formats.ts";
import { lists, regexes, sets } from "./lists.ts";
import { optionals } from "./optionals.ts";
import { quantities } from "./quantities.ts";
import { semvers } from "./semvers.ts";
import { standard } from "./standard.ts";
import { strings } from "./strings.ts";
import { urls } from "./urls.ts";

/** For the paths of JSON patches that mutations make. */
const patches: readonly Overload[] = [
  define(
    "jsonpatch.escapeKey",
    "(string) string",
    (key: string) => key.replaceAll("~", "~0").replaceAll("/", "~1"),
    traversal(2, 0, true),
  ),
];

/** All that Kubernetes 1.35 offers to expressions. */
export const kubernetesFunctions: Functions = functionsOf(
  standard,
  optionals,
  strings,
  lists,
  sets,
  regexes,
  urls,
  quantities,
  addresses,
  formats,
  semvers,
  authorization,
  patches,
);
