import {
  reviewResources as kinds,
  statusError,
  type KubeObject,
  type Resource,
  type SelfSubjectRulesReview,
  type SubjectAccessReview,
  type TokenReview,
} from "../../kube/index.ts";
import type { Authorizer } from "../auth/index.ts";
import type { Authenticator } from "../authentication/index.ts";
import type { UserInfo } from "../handler.ts";
import { accessAnswer, checkLocal, subjectOf } from "./access-review.ts";

/** Who and what a review is answered with. */
export interface ReviewContext {
  readonly asker: UserInfo;
  readonly authorizer: Authorizer;
  readonly authenticator: Authenticator;
  /** "" for a review without. */
  readonly namespace: string;
  /** RFC 3339. */
  readonly now: string;
}

/** A question that is answered and not stored: POST alone. */
export interface Review {
  readonly resource: Resource;
  /** Throws StatusError for a question that makes no sense. */
  answer(object: KubeObject, context: ReviewContext): KubeObject | Promise<KubeObject>;
}

/** Reviews by which clients ask who they are and what they or others may do. */
export const reviews: readonly Review[] = [
  {
    resource: kinds.SelfSubjectAccessReview,
    answer: (asked, { asker, authorizer }) => accessAnswer(asked as SubjectAccessReview, asker, authorizer),
  },
  {
    resource: kinds.SubjectAccessReview,
    answer: (asked, { authorizer }) =>
      accessAnswer(asked as SubjectAccessReview, subjectOf(asked as SubjectAccessReview), authorizer),
  },
  {
    resource: kinds.LocalSubjectAccessReview,
    answer: (object, { authorizer, namespace }) => {
      const asked = object as SubjectAccessReview;
      checkLocal(asked, namespace);
      return accessAnswer(asked, subjectOf(asked), authorizer);
    },
  },
  {
    resource: kinds.SelfSubjectRulesReview,
    answer: (asked, context) => answerRules(asked as SelfSubjectRulesReview, context),
  },
  { resource: kinds.SelfSubjectReview, answer: (asked, { asker, now }) => answerWho(asked, asker, now) },
  { resource: kinds.TokenReview, answer: (asked, context) => answerToken(asked as TokenReview, context) },
];

export function findReview(info: { group: string; version: string; resource: string }): Review | undefined {
  return reviews.find(
    ({ resource }) =>
      resource.group === info.group && resource.version === info.version && resource.plural === info.resource,
  );
}

function answerRules(asked: SelfSubjectRulesReview, { asker, authorizer }: ReviewContext): SelfSubjectRulesReview {
  const { namespace } = asked.spec;
  if (!namespace) throw statusError("BadRequest", "no namespace on request");
  const rules = authorizer.rulesFor(asker, namespace);
  const problem = authorizer.incomplete(asker);
  return {
    ...asked,
    // Upstream answers with the rules alone.
    spec: {},
    status: {
      resourceRules: rules.flatMap(({ nonResourceURLs: _urls, ...rule }) => (rule.resources?.length ? [rule] : [])),
      nonResourceRules: rules.flatMap(({ verbs, nonResourceURLs }) =>
        nonResourceURLs?.length ? [{ verbs, nonResourceURLs }] : [],
      ),
      incomplete: problem !== "",
      ...(problem ? { evaluationError: problem } : {}),
    },
  };
}

function answerWho(asked: KubeObject, asker: UserInfo, now: string): KubeObject {
  const metadata = { ...asked.metadata, creationTimestamp: now };
  return { ...asked, metadata, status: { userInfo: shown(asker) } } as KubeObject;
}

async function answerToken(asked: TokenReview, { authenticator }: ReviewContext): Promise<TokenReview> {
  const { token, audiences } = asked.spec;
  if (!token) throw statusError("BadRequest", "token is required for TokenReview in authentication");
  const wanted = audiences?.length ? audiences : authenticator.audiences;
  const spec = { ...asked.spec, token };
  // Upstream tells what each kind of token said to it: one of them always that it is no token of its kind.
  const invalidToken = "invalid bearer token";
  try {
    const found = await authenticator.review(token, wanted);
    if (!found) return { ...asked, spec, status: { user: {}, error: invalidToken } };
    const status = { authenticated: true, user: shown(found.user), audiences: [...found.audiences] };
    return { ...asked, spec, status };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { ...asked, spec, status: { user: {}, error: `[${invalidToken}, ${why}]` } };
  }
}

/** A user as reviews show it. */
function shown({ name, uid, groups, extra }: UserInfo): {
  username: string;
  groups: string[];
  uid?: string;
  extra?: Record<string, string[]>;
} {
  const lists = Object.entries(extra ?? {}).map(([key, values]): [string, string[]] => [key, [...values]]);
  return {
    username: name,
    ...(uid ? { uid } : {}),
    groups: [...groups],
    ...(lists.length > 0 ? { extra: Object.fromEntries(lists) } : {}),
  };
}
