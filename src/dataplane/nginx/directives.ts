import { isIP } from "node:net";

/** Address and port. */
export interface Place {
  readonly address: string;
  readonly port: number;
}

/** A word of the configuration: letters, digits and few signs that mean nothing to nginx. Throws `TypeError` for all else. */
export function word(text: string): string {
  if (!/^[A-Za-z0-9_./:@-]+$/.test(text))
    throw new TypeError(
      `${JSON.stringify(text)} can not be written into nginx's configuration: choose a plainer path or name`,
    );
  return text;
}

export function whole(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`${value} is no number for nginx's configuration`);
  return String(value);
}

export const milliseconds = (value: number): string =>
  `${whole(Math.min(Math.max(1, Math.round(value)), 2 ** 31 - 1))}ms`;

/** Where something listens. */
export function socketAddress({ address, port }: Place): string {
  const family = isIP(address);
  if (family === 0) throw new TypeError(`${JSON.stringify(address)} is not an IP address`);
  if (port < 1 || port > 65_535) throw new TypeError(`${port} is no port`);
  return family === 6 ? `[${address}]:${whole(port)}` : `${address}:${whole(port)}`;
}

/** TLS 1.2 and 1.3 with forward secrecy and authenticated encryption only. */
export function tlsText(cache: string): string[] {
  return [
    `ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:${cache}:8m; ssl_session_timeout 1h; ssl_prefer_server_ciphers off;`,
    "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;",
  ];
}
