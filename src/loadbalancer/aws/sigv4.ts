import { createHash, createHmac } from "node:crypto";

export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of keys that end. */
  readonly sessionToken?: string;
}

export interface Signable {
  readonly method: string;
  readonly url: string;
  /** Names in lower case; all of them are signed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const hash = (text: string) => createHash("sha256").update(text).digest("hex");
const mac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();

/**
 * The headers of a request with those of AWS's Signature Version 4 added. Pure.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
 */
export function signed(
  { method, url, headers, body }: Signable,
  keys: AwsKeys,
  scope: { readonly region: string; readonly service: string },
  now: Date,
): Record<string, string> {
  const { host, pathname, searchParams } = new URL(url);
  const time = now.toISOString().replaceAll(/[:-]|\.\d{3}/g, "");
  const day = time.slice(0, 8);
  const all: Record<string, string> = {
    ...headers,
    host,
    "x-amz-date": time,
    ...(keys.sessionToken === undefined ? {} : { "x-amz-security-token": keys.sessionToken }),
  };
  const names = Object.keys(all).sort();
  const query = [...searchParams]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join("&");
  const lines = names.map((name) => `${name}:${(all[name] ?? "").trim().replaceAll(/ +/g, " ")}\n`).join("");
  const canonical = [method, pathname, query, lines, names.join(";"), hash(body)].join("\n");
  const where = `${day}/${scope.region}/${scope.service}/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", time, where, hash(canonical)].join("\n");
  const key = [scope.region, scope.service, "aws4_request"].reduce(mac, mac(`AWS4${keys.secretAccessKey}`, day));
  const signature = mac(key, text).toString("hex");
  const credential = `Credential=${keys.accessKeyId}/${where}`;
  const authorization = `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
  return { ...all, authorization };
}

const encode = (text: string) =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
