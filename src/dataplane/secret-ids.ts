import type { Certificate, UsersSecret } from "../routing/index.ts";

const idOf = (secret: { readonly namespace?: string; readonly name: string }, version: string): string =>
  `${secret.namespace ?? ""}/${secret.name} ${version}`;

/** Names a key pair: another one has another version. */
export const certificateId = ({ secret, version }: Certificate): string => idOf(secret, version);

/** Names users as they are read from a Secret. */
export const usersId = ({ secret, version, layout }: UsersSecret): string => `${layout} ${idOf(secret, version)}`;
