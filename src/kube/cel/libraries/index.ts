import { functionsOf, type Functions } from "../functions.ts";
import { standard } from "./standard.ts";
import { strings } from "./strings.ts";

/** All that Kubernetes 1.35 offers to expressions. */
export const kubernetesFunctions: Functions = functionsOf(standard, strings);
