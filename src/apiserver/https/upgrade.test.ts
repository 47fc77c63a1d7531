import { expect, test } from "vitest";
import { webSocketAuthorization } from "./upgrade.ts";

const token = Buffer.from("secret.token").toString("base64url");
const named = `base64url.bearer.authorization.k8s.io.${token}`;

test.each([
  [`${named}, v5.channel.k8s.io`, "Bearer secret.token"],
  [`v5.channel.k8s.io,${named}`, "Bearer secret.token"],
  [named, undefined],
  [`${named}, ${named}, v4.channel.k8s.io`, undefined],
  ["base64url.bearer.authorization.k8s.io.!!!, v4.channel.k8s.io", undefined],
  ["v4.channel.k8s.io", undefined],
])("a token as a sub-protocol: %s", (protocols, expected) => {
  const headers = { upgrade: "websocket", "sec-websocket-protocol": protocols };
  expect(webSocketAuthorization({ headers })).toBe(expected);
  expect(webSocketAuthorization({ headers: { ...headers, upgrade: "SPDY/3.1" } })).toBeUndefined();
});
