export { parseEncryptionConfiguration, type EncryptionConfiguration } from "./configuration.ts";
export { encryptedStore } from "./encrypted-store.ts";
export { EncryptionError } from "./error.ts";
export { openKeyFile, rotateKeyFile, type KeyFile } from "./key-file.ts";
export { createKeyring, type Keyring } from "./keyring.ts";
export { rewriteStale, type Rewritten } from "./rewrite.ts";
