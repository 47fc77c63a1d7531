import { extraFrom, headerValues } from "./headers.ts";

/** Whom a request asks to act for. */
export interface Impersonation {
  /** "" when the headers name none, which no request may. */
  readonly user: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

const prefix = "impersonate-";
const extraPrefix = `${prefix}extra-`;

/** What the `Impersonate-*` headers ask for; undefined when there is none. Costs one look at each name. */
export function impersonationOf(rawHeaders: readonly string[]): Impersonation | undefined {
  if (!rawHeaders.some(mayBeImpersonation)) return undefined;
  const values = headerValues(rawHeaders, isImpersonation);
  if (values.size === 0) return undefined;
  return {
    user: values.get(`${prefix}user`)?.[0] ?? "",
    uid: values.get(`${prefix}uid`)?.[0] ?? "",
    groups: values.get(`${prefix}group`) ?? [],
    extra: extraFrom(values, extraPrefix),
  };
}

/** Quick, for the many requests that have none: names are longer than the prefix and begin with an i. */
function mayBeImpersonation(text: string): boolean {
  return text.length > prefix.length && (text.charCodeAt(0) | 32) === 105;
}

function isImpersonation(name: string): boolean {
  return (
    name.startsWith(prefix) &&
    (name === `${prefix}user` || name === `${prefix}uid` || name === `${prefix}group` || name.startsWith(extraPrefix))
  );
}
