/** One issuer of tokens, as `jwt[]` of an AuthenticationConfiguration. */
export interface JwtIssuer {
  readonly issuer: {
    /** HTTPS; the `iss` of its tokens. */
    readonly url: string;
    /** Where its metadata is, when not beneath `url`. */
    readonly discoveryURL?: string;
    /** PEM. Absent: the authorities that the machine trusts. */
    readonly certificateAuthority?: string;
    /** A token must be for one of them. */
    readonly audiences: readonly string[];
  };
  readonly claimValidationRules: readonly ClaimRule[];
  readonly claimMappings: {
    readonly username: PrefixedClaim | Expression;
    readonly groups?: PrefixedClaim | Expression;
    readonly uid?: { readonly claim: string } | Expression;
    readonly extra: readonly { readonly key: string; readonly valueExpression: string }[];
  };
  readonly userValidationRules: readonly Rule[];
}

export interface PrefixedClaim {
  readonly claim: string;
  readonly prefix: string;
}

/** An expression in CEL. */
export interface Expression {
  readonly expression: string;
}

export interface Rule extends Expression {
  readonly message: string;
}

export type ClaimRule = { readonly claim: string; readonly requiredValue: string } | Rule;

/** The file is not what it should be. The message names the field. */
export class AuthenticationConfigurationError extends Error {
  override readonly name = "AuthenticationConfigurationError";
  readonly code = "BAD_CONFIGURATION";
}

const versions: ReadonlySet<unknown> = new Set([
  "apiserver.config.k8s.io/v1",
  "apiserver.config.k8s.io/v1beta1",
  "apiserver.config.k8s.io/v1alpha1",
]);

/** Reads an `AuthenticationConfiguration` (KEP-3331), JSON or YAML. Throws AuthenticationConfigurationError. */
export async function parseAuthenticationConfiguration(text: string): Promise<readonly JwtIssuer[]> {
  const { parse } = await import("yaml");
  let document: unknown;
  try {
    document = parse(text);
  } catch (error) {
    throw bad(`it is neither JSON nor YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
  const root = recordOf(document, "the file", ["apiVersion", "kind", "jwt", "anonymous"]);
  if (root["kind"] !== "AuthenticationConfiguration" || !versions.has(root["apiVersion"]))
    throw bad("apiVersion must be apiserver.config.k8s.io/v1 and kind AuthenticationConfiguration");
  if (root["anonymous"] !== undefined)
    throw bad("anonymous can not be set here: roles say what anonymous requests may do");
  const issuers = listOf(root["jwt"] ?? [], "jwt").map((entry, i) =>
    issuerOf(recordOf(entry, `jwt[${i}]`, issuerFields), `jwt[${i}]`),
  );
  const urls = issuers.map(({ issuer }) => issuer.url);
  const twice = urls.find((url, i) => urls.indexOf(url) !== i);
  if (twice !== undefined) throw bad(`jwt: the issuer ${JSON.stringify(twice)} is there twice`);
  return issuers;
}

const issuerFields = ["issuer", "claimValidationRules", "claimMappings", "userValidationRules"];

function issuerOf(given: Record<string, unknown>, at: string): JwtIssuer {
  const issuer = recordOf(given["issuer"], `${at}.issuer`, [
    "url",
    "discoveryURL",
    "certificateAuthority",
    "audiences",
    "audienceMatchPolicy",
  ]);
  const url = httpsOf(issuer["url"], `${at}.issuer.url`);
  const audiences = listOf(issuer["audiences"], `${at}.issuer.audiences`).map((one, i) =>
    textOf(one, `${at}.issuer.audiences[${i}]`),
  );
  if (audiences.length === 0) throw bad(`${at}.issuer.audiences must not be empty`);
  const policy = issuer["audienceMatchPolicy"] ?? "";
  if (policy !== "MatchAny" && (policy !== "" || audiences.length > 1))
    throw bad(`${at}.issuer.audienceMatchPolicy must be MatchAny`);
  const discovery = issuer["discoveryURL"];
  const authority = issuer["certificateAuthority"];
  const mappings = recordOf(given["claimMappings"], `${at}.claimMappings`, ["username", "groups", "uid", "extra"]);
  const from = `${at}.claimMappings`;
  const found: JwtIssuer = {
    issuer: {
      url,
      audiences,
      ...(discovery ? { discoveryURL: httpsOf(discovery, `${at}.issuer.discoveryURL`) } : {}),
      ...(authority ? { certificateAuthority: textOf(authority, `${at}.issuer.certificateAuthority`) } : {}),
    },
    claimValidationRules: listOf(given["claimValidationRules"] ?? [], `${at}.claimValidationRules`).map((rule, i) =>
      claimRuleOf(rule, `${at}.claimValidationRules[${i}]`),
    ),
    claimMappings: {
      username: mappingOf(mappings["username"], `${from}.username`),
      ...(mappings["groups"] ? { groups: mappingOf(mappings["groups"], `${from}.groups`) } : {}),
      ...(mappings["uid"] ? { uid: uidOf(mappings["uid"], `${from}.uid`) } : {}),
      extra: listOf(mappings["extra"] ?? [], `${from}.extra`).map((one, i) => extraOf(one, `${from}.extra[${i}]`)),
    },
    userValidationRules: listOf(given["userValidationRules"] ?? [], `${at}.userValidationRules`).map((rule, i) =>
      ruleOf(
        recordOf(rule, `${at}.userValidationRules[${i}]`, ["expression", "message"]),
        `${at}.userValidationRules[${i}]`,
      ),
    ),
  };
  if (trustsAnyEmail(found))
    throw bad(
      `${from}.username.expression has claims.email: claims.email_verified must be looked at there, in claimMappings.extra or in claimValidationRules`,
    );
  return found;
}

/** True when names are made of addresses that the issuer may not have verified: such a name is anybody's. */
function trustsAnyEmail({ claimMappings: { username, extra }, claimValidationRules }: JwtIssuer): boolean {
  if (!("expression" in username) || !selects(username.expression, "email")) return false;
  const others = [
    ...extra.map(({ valueExpression }) => valueExpression),
    ...claimValidationRules.flatMap((rule) => ("expression" in rule ? [rule.expression] : [])),
  ];
  return ![username.expression, ...others].some((expression) => selects(expression, "email_verified"));
}

/** Whether an expression looks at a claim by its name, as in `claims.email`. What stands in texts does not count. */
function selects(expression: string, claim: string): boolean {
  const code = expression.replaceAll(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, '""');
  return new RegExp(`\\bclaims\\s*\\.\\s*\\??\\s*${claim}\\b`).test(code);
}

function mappingOf(value: unknown, at: string): PrefixedClaim | Expression {
  const { claim, prefix, expression } = recordOf(value, at, ["claim", "prefix", "expression"]);
  if (expression !== undefined) {
    if (claim !== undefined || prefix !== undefined) throw bad(`${at}: expression goes with neither claim nor prefix`);
    return { expression: textOf(expression, `${at}.expression`) };
  }
  if (typeof prefix !== "string") throw bad(`${at}.prefix must be set with claim; it may be ""`);
  return { claim: textOf(claim, `${at}.claim`), prefix };
}

function uidOf(value: unknown, at: string): { claim: string } | Expression {
  const { claim, expression } = recordOf(value, at, ["claim", "expression"]);
  if (claim !== undefined && expression !== undefined) throw bad(`${at}: expression does not go with claim`);
  return expression === undefined
    ? { claim: textOf(claim, `${at}.claim`) }
    : { expression: textOf(expression, `${at}.expression`) };
}

function extraOf(value: unknown, at: string): { key: string; valueExpression: string } {
  const { key, valueExpression } = recordOf(value, at, ["key", "valueExpression"]);
  const name = textOf(key, `${at}.key`);
  if (name !== name.toLowerCase() || !/^[^/]+\.[^/]+\/.+$/.test(name))
    throw bad(`${at}.key must be lower case and begin with a domain, as example.org/name`);
  if (/^([^/]+\.)?(k8s|kubernetes)\.io\//.test(name))
    throw bad(`${at}.key: the domains k8s.io and kubernetes.io are reserved`);
  return { key: name, valueExpression: textOf(valueExpression, `${at}.valueExpression`) };
}

function claimRuleOf(value: unknown, at: string): ClaimRule {
  const given = recordOf(value, at, ["claim", "requiredValue", "expression", "message"]);
  const { claim, requiredValue = "" } = given;
  const own = claim === undefined ? ["requiredValue"] : ["expression", "message"];
  const strange = own.find((field) => given[field] !== undefined);
  if (strange !== undefined)
    throw bad(`${at}.${strange} does not go with ${claim === undefined ? "expression" : "claim"}`);
  if (claim === undefined) return ruleOf(given, at);
  if (typeof requiredValue !== "string") throw bad(`${at}.requiredValue must be a text`);
  return { claim: textOf(claim, `${at}.claim`), requiredValue };
}

function ruleOf({ expression, message }: Record<string, unknown>, at: string): Rule {
  return {
    expression: textOf(expression, `${at}.expression`),
    message: typeof message === "string" ? message : "",
  };
}

function httpsOf(value: unknown, at: string): string {
  const text = textOf(value, at);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "https:" || url.username || url.password || url.hash || url.search)
    throw bad(`${at} must be a URL with https and without user, query or fragment`);
  return text;
}

/** An object with these fields and no others: one that is not known may be a rule that was misspelt. */
function recordOf(value: unknown, at: string, fields: readonly string[]): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad(`${at} must be an object`);
  const strange = Object.keys(value).find((field) => !fields.includes(field));
  if (strange !== undefined)
    throw bad(`${at} has the unknown field ${JSON.stringify(strange)}; known: ${fields.join(", ")}`);
  return value as Record<string, unknown>;
}

function listOf(value: unknown, at: string): readonly unknown[] {
  if (!Array.isArray(value)) throw bad(`${at} must be a list`);
  return value;
}

function textOf(value: unknown, at: string): string {
  if (typeof value !== "string" || value === "") throw bad(`${at} must be a text that is not empty`);
  return value;
}

function bad(message: string): AuthenticationConfigurationError {
  return new AuthenticationConfigurationError(message);
}
