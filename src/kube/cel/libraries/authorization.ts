import { fixed } from "../cost.ts";
import { define, type Overload } from "../functions.ts";
import { opaque, type CelType } from "../types.ts";
import { fail, type OpaqueValue } from "../values.ts";

/** What an expression asks an authorizer. */
export type AuthorizationQuestion =
  | { readonly type: "path"; readonly verb: string; readonly path: string }
  | {
      readonly type: "resource";
      readonly verb: string;
      readonly group: string;
      readonly resource: string;
      readonly subresource: string;
      readonly namespace: string;
      readonly name: string;
      readonly fieldSelector?: string;
      readonly labelSelector?: string;
    };

export interface AuthorizationAnswer {
  readonly allowed: boolean;
  readonly reason?: string;
  /** Why it could not be decided; it is not allowed then. */
  readonly error?: string;
}

/** Answers for one user. */
export interface ExpressionAuthorizer {
  ask(question: AuthorizationQuestion): AuthorizationAnswer;
  /** The same for the service account of this name. */
  as(namespace: string, serviceAccount: string): ExpressionAuthorizer;
}

const prefix = "kubernetes.authorization.";
const [authorizer, pathCheck, groupCheck, resourceCheck, decision] = [
  "Authorizer",
  "PathCheck",
  "GroupCheck",
  "ResourceCheck",
  "Decision",
].map((name) => prefix + name) as [string, string, string, string, string];

/** The type of the variable `authorizer`. */
export const authorizerType: CelType = opaque(authorizer);
/** The type of the variable `authorizer.requestResource`. */
export const resourceCheckType: CelType = opaque(resourceCheck);

type ResourceQuestion = AuthorizationQuestion & { type: "resource" };
interface Check {
  readonly by: ExpressionAuthorizer;
  readonly question: AuthorizationQuestion;
}

const value = (type: string, content: unknown): OpaqueValue => ({ kind: "opaque", type, content });
export const authorizerValue = (by: ExpressionAuthorizer): OpaqueValue => value(authorizer, by);
export const resourceCheckValue = (
  by: ExpressionAuthorizer,
  question: Omit<ResourceQuestion, "type" | "verb">,
): OpaqueValue => value(resourceCheck, { by, question: { ...question, type: "resource", verb: "" } } satisfies Check);

const byOf = ({ content }: OpaqueValue): ExpressionAuthorizer => content as ExpressionAuthorizer;
const checkOf = ({ content }: OpaqueValue): Check => content as Check;
const answerOf = ({ content }: OpaqueValue): AuthorizationAnswer => content as AuthorizationAnswer;

const setPart = (name: "subresource" | "namespace" | "name" | "fieldSelector" | "labelSelector"): Overload =>
  define(name, `${resourceCheck}.(string) ${resourceCheck}`, (check: OpaqueValue, text: string) => {
    const { by, question } = checkOf(check);
    return value(resourceCheck, { by, question: { ...question, [name]: text } });
  });

/** At most two fit into one call. */
const checkCost = fixed(350_000);
const check = (check: OpaqueValue, verb: string): OpaqueValue => {
  const { by, question } = checkOf(check);
  return value(decision, by.ask({ ...question, verb }));
};

function path(of: OpaqueValue, text: string): OpaqueValue {
  if (text === "") return fail("path must not be empty");
  return value(pathCheck, { by: byOf(of), question: { type: "path", verb: "", path: text } } satisfies Check);
}

/** Whether a user may do something else than what is asked. */
export const authorization: readonly Overload[] = [
  define("path", `${authorizer}.(string) ${pathCheck}`, path),
  define("check", `${pathCheck}.(string) ${decision}`, check, checkCost),
  define("group", `${authorizer}.(string) ${groupCheck}`, (of: OpaqueValue, group: string) =>
    value(groupCheck, { by: byOf(of), group }),
  ),
  define(
    "serviceAccount",
    `${authorizer}.(string, string) ${authorizer}`,
    (of: OpaqueValue, namespace: string, name: string) => authorizerValue(byOf(of).as(namespace, name)),
  ),
  define("resource", `${groupCheck}.(string) ${resourceCheck}`, (of: OpaqueValue, resource: string) => {
    const { by, group } = of.content as { by: ExpressionAuthorizer; group: string };
    return resourceCheckValue(by, { group, resource, subresource: "", namespace: "", name: "" });
  }),
  ...(["subresource", "namespace", "name", "fieldSelector", "labelSelector"] as const).map(setPart),
  define("check", `${resourceCheck}.(string) ${decision}`, check, checkCost),
  define("allowed", `${decision}.() bool`, (answer: OpaqueValue) => answerOf(answer).allowed),
  define("reason", `${decision}.() string`, (answer: OpaqueValue) => answerOf(answer).reason ?? ""),
  define("errored", `${decision}.() bool`, (answer: OpaqueValue) => answerOf(answer).error !== undefined),
  define("error", `${decision}.() string`, (answer: OpaqueValue) => answerOf(answer).error ?? ""),
];
